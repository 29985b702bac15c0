"""Each chunk goes to the workers of the lane that its kind declares, and only there."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Any

import pytest

from tunesmith.errors import Internal
from tunesmith.workers.chunks.chunk_table import CHUNKS, LANE_OF, modules_of
from tunesmith.workers.executor import Chunk, Executor, Stats
from tunesmith.workers.inline import Inline
from tunesmith.workers.lanes import Lane, LaneRouter
from tunesmith.workers.worker import resolve
from workers import kinds_from_outside

LANES: tuple[Lane, ...] = ("search", "holdout", "network", "subprocess")


class Named:
    """An executor that answers each chunk with its own name."""

    def __init__(self, name: str, **stats: Any) -> None:
        self.name = name
        self.sizes: list[int] = []
        self.closed_after: list[float] = []
        self._stats = Stats(**({"target": 2, "alive": 2, "ready": 2, "busy": 1, "queued": 3} | stats))

    async def run(self, chunk: Chunk, **how: Any) -> Any:
        return self.name, chunk.payload, how["priority"], how["user"]

    async def resize(self, n: int) -> None:
        self.sizes.append(n)

    async def close(self, drain_s: float = 0.0) -> None:
        self.closed_after.append(drain_s)

    def stats(self) -> Stats:
        return self._stats


def router(**executors: Named) -> LaneRouter:
    made: dict[Lane, Executor] = {lane: executors.get(lane, Named(lane)) for lane in LANES}
    return LaneRouter(made, {lane: lane for lane in LANES})


def test_a_chunk_goes_to_its_lane_with_all_that_was_asked() -> None:
    async def main() -> None:
        for lane in LANES:
            assert await router().run(Chunk(lane, 7), priority=1, user="ann") == (lane, 7, 1, "ann")
        with pytest.raises(Internal, match="no chunk function 'nothing'"):
            await router().run(Chunk("nothing", None))

    asyncio.run(main())


def test_only_the_searching_workers_are_resized_and_all_lanes_are_closed() -> None:
    async def main() -> None:
        each = {lane: Named(lane) for lane in LANES}
        routed = router(**each)
        await routed.resize(5)
        await routed.close(2.0)
        assert [named.sizes for named in each.values()] == [[5], [], [], []]
        assert [named.closed_after for named in each.values()] == [[2.0]] * 4

    asyncio.run(main())


def test_stats_count_searching_workers_and_the_chunks_of_all_lanes() -> None:
    idle = Named("network", alive=0, ready=0, busy=0, queued=0)
    stats = router(network=idle, holdout=Named("holdout", restarts=1, last_failure="no memory")).stats()
    assert (stats.target, stats.alive, stats.busy, stats.queued) == (2, 2, 3, 9)
    assert (stats.restarts, stats.last_failure) == (1, "no memory")
    assert router(holdout=Named("holdout", alive=0)).stats().alive == 0, "without it the daemon is not ready"
    assert router(network=Named("network", able=False)).stats().able
    assert not router(holdout=Named("holdout", able=False)).stats().able, "an import would wait for it"


def test_every_kind_names_a_function_of_a_lane() -> None:
    for name, kind in CHUNKS.items():
        assert (kind.name, kind.lane in LANES, callable(resolve(kind.function))) == (name, True, True)
        assert resolve(kind.function).__doc__
    reading = {name for name, lane in LANE_OF.items() if lane == "holdout"}
    assert reading == {"prepare", "keep_marks", "import_bars", "judge", "backtest_holdout", "decision_work_holdout"}


def test_downloads_load_neither_numba_nor_vectorbt() -> None:
    loads = "; ".join(f"import {module}" for module in modules_of("network", "subprocess"))
    code = f"import sys; {loads}; print({{'numba', 'vectorbt', 'pandas'}} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


def test_a_kind_from_outside_the_package_runs_where_it_says() -> None:
    async def main() -> None:
        inline, others = Inline("workers.kinds_from_outside"), Named("another lane")
        executors: dict[Lane, Executor] = {"search": others, "holdout": others, "network": others, "subprocess": inline}
        routed = LaneRouter(executors, {name: kind.lane for name, kind in kinds_from_outside.CHUNKS.items()})
        answer = await routed.run(Chunk("twice", 21))
        assert (answer.value, answer.seconds >= 0.0) == (42, True)
        await inline.close()

    asyncio.run(main())
