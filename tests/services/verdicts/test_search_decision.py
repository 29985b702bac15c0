"""Verdicts on searches through the daemon's handlers: the library's decision, and who is given the hold-out for it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

import tunesmith as ts
from benchmarks.made_markets import AVERAGES
from services import search_house
from services.search_house import House
from services.verdict_house import EDGE, LAX, NOISE, RANGES, decided, evidence, open_court, searched
from tunesmith.compute.rules.strategy import Strategy
from tunesmith.domain.approval import ApprovalCriteria
from tunesmith.domain.criteria import DEFAULT_CRITERIA, merge
from tunesmith.notebook.judging import decide_study
from tunesmith.services.verdicts.search_decision import seed_of
from tunesmith.storage.market.snapshots import SnapshotFolder
from tunesmith.storage.tables import holdout_table
from tunesmith.workers.chunks.chunk_table import LANE_OF
from tunesmith.workers.executor import Chunk
from tunesmith.workers.inline import Inline
from tunesmith.workers.lanes import Lane, LaneRouter

CRITERIA = merge(msgspec.convert(LAX, ApprovalCriteria), DEFAULT_CRITERIA)


def bars_of(house: House, symbol: str) -> ts.Bars:
    return house.context.market.load("local", symbol, "1d")


@pytest.mark.parametrize("symbol", [EDGE, NOISE])
def test_the_daemon_decides_as_the_library_does_to_the_bit(tmp_path: Path, symbol: str) -> None:
    async def main() -> None:
        async with open_court(tmp_path) as house:
            verdict = await decided(house, await searched(house, symbol))
            stored = await evidence(house, verdict["verdict_id"])
            rule = Strategy.parse(AVERAGES, id="averages")
            study = ts.optimize(rule, bars_of(house, symbol), RANGES, method="grid", direction="both")
            ours = decide_study(study, CRITERIA, seed=seed_of(verdict["verdict_id"]))
            assert ours.status == verdict["verdict"] == ("approved" if symbol == EDGE else "rejected")
            assert stored["p"] == ours.findings.p
            assert [check["value"] for check in stored["checks"]] == [check.value for check in ours.checks]
            for test, told in ours.findings.evidence.items():
                if test.endswith("permutations"):
                    assert {**stored[test], "seed": 0} == {**told, "seed": 0}
            assert verdict["grade"] == ("proven" if symbol == EDGE else None)
            if symbol == EDGE:
                assert stored["permutations"]["n"] == 399
                assert verdict["parameter_package"]["params"] == study.best_params

    asyncio.run(main())


def test_what_is_refused_shows_nothing_of_the_holdout(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_court(tmp_path) as house:
            found = await searched(house, EDGE)
            verdict = await decided(house, found, approval_criteria={**LAX, "max_drawdown": 0.0001})
            assert verdict["verdict"] == "rejected"
            assert "holdout" not in (await evidence(house, verdict["verdict_id"]))["metrics"]
            assert {check["segment"] for check in verdict["checks"]} == {"data", "in_sample"}

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
            assert again["verdict"] != "insufficient_data"
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
            assert searching >= {"search", "decision_work", "backtest"}
            assert reading >= {"prepare", "decision_work_holdout", "backtest_holdout"}

    asyncio.run(main())


def test_a_time_budget_freezes_the_number_of_trials_of_every_rerun(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_court(tmp_path) as house:
            given = {"method": "random", "max_iterations": 4000, "stop": {"batch": 50, "time_budget_s": 1e-6}}
            found = await house.search(symbol=EDGE, **{"strategy_id": "averages", "direction": "both", **given})
            assert found["stopped_by"] == "time_budget"
            assert found["n_done"] < 4000
            verdict = await decided(house, found["optimization_id"])
            stored = await evidence(house, verdict["verdict_id"])
            assert stored["reality_check"]["n_trials"] == found["n_done"]

    asyncio.run(main())
