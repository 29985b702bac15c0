"""Verdicts on searches through the daemon's handlers: the library's decision, and who is given the hold-out for it."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import Any

import msgspec
import pytest

import tunesmith as ts
from benchmarks.made_markets import AVERAGES
from services import search_house
from services.search_house import House
from services.verdict_house import EDGE, FEW_DRAWS, LAX, NOISE, RANGES, decided, evidence, open_court, searched
from tunesmith.compute.rules.strategy import Strategy
from tunesmith.domain.approval import ApprovalCriteria
from tunesmith.domain.criteria import DEFAULT_CRITERIA, merge
from tunesmith.domain.thresholds import Thresholds
from tunesmith.notebook.judging import decide_study
from tunesmith.storage.market.snapshots import SnapshotFolder
from tunesmith.storage.sqlite.opening import SECRET
from tunesmith.storage.tables import holdout_table
from tunesmith.workers.chunks.chunk_table import LANE_OF
from tunesmith.workers.executor import Chunk
from tunesmith.workers.inline import Inline
from tunesmith.workers.lanes import Lane, LaneRouter

CRITERIA = merge(msgspec.convert(LAX, ApprovalCriteria), DEFAULT_CRITERIA)


def bars_of(house: House, symbol: str) -> ts.Bars:
    return house.context.market.load("local", symbol, "1d")


@pytest.mark.parametrize("symbol", [EDGE, NOISE])
def test_the_library_decides_as_the_daemon_does_about_the_same_searches(tmp_path: Path, symbol: str) -> None:
    """On the draws of one secret all that was found in sample is the same to the bit; those on the hold-out differ."""

    async def main() -> None:
        async with open_court(tmp_path) as house:
            library = hashlib.sha256(b"library|5").hexdigest()
            sql = "UPDATE meta SET value = ? WHERE key = ?"
            await house.context.database.write(lambda conn: conn.execute(sql, (library, SECRET)))
            rule, bars = Strategy.parse(AVERAGES, id="averages"), bars_of(house, symbol)
            studies = []
            for ranges in (RANGES, {"fast": [9, 10, 11], "slow": [58, 60, 62]}, {"fast": [10, 11], "slow": [60]}):
                found = await searched(house, symbol, param_ranges=ranges)
                studies.append(ts.optimize(rule, bars, ranges, method="grid", direction="both"))
            verdict = await decided(house, found)
            stored = await evidence(house, verdict["verdict_id"])
            limits, before = Thresholds(**FEW_DRAWS), studies[:-1]
            ours = decide_study(studies[-1], CRITERIA, thresholds=limits, seed=5, earlier=before)
            assert ours.status == verdict["verdict"] == ("approved" if symbol == EDGE else "rejected")
            told = ours.findings.evidence
            assert {**stored["counted"], "added": None} == {**told["counted"], "added": None}
            assert list(stored["counted"]["added"].values()) == list(told["counted"]["added"].values())
            assert (stored["counted"]["n"], stored["limit"], stored["searches"]) == (3, told["limit"], told["searches"])
            assert stored["metrics"]["in_sample"] == ours.findings.metrics["in_sample"]
            judged = ts.judge(studies[-1], CRITERIA, thresholds=limits, seed=5, earlier=before, n_threads=2)
            assert (judged.status, judged.p["search"]) == (verdict["verdict"], stored["p"]["search"])
            alone = ts.judge(studies[-1], CRITERIA, thresholds=limits, seed=5)
            assert alone.p["search"] <= judged.p["search"], (
                "whoever leaves searches out gets a verdict that says too much"
            )
            if symbol == EDGE:
                assert verdict["parameter_package"]["params"] == studies[-1].best_params

    asyncio.run(main())


class Listener:
    """An executor that remembers the chunks that it was given."""

    def __init__(self, inner: Inline) -> None:
        self.inner = inner
        self.chunks: list[Chunk] = []

    async def run(self, chunk: Chunk, **how: Any) -> Any:
        self.chunks.append(chunk)
        return await self.inner.run(chunk, **how)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


def snapshots_in(payload: Any) -> set[str]:
    """Every snapshot that a payload names, however deep."""
    found: set[str] = set()

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            found.update(v for k, v in value.items() if k == "snapshot")
            for each in value.values():
                walk(each)
        elif isinstance(value, list | tuple):
            for each in value:
                walk(each)

    walk(msgspec.to_builtins(payload, enc_hook=lambda value: value.tolist()))
    return found


def test_no_chunk_with_bars_of_the_holdout_reaches_a_worker_that_searches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lanes: dict[Lane, Listener] = {}

    def make(table: str) -> LaneRouter:
        lanes.update({lane: Listener(Inline(table)) for lane in ("search", "holdout")})
        return LaneRouter(lanes, LANE_OF)  # type: ignore[arg-type]

    monkeypatch.setattr(search_house, "Inline", make)

    async def main() -> None:
        async with open_court(tmp_path) as house:
            verdict = await decided(house, await searched(house, EDGE))
            assert verdict["approved"], verdict["reason"]
            again = await decided(house, await searched(house, EDGE, method="genetic", max_iterations=30), user="ann")
            assert "holdout" in {check["segment"] for check in again["checks"]}
            for more in ({}, {"use_holdout": True}):
                asked = await house.ask("backtest.start", symbol=EDGE, strategy_id="averages", **more)
                await house.ended(asked["task_id"])
            boundary = await holdout_table.boundary(house.context.database, "local", EDGE)
            assert boundary is not None
            store = SnapshotFolder(house.context.settings.data_dir / "snapshots")
            ends = [
                {store.get(name).end_ms for chunk in lane.chunks for name in snapshots_in(chunk.payload)}
                for lane in lanes.values()
            ]
            assert ends[0]
            assert max(ends[0]) <= boundary < max(ends[1])
            searching, reading = ({chunk.function for chunk in lane.chunks} for lane in lanes.values())
            assert searching >= {"search", "decision_work", "null_draws", "backtest"}
            assert reading >= {"prepare", "decision_work_holdout", "backtest_holdout"}

    asyncio.run(main())


def test_a_search_that_time_ended_counts_by_the_trials_that_it_made(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_court(tmp_path) as house:
            given = {"method": "random", "max_iterations": 4000, "stop": {"batch": 50, "time_budget_s": 1e-6}}
            found = await house.search(symbol=EDGE, **{"strategy_id": "averages", "direction": "both", **given})
            assert found["stopped_by"] == "time_budget"
            assert found["n_done"] < 4000
            verdict = await decided(house, found["optimization_id"])
            counted = (await evidence(house, verdict["verdict_id"]))["counted"]
            assert (counted["n"], counted["n_trials"]) == (1, found["n_done"])

    asyncio.run(main())
