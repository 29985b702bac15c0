"""Publishing what was committed: durable events leave after their transaction, in order, and again after a crash."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Sequence

import structlog

from tunesmith.errors import TunesmithError
from tunesmith.storage.sqlite.connections import Appended
from tunesmith.storage.sqlite.database import Database
from tunesmith.storage.tables import outbox
from tunesmith.storage.tables.outbox import EventRow

logger = structlog.get_logger(__name__)

_KEPT_TOPICS = 100_000
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 5.0
_MARKED_AT_ONCE = 2_000
_MARK_AFTER_S = 0.05
"""Marks wait for each other: writing each at once would keep the next approval waiting for the disk."""

Publish = Callable[[str, bytes, bytes | None], None]
"""Called with an event's topic, the bytes of its JSON and their signature."""


class Publisher:
    """Sends every event that is not marked as published, oldest first, and marks it a little later.

    A commit hands its events over, and they leave in the same step of the loop. What a crash left, or could not be
    sent then, is read from the outbox. A crash between sending and marking sends an event twice, never not at all. A
    database that refuses is asked again, after a pause that doubles; what was sent by then is not sent again.
    """

    def __init__(self, database: Database, publish: Publish) -> None:
        self._database = database
        self._publish = publish
        self._wake, self._wake_to_mark = asyncio.Event(), asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._sent = 0
        self._unmarked: list[int] = []

    @property
    def alive(self) -> bool:
        """Whether it publishes what is committed, now or after a pause."""
        return bool(self._tasks) and not any(task.done() for task in self._tasks)

    async def start(self, prime: Publish) -> None:
        """Hand the newest event of each package topic to `prime`, then publish what a crash left and all that comes."""
        await self._database.write(outbox.tell_again)
        kept = await outbox.snapshot(self._database, ["pkg/"], _KEPT_TOPICS)
        for row in kept.events:
            if row.published_at is not None:
                prime(row.topic, row.frame, row.signature)
        self._database.on_commit(self._committed)
        self._wake.set()
        self._tasks = [
            asyncio.create_task(self._whenever(self._wake, self._send_all), name="publisher"),
            asyncio.create_task(self._whenever(self._wake_to_mark, self._mark, _MARK_AFTER_S), name="publisher marks"),
        ]

    async def close(self) -> None:
        """Publish what is there, then stop."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._tasks and await self._try(self._send_all):
            await self._try(self._mark)

    async def _whenever(self, woken: asyncio.Event, step: Callable[[], Awaitable[None]], after_s: float = 0.0) -> None:
        pause_s = _FIRST_PAUSE_S
        while True:
            await woken.wait()
            if after_s:
                await asyncio.sleep(after_s)
            woken.clear()
            if await self._try(step):
                pause_s = _FIRST_PAUSE_S
                continue
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
            woken.set()

    async def _try(self, step: Callable[[], Awaitable[None]]) -> bool:
        try:
            await step()
        except TunesmithError as error:
            logger.warning("events could not be published", reason=error.message)
        except Exception:  # whatever it was, later events must not wait for the next start
            logger.exception("events could not be published")
        else:
            return True
        return False

    def _committed(self, events: Sequence[Appended]) -> None:
        if not self.alive or events[0].seq != self._sent + 1:  # something before them is not sent yet
            self._wake.set()
            return
        try:
            for event in events:
                self._send(event)
        except Exception:
            logger.exception("events could not be published")
            self._wake.set()

    async def _send_all(self) -> None:
        while True:
            head = self._database.head
            rows = await outbox.unpublished(self._database, self._sent)
            for row in rows:
                if row.seq > self._sent:  # a commit may have handed it over while they were read
                    self._send(row)
            if not rows:
                self._sent = max(self._sent, head)
                return

    def _send(self, event: EventRow | Appended) -> None:
        self._publish(event.topic, event.frame, event.signature)
        self._sent = event.seq
        self._unmarked.append(event.seq)
        self._wake_to_mark.set()

    async def _mark(self) -> None:
        seqs = self._unmarked[:_MARKED_AT_ONCE]
        if seqs:
            await self._database.write(functools.partial(outbox.mark_published, seqs=seqs))
            del self._unmarked[: len(seqs)]
        if self._unmarked:
            self._wake_to_mark.set()
