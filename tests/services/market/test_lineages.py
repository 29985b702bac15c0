"""The same candles under another name: one ledger, one hold-out, whichever name is asked for."""

from __future__ import annotations

import asyncio
from pathlib import Path

from services.decision_house import N_BARS, RULE, decided, grow, open_court, searched
from services.search_house import House
from storage.opened import made_as_they_closed
from tunesmith.domain.market.bars import Bars
from tunesmith.domain.market.resample import resample
from tunesmith.services.market.market_identity import lineage_of
from tunesmith.services.market.market_windows import boundary_of
from tunesmith.storage.market.market_folder import MarketFolder
from tunesmith.storage.tables import holdout_table
from tunesmith.storage.tables.holdout_table import Name

ONE, COPY, OTHER = "ONE/USDT", "COPY/USDT", "OTHER/USDT"


def rows_of(bars: Bars) -> list[tuple[int, float, float, float, float, float]]:
    columns = [getattr(bars, name).tolist() for name in ("timestamp", "open", "high", "low", "close", "volume")]
    return list(zip(*columns, strict=True))


def copy(folder: Path, timeframe: str = "1d", start: int = 0, venue: str = "local", symbol: str = COPY) -> None:
    """Store the bars of the first market from number `start` on once more."""
    store = MarketFolder(folder / "market")
    bars = store.load("local", ONE, "1d")
    made = resample(bars.slice(start, len(bars)), timeframe)
    store.import_rows(rows_of(made), symbol=symbol, timeframe=timeframe, venue=venue)


async def names_of(house: House, symbol: str) -> list[Name]:
    return (await lineage_of(house.context, "local", symbol)).names


def test_a_copy_has_the_looks_and_the_holdout_of_what_it_was_made_of(tmp_path: Path) -> None:
    async def main() -> None:
        grow(tmp_path, ONE, 7, 0.8)
        grow(tmp_path, OTHER, 8, 0.8)
        async with open_court(tmp_path) as house:
            context = house.context
            first = await decided(house, optimization_id=await searched(house, ONE))
            assert first["evidence"]["ledger"]["look"] == 1
            begins = await boundary_of(context, "local", ONE)
            copy(tmp_path, start=300)
            copy(tmp_path, "2d", venue="north", symbol=ONE)
            for name in (("local", COPY), ("north", ONE)):
                assert await boundary_of(context, *name) == begins, "its own would lie later"
            assert await names_of(house, ONE) == [("local", ONE), ("local", COPY), ("north", ONE)]
            assert await names_of(house, OTHER) == [("local", OTHER)]
            found = await searched(house, COPY)
            second = await decided(house, optimization_id=found)
            assert second["evidence"]["ledger"]["look"] == 2
            assert second["evidence"]["boundary_ms"] == begins
            other = await decided(house, optimization_id=await searched(house, OTHER))
            assert other["evidence"]["ledger"]["look"] == 1
            seeing = await house.ask("backtest.start", symbol=ONE, venue="north", strategy_id=RULE, use_holdout=True)
            await house.ended(seeing["task_id"])
            burnt = await decided(house, optimization_id=await searched(house, COPY, seed=5), user="ann")
            assert burnt["verdict"] == "insufficient_data"
            assert f"a backtest looked at it under the name {ONE}" in burnt["reason"]

    asyncio.run(main())


def test_names_that_were_known_apart_have_the_later_boundary_once_they_are_known_as_one(tmp_path: Path) -> None:
    async def main() -> None:
        grow(tmp_path, ONE, 1, 0.0)
        async with open_court(tmp_path) as house:
            context = house.context
            early = await boundary_of(context, "local", ONE)
            [series] = context.market.list(symbol=ONE)
            late = series.time_at(0.8)
            await context.database.write(lambda conn: holdout_table.set_boundary(conn, "local", COPY, late))
            assert await boundary_of(context, "local", ONE) == early < late
            copy(tmp_path)
            assert await boundary_of(context, "local", ONE) == late
            assert await boundary_of(context, "local", COPY) == late
            status = await house.ask("optimization.status", optimization_id=await searched(house, ONE))
            [listed] = (await house.ask("data.list", symbol=ONE))["data"]
            assert listed["withheld_from"] == status["withheld_from"]

    asyncio.run(main())


def test_a_holdout_moves_past_the_looks_under_every_name(tmp_path: Path) -> None:
    async def main() -> None:
        grow(tmp_path, ONE, 1, 0.0)
        async with open_court(tmp_path) as house:
            context = house.context
            begins = await boundary_of(context, "local", ONE)
            grow(tmp_path, ONE, 1, 0.0, (N_BARS, N_BARS + 150))
            copy(tmp_path)
            assert await boundary_of(context, "local", COPY) == begins
            seeing = await house.ask("backtest.start", symbol=COPY, strategy_id=RULE, use_holdout=True)
            await house.ended(seeing["task_id"])
            await context.database.write(made_as_they_closed)
            end = context.market.list(symbol=COPY)[0].end_ms
            grow(tmp_path, ONE, 1, 0.0, (N_BARS + 150, N_BARS + 249))
            assert await boundary_of(context, "local", ONE) == begins, "one bar is missing"
            grow(tmp_path, ONE, 1, 0.0, (N_BARS + 249, N_BARS + 250))
            assert await boundary_of(context, "local", ONE) == end
            assert await boundary_of(context, "local", COPY) == end

    asyncio.run(main())


def test_markets_that_an_older_program_worked_on_are_marked_when_they_are_needed(tmp_path: Path) -> None:
    async def main() -> None:
        grow(tmp_path, ONE, 1, 0.0)
        async with open_court(tmp_path) as house:
            await boundary_of(house.context, "local", ONE)
            await house.context.database.write(lambda conn: conn.execute("DELETE FROM market_marks"))
        copy(tmp_path)
        async with open_court(tmp_path) as house:
            assert await names_of(house, COPY) == [("local", COPY), ("local", ONE)]

    asyncio.run(main())
