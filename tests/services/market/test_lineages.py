"""The same candles under another name: one ledger, one hold-out, whichever name is asked for."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from services.decision_house import N_BARS, RULE, decided, grow, open_court, searched
from services.search_house import House
from storage.opened import made_as_they_closed
from tunesmith.domain.market.bars import Bars
from tunesmith.domain.market.resample import resample
from tunesmith.domain.market.timeframes import timeframe_ms
from tunesmith.errors import Conflict
from tunesmith.protocol.messages.markets import MarketRequest
from tunesmith.services.market.market_identity import lineage_of, renewed_since
from tunesmith.services.market.market_windows import boundary_of, window_of
from tunesmith.services.verdicts import ledger
from tunesmith.services.verdicts.search_book import n_counted
from tunesmith.storage.market.market_folder import MarketFolder
from tunesmith.storage.market.series import quote_symbol
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


def restamped(folder: Path, symbol: str, timeframe: str, begin_ms: int, *, backwards: bool = False) -> None:
    """Store the bars of the first market once more, one after the other from another time on and called longer ones."""
    store = MarketFolder(folder / "market")
    rows = rows_of(store.load("local", ONE, "1d"))
    if backwards:
        rows = [(0, close, high, low, open_, volume) for _, open_, high, low, close, volume in rows[::-1]]
    length = timeframe_ms(timeframe)
    moved = [(begin_ms + i * length, *row[1:]) for i, row in enumerate(rows)]
    store.import_rows(moved, symbol=symbol, timeframe=timeframe)


def test_looks_and_tries_stay_with_a_market_whose_times_were_changed_or_whose_candles_are_gone(tmp_path: Path) -> None:
    async def main() -> None:
        grow(tmp_path, ONE, 1, 0.0)
        async with open_court(tmp_path) as house:
            context = house.context
            await searched(house, ONE)
            begins = await boundary_of(context, "local", ONE)
            seeing = await house.ask("backtest.start", symbol=ONE, strategy_id=RULE, use_holdout=True)
            await house.ended(seeing["task_id"])
            n_before = context.market.list(symbol=ONE)[0].n_bars_from(begins)
            restamped(tmp_path, COPY, "2d", 946_684_800_000)
            restamped(tmp_path, "BACK/USDT", "1d", 946_684_800_000, backwards=True)
            shutil.rmtree(tmp_path / "market" / "local" / quote_symbol(ONE))
            for symbol in (COPY, "BACK/USDT"):
                window = await window_of(context, MarketRequest(), symbol, "long")
                lineage = await lineage_of(context, "local", symbol)
                assert ("local", ONE) in lineage.elsewhen
                asked = ledger.Asked(windows=[window], end_ms=context.market.list(symbol=symbol)[0].end_ms)
                found = await ledger.next_look(context, asked, ["ann"])
                assert f"a backtest looked at it under the name {ONE}" in str(found.burnt)
                assert await n_counted(context, "local", [window]) == 2, "the search and the backtest"
            [copied] = context.market.list(symbol=COPY)
            assert copied.n_bars_from(await boundary_of(context, "local", COPY)) == n_before

    asyncio.run(main())


def test_used_bars_that_were_replaced_are_no_evidence_and_their_budget_stays(tmp_path: Path) -> None:
    async def main() -> None:
        grow(tmp_path, ONE, 1, 0.0)
        async with open_court(tmp_path) as house:
            context = house.context
            search = await searched(house, ONE)
            grow(tmp_path, ONE, 1, 0.0, (N_BARS, N_BARS + 30))
            await searched(house, ONE, seed=1)
            [mark] = await context.database.fetch_all("SELECT id FROM market_marks")
            assert await renewed_since(context, ("local", ONE), "2000") is None, "bars were added"
            shutil.rmtree(tmp_path / "market" / "local" / quote_symbol(ONE))
            grow(tmp_path, ONE, 2, 0.0)
            with pytest.raises(Conflict, match=f"bars of {ONE} that it used were replaced on .*search again"):
                await decided(house, optimization_id=search)
            again = await searched(house, ONE, seed=2)
            assert (await decided(house, optimization_id=again))["verdict"] != "insufficient_data"
            marks = await context.database.fetch_all("SELECT id FROM market_marks")
            assert (len(marks), marks[0]["id"]) == (2, mark["id"])
            window = await window_of(context, MarketRequest(), ONE, "long")
            assert await n_counted(context, "local", [window]) == 3

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
