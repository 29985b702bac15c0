"""Verdicts on a search over several symbols: one decision, a look at each hold-out, a package for each symbol."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from services.decision_house import N_BARS, RANGES, RULE, decided, grow, open_court, searched
from services.search_house import House
from services.verdict_house import evidence
from tunesmith.cli.decide.verdict_story import tell
from tunesmith.errors import Busy, Invalid
from tunesmith.protocol.canonical import canonical_hash
from tunesmith.services.market.market_windows import boundary_of
from tunesmith.storage.timestamps import iso

A, B, LONG = "A/USDT", "B/USDT", "LONG/USDT"
BOTH = [A, B]


async def both(house: House, symbols: list[str] = BOTH, **data: Any) -> str:
    """The id of a search over the symbols that has ended."""
    return await searched(house, None, symbols=symbols, **data)


async def n_looks(house: House) -> dict[str, int]:
    rows = await house.context.database.fetch_all(
        "SELECT symbol, count(*) FROM holdout_looks GROUP BY symbol ORDER BY symbol"
    )
    return {row[0]: row[1] for row in rows}


def test_an_edge_in_both_is_one_verdict_with_a_package_for_each(tmp_path: Path) -> None:
    async def main() -> None:
        grow(tmp_path, A, 7, 0.8)
        grow(tmp_path, B, 8, 0.8)
        async with open_court(tmp_path, n_workers=2) as house:
            found = await both(house)
            verdict = await decided(house, optimization_id=found)
            assert (verdict["verdict"], verdict["grade"]) == ("approved", "tested"), verdict["reason"]
            assert await n_looks(house) == {A: 1, B: 1}
            told = verdict["evidence"]["symbols"]
            apart = next(check for check in verdict["checks"] if check["name"] == "apart")
            assert (apart["value"], verdict["evidence"]["kept"]) == (2.0, BOTH)
            assert verdict["evidence"]["metrics"]["in_sample"]["sharpe"] == pytest.approx(
                (told[A]["sharpe"] + told[B]["sharpe"]) / 2
            )
            packages = verdict["parameter_packages"]
            assert [package["symbol"] for package in packages] == BOTH
            assert [package["decided_with"] for package in packages] == [[B], [A]]
            assert packages[0] == verdict["parameter_package"]
            assert packages[0]["params"] == packages[1]["params"]
            for package in packages:
                assert package["spread"] == verdict["evidence"]["spread"]["estimates"][package["symbol"]]["used"]
                own = verdict["evidence"]["holdout_symbols"][package["symbol"]]
                assert package["metrics"]["holdout"] == own
                assert package["package_id"] == canonical_hash({k: v for k, v in package.items() if k != "package_id"})
                latest = await house.ask("package.latest", symbol=package["symbol"])
                assert latest["package"] == package
            for symbol in BOTH:
                listed = await house.ask("verdict.list", symbol=symbol)
                assert [each["verdict_id"] for each in listed["verdicts"]] == [verdict["verdict_id"]]
            assert (await house.ask("verdict.list", symbol="C/USDT"))["total"] == 0
            replay = await house.ask("verdict.replay", package_id=packages[1]["package_id"])
            await house.ended(replay["task_id"])
            again = await house.ask("replay.status", task_id=replay["task_id"])
            assert (again["equal"], again["differences"]) == (True, []), again
            status = await house.ask("optimization.status", optimization_id=found)
            story = tell(verdict, await house.ask("report.get", report_id=verdict["report_id"]), status)
            for words in (f"on {A}, {B} 1d", f"in sample on {B}", f"{packages[1]['package_id'][:12]} for {B}"):
                assert words in story
            # the same winner, found once more, is no better than what is in force
            worse = await decided(house, optimization_id=await both(house, seed=3))
            assert worse["verdict"] == "rejected"
            stored = await evidence(house, worse["verdict_id"])
            [failed] = [check["name"] for check in stored["checks"] if not check["passed"]]
            assert (failed, stored["ledger"]["look"]) == ("incumbent", 2)

    asyncio.run(main())


def test_a_symbol_without_an_edge_that_another_carries_gets_no_package(tmp_path: Path) -> None:
    async def main() -> None:
        grow(tmp_path, A, 7, 0.8)
        grow(tmp_path, B, 3, 0.0)
        async with open_court(tmp_path) as house:
            verdict = await decided(house, optimization_id=await both(house, [B, A]))
            assert verdict["approved"], verdict["reason"]
            assert verdict["evidence"]["kept"] == [A]
            apart = verdict["evidence"]["searches"]["apart"]
            assert apart[A]["p"] <= 0.05 < apart[B]["p"]
            assert [package["symbol"] for package in verdict["parameter_packages"]] == [A]
            assert verdict["parameter_package"]["decided_with"] == [B]
            [listed] = (await house.ask("package.list"))["packages"]
            assert listed["package"] == verdict["parameter_package"]

    asyncio.run(main())


def test_the_symbol_that_was_looked_at_most_decides_and_one_that_is_used_up_uses_up_both(tmp_path: Path) -> None:
    async def main() -> None:
        grow(tmp_path, A, 7, 0.8)
        grow(tmp_path, B, 8, 0.8)
        async with open_court(tmp_path) as house:
            for i in range(2):
                criteria = {"min_trades": i + 1}
                await decided(house, optimization_id=await searched(house, B), approval_criteria=criteria)
            third = await decided(house, optimization_id=await both(house))
            assert third["evidence"]["ledger"]["look"] == 3
            alone = await decided(house, optimization_id=await searched(house, A))
            assert alone["evidence"]["ledger"]["look"] == 2
            assert await n_looks(house) == {A: 2, B: 3}
            seeing = await house.ask("backtest.start", symbol=A, strategy_id=RULE, use_holdout=True)
            await house.ended(seeing["task_id"])
            burnt = await decided(house, optimization_id=await both(house, seed=1))
            assert (burnt["verdict"], f"the hold-out of {A} is used up" in burnt["reason"]) == (
                "insufficient_data",
                True,
            )
            assert await n_looks(house) == {A: 3, B: 3}

    asyncio.run(main())


def test_the_holdout_of_several_begins_where_the_latest_does_and_ends_with_the_first(tmp_path: Path) -> None:
    async def main() -> None:
        grow(tmp_path, A, 7, 0.8)
        grow(tmp_path, LONG, 8, 0.8, (0, N_BARS + 200))
        async with open_court(tmp_path) as house:
            found = await both(house, [LONG, A])
            begins = [await boundary_of(house.context, "local", symbol) for symbol in (A, LONG)]
            assert begins[0] < begins[1]
            verdict = await decided(house, optimization_id=found)
            bars = {check["name"]: check["value"] for check in verdict["checks"] if check["segment"] == "data"}
            [series] = house.context.market.list(symbol=A)
            assert verdict["evidence"]["boundary_ms"] == begins[1]
            assert bars["holdout_bars"] == series.n_bars_from(begins[1])
            assert verdict["evidence"]["until_ms"] == series.end_ms
            if verdict["verdict"] == "approved":
                assert all(iso(begins[1]) < package["valid_until"] for package in verdict["parameter_packages"])

    asyncio.run(main())


def test_bars_of_several_lengths_are_refused(tmp_path: Path) -> None:
    async def main() -> None:
        grow(tmp_path, A, 7, 0.8)
        async with open_court(tmp_path) as house:
            rows = [(i * 14_400_000, 1.0, 1.0, 1.0, 1.0, 1.0) for i in range(1200)]
            house.context.market.import_rows(rows, symbol=B, timeframe="4h")
            given = {"strategy_id": RULE, "param_ranges": RANGES, "symbols": BOTH, "approve": {}}
            with pytest.raises(Invalid, match="bars of one length") as error:
                await house.ask("optimization.start", **given)
            assert error.value.path == "/data/approve"

    asyncio.run(main())


def test_a_quota_of_looks_holds_for_searches_that_go_on_to_a_verdict_and_for_what_is_asked_at_once(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        grow(tmp_path, A, 7, 0.8)
        async with open_court(tmp_path, quota=2) as house:
            given = {"symbol": A, "strategy_id": RULE, "param_ranges": RANGES, "method": "grid"}
            status = await house.search(**given, approve={})
            await house.ended(status["verdict_id"])
            assert await n_looks(house) == {A: 1}
            about = {"strategy_id": RULE, "optimization_id": status["optimization_id"]}
            criteria = [{"min_trades": i} for i in range(2, 5)]
            asked = await asyncio.gather(
                *(house.ask("strategy.approve", **about, approval_criteria=each) for each in criteria)
            )
            for each in asked:
                await house.ended(each["verdict_id"])
            told = [await house.ask("verdict.status", verdict_id=each["verdict_id"]) for each in asked]
            assert sorted(each["status"] for each in told) == ["completed"] + ["failed"] * 2
            assert {each["error"]["code"] for each in told if each["error"]} == {"busy"}
            assert await n_looks(house) == {A: 2}
            with pytest.raises(Busy, match="2 of your verdicts have looked"):
                await house.ask("optimization.start", **given, approve={})
            other = await house.search(**given, approve={}, user="ann")
            await house.ended(other["verdict_id"])
            assert await n_looks(house) == {A: 3}

    asyncio.run(main())


def test_the_same_request_at_once_is_one_verdict_and_one_look(tmp_path: Path) -> None:
    async def main() -> None:
        grow(tmp_path, A, 7, 0.8)
        async with open_court(tmp_path, quota=1) as house:
            search = await searched(house, A)
            asked = await asyncio.gather(
                *(
                    house.ask("strategy.approve", user=user, strategy_id=RULE, optimization_id=search)
                    for user in ("ann", "bob", "ann", "carl")
                )
            )
            [verdict_id] = {each["verdict_id"] for each in asked}
            await house.ended(verdict_id)
            later = await house.ask("strategy.approve", user="dora", strategy_id=RULE, optimization_id=search)
            assert later["verdict_id"] == verdict_id
            looks = await house.context.database.fetch_all("SELECT DISTINCT task_id FROM holdout_looks")
            assert [row[0] for row in looks] == [verdict_id]
            assert (await house.ask("verdict.list"))["total"] == 1

    asyncio.run(main())


def test_too_few_bars_are_no_look_and_tell_nothing_of_the_holdout(tmp_path: Path) -> None:
    async def main() -> None:
        grow(tmp_path, A, 7, 0.8)
        async with open_court(tmp_path, quota=1, min_holdout_bars=400) as house:
            search = await searched(house, A)
            for i in range(3):
                verdict = await decided(house, optimization_id=search, approval_criteria={"min_trades": i})
                assert verdict["verdict"] == "insufficient_data"
                assert verdict["evidence"]["ledger"]["look"] == 1
                assert {check["segment"] for check in verdict["checks"]} == {"data"}
                assert verdict["evidence"]["metrics"] == {}
            assert await n_looks(house) == {}

    asyncio.run(main())
