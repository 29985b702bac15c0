"""Chunks in threads of this process: `Inline`, for tests and notebooks."""

from __future__ import annotations

import asyncio
import contextvars
from typing import Any

import structlog

from tunesmith.errors import Draining
from tunesmith.workers import worker
from tunesmith.workers.executor import Chunk, ChunkTimeout, OnMessage, Stats
from tunesmith.workers.fair_queue import FairSlots, Place


class Inline:
    """An `Executor` without processes: `n_workers` chunks at a time, each in a thread.

    A thread can be neither killed nor limited: `memory_mb` is not enforced, and a chunk that is over its time or was
    cancelled keeps its slot until its function returns, though its caller goes on at once. Payloads and results are
    the caller's own objects, not copies.
    """

    def __init__(self, table: str, *, n_workers: int = 1, on_message: OnMessage | None = None) -> None:
        self._table = worker.load_table(table)
        self._on_message = on_message
        self._slots = FairSlots(n_workers)
        self._running: dict[asyncio.Future[Any], worker.Running] = {}
        self._closed = False

    async def run(
        self,
        chunk: Chunk,
        *,
        priority: int = 5,
        timeout_s: float | None = None,
        memory_mb: int | None = None,
        task_id: str | None = None,
        user: str = "local",
    ) -> Any:
        """See `Executor.run`."""
        if self._closed:
            raise Draining("the workers take no work now")
        await self._slots.take(Place(priority, user, task_id))
        work, running = self._begin(chunk, task_id)
        try:
            async with asyncio.timeout(timeout_s):
                return await asyncio.shield(work)
        except TimeoutError:
            raise ChunkTimeout(f"{chunk.function} took longer than {timeout_s:g} s") from None
        finally:
            running.cancelled.set()

    async def resize(self, n: int) -> None:
        """See `Executor.resize`."""
        self._slots.resize(n)

    async def close(self, drain_s: float = 0.0) -> None:
        """See `Executor.close`; running chunks are asked to stop after `drain_s`, and waited for."""
        self._closed = True
        self._slots.refuse(Draining("the daemon stopped before the work was done"))
        if self._running:
            await asyncio.wait(self._running, timeout=drain_s)
        for running in self._running.values():
            running.cancelled.set()
        if self._running:
            await asyncio.wait(self._running)

    def stats(self) -> Stats:
        """See `Executor.stats`; workers are always ready."""
        slots = self._slots
        n = max(slots.n, slots.n_taken)
        return Stats(target=slots.n, alive=n, ready=n, busy=slots.n_taken, queued=slots.n_waiting)

    def _begin(self, chunk: Chunk, task_id: str | None) -> tuple[asyncio.Future[Any], worker.Running]:
        loop = asyncio.get_running_loop()

        def say(kind: str, payload: Any) -> None:
            if self._on_message is not None and not running.cancelled.is_set():
                loop.call_soon_threadsafe(self._on_message, task_id, kind, payload)

        def work() -> Any:
            if task_id is not None:
                structlog.contextvars.bind_contextvars(task_id=task_id)
            return worker.perform(self._table, chunk.function, lambda: chunk.payload, running)

        def done(future: asyncio.Future[Any]) -> None:
            del self._running[future]
            future.cancelled() or future.exception()  # nobody may be left to ask for it
            self._slots.release()

        running = worker.Running(say)
        future = loop.run_in_executor(None, contextvars.copy_context().run, work)
        self._running[future] = running
        future.add_done_callback(done)
        return future, running
