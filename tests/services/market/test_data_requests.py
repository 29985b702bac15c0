"""Market data over the wire: rows as somebody has them, what is refused at which field, and what removing leaves."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from services.decision_house import RULE, decided, grow, open_court, searched
from services.market.test_lineages import rows_of
from services.search_house import House
from tunesmith.errors import Conflict, Invalid, NotFound, TunesmithError
from tunesmith.protocol.messages.markets import MarketUses
from tunesmith.storage.market.market_folder import MarketFolder
from tunesmith.storage.tables import holdout_table, market_table
from tunesmith.storage.tables.market_uses import is_unmarked, stored_uses, uses

HOUR = 3_600_000
BEGIN = 1_705_708_800_000
ROWS = [[BEGIN + i * HOUR, 10.0 + i, 12.0 + i, 9.0 + i, 11.0 + i, 100.5] for i in range(30)]
NEW: dict[str, Any] = {"symbol": "NEW/USDT", "timeframe": "1h"}
TEXTS = [[f"01/02/2024 {hour:02d}:00", "1,5", "2,5", "1,25", "2,25", "7"] for hour in range(5)]
HEADER = ["Date", "Open", "High", "Low", "Close", "Volume"]
LISTS = [[row[0], row[1], row[4], row[2], row[3], row[5]] for row in ROWS]

REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "neither": ({}, "/data/bars", "neither bars nor rows"),
    "both": ({"bars": ROWS, "rows": ROWS}, "/data/rows", "does not go with bars"),
    "a layout of bars": ({"bars": ROWS, "layout": "kraken"}, "/data/layout", "does not go with bars"),
    "uneven rows": ({"rows": [ROWS[0], ROWS[1][:5]]}, "/data/rows/1", "has 5 values, not 6"),
    "an unknown layout": ({"rows": LISTS, "layout": "bitfinix"}, "/data/layout", "did you mean bitfinex"),
    "a layout of other columns": ({"rows": LISTS, "layout": "kraken"}, "/data/layout", "has 7 columns, this one has 6"),
    "unproven columns": ({"rows": ROWS[:2]}, "/data/columns", "do not prove which is which"),
    "no role": ({"rows": ROWS, "columns": "time,open,hihg,low,close"}, "/data/columns", "did you mean high"),
    "a missing role": ({"rows": ROWS, "columns": "time,open,high,low"}, "/data/columns", "no column is close"),
    "layout and columns": ({"rows": ROWS, "layout": "ccxt", "columns": "time"}, "/data/columns", "one of layout and"),
    "day or month": ({"rows": TEXTS, "header": HEADER}, "/data/time_format", "give time_format '%d/%m/%Y %H:%M' or"),
    "a form that reads none": (
        {"rows": TEXTS, "header": HEADER, "time_format": "%Y"}, "/data/time_format", "is no time (in the form %Y)",
    ),
    "no zone": (
        {"rows": TEXTS, "header": HEADER, "time_format": "%d/%m/%Y %H:%M", "timezone": "Mars"},
        "/data/timezone", "'Mars' is no time zone",
    ),
    "closing times": ({"rows": [[row[0] - 1, *row[1:]] for row in ROWS], "columns": "time,open,high,low,close,volume"},
                      "/data/times", "give times closing"),
    "new evidence alone": ({"bars": ROWS, "new_evidence": True}, "/data/new_evidence", "goes with replace"),
}  # fmt: skip


def test_rows_are_read_by_what_is_said_of_them_and_refused_at_the_field_that_is_wrong(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_court(tmp_path) as house:
            for name, (data, path, words) in REFUSED.items():
                with pytest.raises(Invalid) as refused:
                    await house.ask("data.import", **NEW, **data)
                assert (refused.value.path, words in refused.value.message) == (path, True), (name, refused.value)
            await _open_bars_are_refused(house)
            assert (await house.ask("data.list"))["data"] == []
            first = await house.ask("data.import", **NEW, rows=LISTS, layout="bitfinex")
            again = await house.ask("data.import", **NEW, bars=ROWS)
            assert (first["n_new"], again["n_new"]) == (30, 0)
            texts = {"symbol": "币安人生/USDT", "timeframe": "1h", "rows": TEXTS, "header": HEADER, "decimal": ","}
            zoned = await house.ask("data.import", **texts, time_format="%d/%m/%Y %H:%M", timezone="Asia/Shanghai")
            assert zoned["start"] == "2024-01-31T16:00:00.000Z"
            changed = [[*ROWS[0][:5], 7.0], *ROWS[1:]]
            with pytest.raises(Conflict, match="import with replace"):
                await house.ask("data.import", **NEW, bars=changed)
            assert (await house.ask("data.import", **NEW, bars=changed, replace=True))["n_new"] == 1

    asyncio.run(main())


async def _open_bars_are_refused(house: House) -> None:
    begin = int(time.time() * 1000) // HOUR * HOUR
    late = [[begin + (i - 29) * HOUR, *row[1:]] for i, row in enumerate(ROWS)]
    with pytest.raises(Invalid, match="it is not final") as refused:
        await house.ask("data.import", **NEW, bars=late)
    assert refused.value.path == "/data/bars"
    with pytest.raises(Invalid, match="2 bars lie in the future"):
        await house.ask("data.import", **NEW, bars=[[row[0] + HOUR, *row[1:]] for row in late])
    open_bar = {"symbol": "OPEN/USDT", "timeframe": "1h", "rows": late, "columns": "time,open,high,low,close,volume"}
    kept = await house.ask("data.import", **open_bar, drop_open=True)
    assert (kept["n_bars"], kept["n_dropped"]) == (29, 1)
    await house.ask("data.remove", symbol="OPEN/USDT")


def test_removed_candles_leave_every_count_and_used_ones_are_replaced_as_new_evidence(tmp_path: Path) -> None:
    async def main() -> None:
        symbol = "贵州茅台"
        grow(tmp_path, symbol, 7, 0.8)
        async with open_court(tmp_path) as house:
            verdict = await decided(house, optimization_id=await searched(house, symbol))
            assert verdict["verdict"] == "approved", verdict["reason"]
            shown = await house.ask("data.show", symbol=symbol)
            [package] = [each["package"]["package_id"] for each in (await house.ask("package.list"))["packages"]]
            assert shown["uses"] == {"tasks": [], "schedules": [], "packages": [package], "searches": 1, "looks": 1}
            assert shown["withheld_from"] == (await house.ask("data.list"))["data"][0]["withheld_from"]
            assert [(each["timeframe"], each["gaps"]) for each in shown["data"]] == [("1d", [])]
            rows = rows_of(MarketFolder(tmp_path / "market").load("local", symbol, "1d"))
            await _replaced_only_as_new_evidence(house, symbol, rows)
            for data, kind, words in (
                ({"symbol": symbol}, Conflict, f"a package in force ({package}); force removes"),
                ({"symbol": symbol, "timeframe": "1h", "force": True}, NotFound, "there is 1d"),
                ({"symbol": "NONE/USDT"}, NotFound, "no market data"),
            ):
                with pytest.raises(TunesmithError) as refused:
                    await house.ask("data.remove", **data)
                assert isinstance(refused.value, kind)
                assert words in refused.value.message
            removed = await house.ask("data.remove", symbol=symbol, force=True)
            assert (removed["timeframes"], removed["n_bars"]) == (["1d"], len(rows))
            kept = "SELECT passing FROM requests WHERE type = 'data.remove' AND reply LIKE '{\"data\"%'"
            assert [row[0] for row in await house.context.database.fetch_all(kept)] == [0], (
                "its reply is no passing one"
            )
            assert (await house.ask("data.list"))["data"] == []
            MarketFolder(tmp_path / "market").import_rows(rows, symbol="BACK/USDT", timeframe="1d", venue="north")
            burnt = await house.ask("backtest.start", symbol="BACK/USDT", strategy_id=RULE, use_holdout=True)
            await house.ended(burnt["task_id"])
            back = await house.ask("data.show", symbol="BACK/USDT")
            assert back["other_names"] == [f"local {symbol}"]
            assert back["withheld_from"] == shown["withheld_from"]
            second = await decided(house, optimization_id=await searched(house, "BACK/USDT"))
            assert second["verdict"] == "insufficient_data", second["reason"]

    asyncio.run(main())


def test_what_an_older_program_worked_on_is_marked_before_it_is_removed(tmp_path: Path) -> None:
    async def main() -> None:
        grow(tmp_path, "OLD/USDT", 7, 0.8)
        async with open_court(tmp_path) as house:
            database, name = house.context.database, ("local", "OLD/USDT")
            assert not is_unmarked(database.path, name)
            await database.write(lambda conn: holdout_table.set_boundary(conn, *name, 1_550_000_000_000))
            assert is_unmarked(database.path, name)
            await house.ask("data.remove", symbol="OLD/USDT")
            assert not is_unmarked(database.path, name)
            assert stored_uses(database.path, name) == await uses(database, name) == MarketUses()

    asyncio.run(main())


async def _replaced_only_as_new_evidence(house: House, symbol: str, rows: list[Any]) -> None:
    changed = {"symbol": symbol, "timeframe": "1d", "bars": [[*rows[5][:5], rows[5][5] + 1.0]], "replace": True}
    with pytest.raises(Conflict, match="With replace and new_evidence they are replaced") as refused:
        await house.ask("data.import", **changed)
    assert refused.value.path == "/data/bars"
    name = "local", symbol
    assert await market_table.renewed(house.context.database, name, "2000") is None
    assert (await house.ask("data.import", **changed, new_evidence=True))["n_new"] == 1
    first = await market_table.renewed(house.context.database, name, "2000")
    assert first is not None
    again = {
        **changed,
        "bars": [[*rows[5][:5], rows[5][5] + 2.0]],
        "new_evidence": True,
        "calendar": "Mon-Mon 09:00-10:00",
    }
    kept = await house.ask("data.import", **again)
    assert [("the bars are stored, the calendar is not" in each) for each in kept["warnings"]] == [True]
    assert str(await market_table.renewed(house.context.database, name, "2000")) > str(first)
