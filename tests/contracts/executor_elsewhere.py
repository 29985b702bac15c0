"""An executor that is no part of the package, as one over other machines would be: only bytes go there and back."""

from __future__ import annotations

import asyncio
import pickle
import threading
from typing import Any

import structlog

from tunesmith.errors import Draining, TunesmithError
from tunesmith.telemetry import log_context
from tunesmith.workers import worker
from tunesmith.workers.executor import Chunk, ChunkTimeout, OnMessage, Stats
from tunesmith.workers.fair_queue import FairSlots, Place


class Elsewhere:
    """Runs each chunk in a thread of its own, which is given nothing but pickled bytes."""

    def __init__(self, table: str, n_workers: int, on_message: OnMessage | None) -> None:
        self._table = table
        self._on_message = on_message
        self._slots = FairSlots(n_workers)
        self._out: dict[asyncio.Future[Any], worker.Running] = {}
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
        if self._closed:
            raise Draining("closed")
        await self._slots.take(Place(priority, user, task_id))
        answered, running = self._submit(chunk, task_id)
        try:
            async with asyncio.timeout(timeout_s):
                return await asyncio.shield(answered)
        except TimeoutError:
            raise ChunkTimeout(f"{chunk.function} took longer than {timeout_s:g} s") from None
        finally:
            running.cancelled.set()

    async def resize(self, n: int) -> None:
        self._slots.resize(n)

    async def close(self, drain_s: float = 0.0) -> None:
        self._closed = True
        self._slots.refuse(Draining("closed"))
        if self._out:
            await asyncio.wait(self._out, timeout=drain_s)
        for running in self._out.values():
            running.cancelled.set()
        if self._out:
            await asyncio.wait(self._out)

    def stats(self) -> Stats:
        n = max(self._slots.n, self._slots.n_taken)
        return Stats(self._slots.n, n, n, self._slots.n_taken, self._slots.n_waiting)

    def _submit(self, chunk: Chunk, task_id: str | None) -> tuple[asyncio.Future[Any], worker.Running]:
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[Any] = loop.create_future()

        def say(kind: str, payload: Any) -> None:
            if self._on_message is not None:
                loop.call_soon_threadsafe(self._on_message, task_id, kind, payload)

        def back(result: Any, error: TunesmithError | None) -> None:
            del self._out[answered]
            self._slots.release()
            if error is None:
                answered.set_result(result)
            else:
                answered.set_exception(error)
                answered.exception()  # nobody may be left to ask for it

        running = worker.Running(say)
        self._out[answered] = running
        context = {**log_context()} | ({} if task_id is None else {"task_id": task_id})
        job = pickle.dumps((self._table, chunk.function, chunk.payload, context))

        def work() -> None:
            table, function, payload, bound = pickle.loads(job)
            try:
                with structlog.contextvars.bound_contextvars(**bound):
                    result = worker.perform(worker.load_table(table), function, lambda: payload, running)
                loop.call_soon_threadsafe(back, pickle.loads(pickle.dumps(result)), None)
            except TunesmithError as error:
                loop.call_soon_threadsafe(back, None, error)

        threading.Thread(target=work, daemon=True).start()
        return answered, running
