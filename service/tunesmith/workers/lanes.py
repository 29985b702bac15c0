"""Lanes: which processes a chunk may run in, declared for each kind of chunk, and the router that keeps to it.

    search       evaluates strategies on bars up to the hold-out's boundary
    holdout      may read a whole market, hold-out and all: cuts windows, imports bars, answers verdicts
    network      waits for another machine, such as an upstream data service
    subprocess   runs a foreign program as a child of the worker

Workers that search are never given a chunk of another lane, so bars of the hold-out are not in their memory. A download
has processes of its own: in the hold-out's one process an upstream that took 3 s a page made backtests on stored bars
wait for 47 s.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Literal

from tunesmith.errors import Internal
from tunesmith.workers.executor import Chunk, Executor, Stats

Lane = Literal["search", "holdout", "network", "subprocess"]

_ALWAYS_UP: tuple[Lane, ...] = ("search", "holdout")
"""Lanes without which the daemon is not ready; the others begin with their first chunk."""


class LaneRouter:
    """An `Executor` that hands each chunk to the executor of its lane.

    `lane_of` names the lane of each chunk function; a function that it does not name is refused with `Internal`.
    """

    def __init__(self, executors: Mapping[Lane, Executor], lane_of: Mapping[str, Lane]) -> None:
        self._executors = executors
        self._lane_of = lane_of

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
        lane = self._lane_of.get(chunk.function)
        if lane is None:
            raise Internal(f"there is no chunk function {chunk.function!r}")
        return await self._executors[lane].run(
            chunk, priority=priority, timeout_s=timeout_s, memory_mb=memory_mb, task_id=task_id, user=user
        )

    async def resize(self, n: int) -> None:
        """Have `n` workers that search; those of other lanes stay as many as they are."""
        await self._executors["search"].resize(n)

    async def close(self, drain_s: float = 0.0) -> None:
        """See `Executor.close`; all lanes at the same time."""
        await asyncio.gather(*(executor.close(drain_s) for executor in self._executors.values()))

    def stats(self) -> Stats:
        """How many workers search, none alive where a lane that is always up has none; all lanes' chunks together."""
        each = {lane: executor.stats() for lane, executor in self._executors.items()}
        return each["search"]._replace(
            alive=each["search"].alive if all(each[lane].alive for lane in _ALWAYS_UP) else 0,
            busy=sum(stats.busy for stats in each.values()),
            queued=sum(stats.queued for stats in each.values()),
            restarts=sum(stats.restarts for stats in each.values()),
            recycled=sum(stats.recycled for stats in each.values()),
            last_failure=next((stats.last_failure for stats in each.values() if stats.last_failure), None),
            able=all(each[lane].able for lane in _ALWAYS_UP),
        )
