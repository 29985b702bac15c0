"""The ledger through the daemon's handlers: what counts as a look, what uses a hold-out up, and what does not help."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from services.search_house import House
from services.verdict_house import EDGE, LAX, NOISE, decided, edge, evidence, look_of, open_court, rows_of, searched
from tunesmith.compute.decision.statistics.levels import level_of
from tunesmith.errors import Busy


async def kinds(house: House) -> list[str]:
    rows = await house.context.database.fetch_all("SELECT kind FROM holdout_looks ORDER BY id")
    return [row[0] for row in rows]


async def n_lookers(house: House) -> int:
    [[n]] = await house.context.database.fetch_all("SELECT count(DISTINCT task_id) FROM holdout_looks")
    return int(n)


def looked(verdict: dict[str, Any]) -> bool:
    return any(check["segment"] in ("holdout", "all") for check in verdict["checks"])


def test_whoever_reaches_the_holdout_has_looked_whatever_is_changed_about_the_request(tmp_path: Path) -> None:
    """Limits fall with every look, tests take more draws, and once these cannot tell any more nobody looks."""

    async def main() -> None:
        async with open_court(tmp_path, combined=0.01) as house:
            changes: list[dict[str, Any]] = [
                {},
                {"seed": 5},
                {"param_ranges": {"fast": [7, 9], "slow": [50, 55]}},
                {"optimization_target": "total_return"},
                {"timeframe": "2d"},
                {"strategy_id": "ma_cross_v1.0", "param_ranges": {"fast_period": [5, 8], "signal_threshold": [0.0]}},
                {"param_ranges": {"fast": [5, 10], "slow": [40, 60]}},
            ]
            verdicts = []
            for i, change in enumerate(changes):
                found = await searched(house, EDGE, **change)
                before = await n_lookers(house)
                strategy = change.get("strategy_id", "averages")
                verdict = await decided(house, found, user=f"user {i}", strategy_id=strategy)
                assert await look_of(house, verdict) == before + 1
                assert await n_lookers(house) == before + looked(verdict)
                verdicts.append(verdict)
            assert [looked(verdict) for verdict in verdicts[:5]] == [True] * 4 + [False]
            assert verdicts[4]["verdict"] == "insufficient_data", "two days a bar are too few bars"
            for verdict in verdicts[:4]:
                limit = (await evidence(house, verdict["verdict_id"]))["limit"]
                assert limit["level"] == level_of(limit["ticks"], limit["look"], 0.01)
                assert limit["n_draws"] == (199 if limit["level"] >= 0.3 / 200 else 399)
            assert verdicts[0]["approved"]
            last = verdicts[-1]
            assert (last["checks"][-1]["name"], looked(last)) == ("tries", False)
            assert "the error budget of this market is spent for you" in last["reason"]

    asyncio.run(main())


def test_the_same_request_gets_the_stored_verdict_also_after_a_restart_and_looks_stay(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_court(tmp_path) as house:
            found = await searched(house, EDGE)
            first = await decided(house, found)
            for user in ("local", "ann", "local", "bob"):
                assert await decided(house, found, user=user) == first
            assert await kinds(house) == ["verdict"]
        async with open_court(tmp_path) as house:
            assert await decided(house, found, user="carl") == first
            house.context.market.import_rows(rows_of(edge()), symbol=EDGE, timeframe="1d", venue="local", replace=True)
            other = await decided(house, found, approval_criteria={**LAX, "min_trades": 3})
            assert other["verdict_id"] != first["verdict_id"]
            assert await look_of(house, other) == 2

    asyncio.run(main())


def test_a_verdict_that_fails_in_sample_costs_no_look_however_often_it_is_asked_for(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_court(tmp_path) as house:
            found = await searched(house)
            for i in range(4):  # more often than a user may look
                verdict = await decided(house, found, approval_criteria={**LAX, "min_trades": i})
                assert (verdict["verdict"], verdict["checks"][-1]["name"]) == ("rejected", "searches")
                assert await look_of(house, verdict) == 1
            assert await kinds(house) == []

    asyncio.run(main())


def test_a_backtest_that_looked_uses_the_holdout_up(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_court(tmp_path) as house:
            found = await searched(house)
            blind = await house.ask("backtest.start", symbol=NOISE, strategy_id="averages")
            await house.ended(blind["task_id"])
            assert await kinds(house) == []
            seeing = await house.ask(
                "backtest.start", user="ann", symbol=NOISE, strategy_id="averages", use_holdout=True
            )
            await house.ended(seeing["task_id"])
            verdict = await decided(house, found)
            assert verdict["verdict"] == "insufficient_data"
            assert f"the hold-out of {NOISE} is used up: a backtest looked at it" in verdict["reason"]
            assert "asked for by ann" in verdict["reason"]
            assert await kinds(house) == ["backtest"]  # what is refused before it looks is no look
            assert not looked(verdict)

    asyncio.run(main())


def test_an_approval_by_criteria_uses_the_holdout_up_and_a_refusal_does_not(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_court(tmp_path) as house:
            found = await searched(house)
            alone = await house.ask("backtest.start", symbol=NOISE, strategy_id="averages", direction="both")
            await house.ended(alone["task_id"])
            report = (await house.ask("backtest.status", task_id=alone["task_id"]))["report_id"]

            async def submitted(criteria: dict[str, Any]) -> dict[str, Any]:
                given = {"strategy_id": "averages", "backtest_id": report, "approval_criteria": criteria}
                verdict_id = (await house.ask("strategy.approve", **given))["verdict_id"]
                await house.ended(verdict_id)
                return await house.ask("verdict.status", verdict_id=verdict_id)

            refused = await submitted({**LAX, "min_sharpe": 50.0})
            assert (refused["verdict"], refused["grade"]) == ("rejected", None)
            still = await decided(house, found, user="ann")
            assert (await evidence(house, still["verdict_id"]))["ledger"]["burnt"] is None
            approved = await submitted(LAX)
            assert (approved["verdict"], approved["grade"]) == ("approved", "criteria")
            after = await decided(house, found, user="bob", approval_criteria={**LAX, "min_trades": 2})
            assert after["verdict"] == "insufficient_data"
            assert "an approval by criteria used it" in after["reason"]

    asyncio.run(main())


def test_verdicts_asked_for_at_once_look_one_after_the_other_and_a_user_three_times(tmp_path: Path) -> None:
    """Each is planned for the look that it is: one that comes late is planned again."""

    async def main() -> None:
        async with open_court(tmp_path) as house:
            found = await searched(house, EDGE)
            verdicts = await asyncio.gather(
                *(decided(house, found, approval_criteria={**LAX, "min_trades": i}) for i in range(3))
            )
            assert sorted([await look_of(house, verdict) for verdict in verdicts]) == [1, 2, 3]
            assert sum(verdict["approved"] for verdict in verdicts) == 1, "the others are no better than its package"
            assert "planned again" in "".join([await house.log_of(verdict["verdict_id"]) for verdict in verdicts])
            with pytest.raises(Busy, match=f"3 of your verdicts have looked at the hold-out of {EDGE}"):
                await decided(house, found, approval_criteria={**LAX, "min_trades": 3})
            assert await kinds(house) == ["verdict"] * 3
            other = await decided(house, found, user="ann", approval_criteria={**LAX, "min_trades": 3})
            assert await look_of(house, other) == 4, "the looks of who made the search count as well"

    asyncio.run(main())
