"""Publishing what was committed: durable events leave after their transaction, in order, and again after a crash."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from tunesmith.errors import TunesmithError
from tunesmith.storage import outbox
from tunesmith.storage.database import Database

logger = structlog.get_logger(__name__)

_KEPT_TOPICS = 100_000
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 5.0

Publish = Callable[[str, bytes, bytes | None], None]
"""Called with an event's topic, the bytes of its JSON and their signature."""


class Publisher:
    """Sends every event that is not marked as published, oldest first, then marks it.

    A crash between the two sends an event twice, never not at all. A database that refuses is asked again, after a
    pause that doubles; what was sent by then is not sent again.
    """

    def __init__(self, database: Database, publish: Publish) -> None:
        self._database = database
        self._publish = publish
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._sent = 0

    @property
    def alive(self) -> bool:
        """Whether it publishes what is committed, now or after a pause."""
        return self._task is not None and not self._task.done()

    async def start(self, prime: Publish) -> None:
        """Hand the newest event of each package topic to `prime`, then publish what a crash left and all that comes."""
        await self._database.write(outbox.tell_again)
        kept = await outbox.snapshot(self._database, ["pkg/"], _KEPT_TOPICS)
        for row in kept.events:
            if row.published_at is not None:
                prime(row.topic, row.frame, row.signature)
        self._database.on_commit(lambda head: self._wake.set())
        self._wake.set()
        self._task = asyncio.create_task(self._run(), name="publisher")

    async def close(self) -> None:
        """Publish what is there, then stop."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            await self._try_to_send()

    async def _run(self) -> None:
        pause_s = _FIRST_PAUSE_S
        while True:
            await self._wake.wait()
            self._wake.clear()
            if await self._try_to_send():
                pause_s = _FIRST_PAUSE_S
                continue
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
            self._wake.set()

    async def _try_to_send(self) -> bool:
        try:
            await self._send_all()
        except TunesmithError as error:
            logger.warning("events could not be published", reason=error.message)
        except Exception:  # whatever it was, later events must not wait for the next start
            logger.exception("events could not be published")
        else:
            return True
        return False

    async def _send_all(self) -> None:
        while rows := await outbox.unpublished(self._database):
            for row in rows:
                if row.seq > self._sent:
                    self._publish(row.topic, row.frame, row.signature)
                    self._sent = row.seq
            seqs = [row.seq for row in rows]
            await self._database.write(
                lambda conn, seqs=seqs: outbox.mark_published(conn, seqs)  # type: ignore[misc]
            )
