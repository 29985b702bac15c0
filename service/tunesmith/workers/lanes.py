"""Two pools behind one executor: those that search, and the keeper of what searches must not see.

Whoever cuts a window reads a whole market, hold-out and all; a verdict and a backtest that asks for it look at the
hold-out. That work is the keeper's. The workers that search are never given it, so that it is not in their memory.
"""

from __future__ import annotations

import asyncio
from typing import Any

from tunesmith.workers.executor import Chunk, Executor, Stats

KEEPERS = frozenset({"prepare", "import_bars", "fetch_bars", "judge", "decision_work_holdout"})
"""Functions that read market data beyond the boundary."""


class Lanes:
    """Chunks go to the keeper where their function is one of `KEEPERS`, or their payload says that it sees more."""

    def __init__(self, searchers: Executor, keeper: Executor) -> None:
        self._searchers = searchers
        self._keeper = keeper

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
        """As `Executor.run`."""
        keeps = chunk.function in KEEPERS or getattr(chunk.payload, "sees_holdout", False)
        lane = self._keeper if keeps else self._searchers
        return await lane.run(
            chunk, priority=priority, timeout_s=timeout_s, memory_mb=memory_mb, task_id=task_id, user=user
        )

    async def resize(self, n: int) -> None:
        """Have `n` workers that search."""
        await self._searchers.resize(n)

    async def close(self, drain_s: float = 0.0) -> None:
        """Close both."""
        await asyncio.gather(self._searchers.close(drain_s), self._keeper.close(drain_s))

    def stats(self) -> Stats:
        """Those that search, with the keeper's trouble where it has any."""
        found, keeper = self._searchers.stats(), self._keeper.stats()
        return found._replace(
            alive=found.alive if keeper.alive else 0,
            busy=found.busy + keeper.busy,
            queued=found.queued + keeper.queued,
            restarts=found.restarts + keeper.restarts,
            recycled=found.recycled + keeper.recycled,
            last_failure=found.last_failure or keeper.last_failure,
        )
