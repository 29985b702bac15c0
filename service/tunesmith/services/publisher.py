"""Publishing what was committed: durable events leave after their transaction, in order, and again after a crash."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from tunesmith.storage import outbox
from tunesmith.storage.database import Database

_KEPT_TOPICS = 100_000


class Publisher:
    """Sends every event that is not marked as published, oldest first, then marks it.

    A crash between the two sends an event twice, never not at all.
    """

    def __init__(self, database: Database, publish: Callable[[str, bytes], None]) -> None:
        self._database = database
        self._publish = publish
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self, prime: Callable[[str, bytes], None]) -> None:
        """Hand the newest event of each package topic to `prime`, then publish what a crash left and all that comes."""
        kept = await outbox.snapshot(self._database, ["pkg/"], _KEPT_TOPICS)
        for row in kept.events:
            if row.published_at is not None:
                prime(row.topic, row.frame)
        self._database.on_commit(lambda head: self._wake.set())
        self._wake.set()
        self._task = asyncio.create_task(self._run(), name="publisher")

    async def close(self) -> None:
        """Publish what is there, then stop."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            await self._send_all()

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            await self._send_all()

    async def _send_all(self) -> None:
        while rows := await outbox.unpublished(self._database):
            for row in rows:
                self._publish(row.topic, row.frame)
            seqs = [row.seq for row in rows]
            await self._database.write(
                lambda conn, seqs=seqs: outbox.mark_published(conn, seqs)  # type: ignore[misc]
            )
