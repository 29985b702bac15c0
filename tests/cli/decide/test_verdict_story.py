"""The story of a verdict: every check has its question, figure, limit, outcome and cost, within eighty columns."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from services.decision_house import RULE, decided, grow, open_court, searched
from services.search_house import House
from tunesmith.cli.decide.verdict_story import tell
from tunesmith.compute.decision.checks.check_registry import explanation_of

WIDTH = 80


async def story(house: House, verdict: dict[str, Any]) -> str:
    report = await house.ask("report.get", report_id=verdict["report_id"])
    search = None
    if verdict["optimization_id"] is not None:
        search = await house.ask("optimization.status", optimization_id=verdict["optimization_id"])
    told = tell(verdict, report, search)
    assert max(map(len, told.splitlines())) <= WIDTH
    return " ".join(told.split())


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(WIDTH))


def test_an_approval_and_a_rejection_are_told_from_end_to_end(tmp_path: Path) -> None:
    async def main() -> None:
        for symbol, edge in (("EDGE/USDT", 0.8), ("NOISE/USDT", 0.0)):
            grow(tmp_path, symbol, 7, edge)
        async with open_court(tmp_path) as house:
            good = await decided(house, optimization_id=await searched(house, "EDGE/USDT"))
            told = await story(house, good)
            assert told.startswith(f"Approved: {RULE} 1.0 on EDGE/USDT 1d ({good['verdict_id']})")
            assert "9 trials by grid, of 9 planned" in told
            assert "It is the only search that counts on this market." in told
            for check in good["checks"]:
                assert check["asks"] in told
                assert check["reason"] in told
                assert f"Cost: {good['explanations'][check['name']]['cost']}" in told
            for each in good["evidence"]["report"].values():
                assert each.get("cannot_say", "") in told
            found = good["evidence"]["searches"]
            assert f"On {found['n_reached']} of {found['n']} it was as good or better" in told
            assert f"The package {good['parameter_package']['package_id'][:12]}" in told
            assert f"tunesmith replay {good['verdict_id']}" in told
            search = await searched(house, "NOISE/USDT")
            bad = await decided(house, optimization_id=search, approval_criteria={"min_sharpe": 50.0})
            assert bad["verdict"] == "rejected", bad["reason"]
            told = await story(house, bad)
            assert "FAILED" in told
            assert "Not asked any more, as one had failed:" in told
            failed = [check["name"] for check in bad["checks"] if not check["passed"]]
            assert bad["explanations"][failed[0]]["helps"] in told

    asyncio.run(main())


def test_of_a_hold_out_that_failed_no_figure_is_told(tmp_path: Path) -> None:
    async def main() -> None:
        grow(tmp_path, "EDGE/USDT", 7, 0.8)
        async with open_court(tmp_path, holdout=0.001) as house:
            narrow = {"fast_period": [3, 4], "slow_period": [12, 16], "signal_threshold": 0.0}
            await house.search(symbol="EDGE/USDT", strategy_id=RULE, param_ranges=narrow, method="grid")
            verdict = await decided(house, optimization_id=await searched(house, "EDGE/USDT"))
            assert verdict["verdict"] == "rejected", verdict["reason"]
            told = await story(house, verdict)
            assert "It is one of 2 searches that count on this market, with 13 trials in all" in told
            assert "FAILED it holds on bars that the search never saw (holdout) it did not hold on bars" in told
            assert "more is not told, as each look answers one bit" in told
            assert "What the hold-out showed stays hidden" in told

    asyncio.run(main())


def test_a_lone_backtest_s_story_says_what_nobody_knows(tmp_path: Path) -> None:
    async def main() -> None:
        grow(tmp_path, "EDGE/USDT", 7, 0.8)
        async with open_court(tmp_path) as house:
            backtest = await house.ask("backtest.start", symbol="EDGE/USDT", strategy_id=RULE)
            await house.ended(backtest["task_id"])
            verdict = await decided(house, backtest_id=backtest["task_id"])
            assert "nothing here tells skill from luck" in await story(house, verdict)

    asyncio.run(main())


def test_a_bound_of_the_user_s_is_explained_as_one() -> None:
    told = explanation_of("min_sharpe")
    assert told is not None
    assert told.helps.startswith("It is a bound of yours")
    assert explanation_of("a check of an earlier version") is None
