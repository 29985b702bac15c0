"""The ledger through the daemon's handlers: what counts as a look, what uses a hold-out up, and what does not help."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from services.search_house import House
from services.verdict_house import LAX, NOISE, decided, evidence, look_of, noise, open_court, rows_of, searched
from tunesmith.domain.thresholds import Thresholds
from tunesmith.errors import Busy
from tunesmith.services.runtime.task_runner import Job
from tunesmith.services.verdicts.ledger import Asked, enter
from tunesmith.services.verdicts.verdict_tasks import VerdictTask
from tunesmith.storage.tables import holdout_table
from tunesmith.storage.tables import task_table as task_rows


async def kinds(house: House) -> list[str]:
    rows = await house.context.database.fetch_all("SELECT kind FROM holdout_looks ORDER BY id")
    return [row[0] for row in rows]


def test_every_request_counts_whatever_is_changed_about_it(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_court(tmp_path) as house:
            changes: list[dict[str, Any]] = [
                {},
                {"seed": 5},
                {"param_ranges": {"fast": [7, 9], "slow": [50]}},
                {"optimization_target": "total_return"},
                {"strategy_id": "ma_cross_v1.0", "param_ranges": {"fast_period": [5, 8], "signal_threshold": [0.0]}},
                {"timeframe": "2d"},
            ]
            looks = []
            for i, change in enumerate(changes):
                found = await searched(house, **change)
                strategy = change.get("strategy_id", "averages")
                verdict = await decided(house, found, user=f"user {i}", strategy_id=strategy)
                looks.append(await look_of(house, verdict))
            assert looks == list(range(1, len(changes) + 1))

    asyncio.run(main())


def test_looks_survive_a_restart_and_an_import_of_the_same_bars_again(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_court(tmp_path) as house:
            first = await decided(house, await searched(house))
            assert await look_of(house, first) == 1
        async with open_court(tmp_path) as house:
            house.context.market.import_rows(
                rows_of(noise()), symbol=NOISE, timeframe="1d", venue="local", replace=True
            )
            second = await decided(house, await searched(house, timeframe="1d", seed=1))
            assert await look_of(house, second) == 2

    asyncio.run(main())


def test_the_same_request_gets_the_stored_verdict_and_is_no_look(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_court(tmp_path) as house:
            found = await searched(house)
            first = await decided(house, found)
            for user in ("local", "ann", "local", "ann", "bob"):
                assert await decided(house, found, user=user) == first
            assert await kinds(house) == ["verdict"]
        async with open_court(tmp_path) as house:
            assert await decided(house, found, user="carl") == first
            other = await decided(house, found, approval_criteria={**LAX, "min_trades": 3})
            assert other["verdict_id"] != first["verdict_id"]
            assert await look_of(house, other) == 2

    asyncio.run(main())


def test_the_test_of_a_later_look_takes_more_draws_until_there_are_too_many(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_court(tmp_path) as house:
            found = await searched(house)
            told = []
            for i in range(6):
                verdict = await decided(house, found, user=f"user {i}", approval_criteria={**LAX, "min_trades": i})
                told.append((verdict, next(c for c in verdict["checks"] if c["name"] == "budget")))
            assert [check["value"] for _, check in told] == [400.0 * k * k - 1.0 for k in range(1, 7)]
            assert [check["passed"] for _, check in told] == [True] * 5 + [False]
            assert told[5][0]["verdict"] == "insufficient_data"
            assert "the budget is spent until new bars are there" in told[5][0]["reason"]

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
            assert not [check for check in verdict["checks"] if check["segment"] in ("holdout", "all")]

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


def test_a_user_may_ask_three_times_of_a_holdout_and_others_may_still(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_court(tmp_path) as house:
            found = await searched(house)
            for i in range(3):
                await decided(house, found, approval_criteria={**LAX, "min_trades": i})
            with pytest.raises(Busy, match="you have asked for 3 verdicts on the hold-out of NOISE/USDT"):
                await decided(house, found, approval_criteria={**LAX, "min_trades": 3})
            assert await kinds(house) == ["verdict"] * 3
            other = await decided(house, found, user="ann", approval_criteria={**LAX, "min_trades": 3})
            assert await look_of(house, other) == 4

    asyncio.run(main())


def test_looks_are_past_once_the_whole_holdout_is_newer(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_court(tmp_path) as house:
            verdict = await decided(house, await searched(house))
            task = await task_rows.get(house.context.database, verdict["verdict_id"])
            assert task is not None
            asked = msgspec.json.decode(task.request, type=VerdictTask)
            window, end = asked.window, asked.until_ms
            database = house.context.database
            span, name = end - window.boundary_ms, (window.venue, window.symbol)
            for begins, n in ((window.boundary_ms, 1), (end - 1, 1), (end, 0)):
                seen = await holdout_table.looks(database, [name], begins, begins + span)
                assert len(seen) == n
            elsewhere = await holdout_table.looks(database, [("elsewhere", NOISE)], window.boundary_ms, end)
            assert elsewhere == []

    asyncio.run(main())


def test_a_verdict_that_is_driven_again_is_the_same_look(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_court(tmp_path) as house:
            verdict = await decided(house, await searched(house))
            context = house.context
            task = await task_rows.get(context.database, verdict["verdict_id"])
            assert task is not None
            asked = msgspec.json.decode(task.request, type=VerdictTask)
            of = Asked(windows=asked.windows, end_ms=asked.until_ms, thresholds=Thresholds())
            again = await enter(context, Job(task, context.tasks), of)
            assert again.look == 1
            assert await kinds(house) == ["verdict"]

    asyncio.run(main())


def test_verdicts_that_are_asked_for_at_once_are_looks_of_their_own(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_court(tmp_path) as house:
            found = await searched(house)
            verdicts = await asyncio.gather(
                *(decided(house, found, f"user {i}", approval_criteria={**LAX, "min_trades": i}) for i in range(4))
            )
            assert sorted([await look_of(house, verdict) for verdict in verdicts]) == [1, 2, 3, 4]

    asyncio.run(main())
