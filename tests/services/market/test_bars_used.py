"""What results say of the bars they were made with, and what is refused because too many are missing."""

from __future__ import annotations

import asyncio
import datetime as dt
from pathlib import Path

import pytest

from golden.candles import Row, candles
from services.search_house import House, open_house
from tunesmith.cli.search.next_search import command_of
from tunesmith.errors import Invalid

MINUTES = candles(5, 0.5, 9000, dt.datetime(2024, 1, 1, tzinfo=dt.UTC), dt.timedelta(minutes=1))
RULE = (
    "n = Int(10, 5, 20)\n"
    'enter_long(close > at("1h", close) and close > sma(close, n))\n'
    'exit_long(close < at("1h", close))\n'
)
LAX = {"min_sharpe": -99.0, "min_return": -1.0, "max_drawdown": 1.0, "min_profit_factor": 0.0, "min_trades": 0}


async def stored(house: House, symbol: str, rows: list[Row]) -> None:
    told = await house.ask("data.import", symbol=symbol, timeframe="1m", bars=rows)
    assert told["calendar"] == "24/7"


async def ended(house: House, kind: str, name: str, **data: object) -> dict[str, object]:
    task_id = (await house.ask(f"{kind}.start", strategy_id="hours", **data))[name]
    await house.ended(task_id)
    return await house.ask(f"{kind}.status", **{name: task_id})


def test_results_say_which_bars_are_missing_and_too_many_are_refused(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_house(tmp_path) as house:
            await house.ask("strategy.create", id="hours", code=RULE, name="Hours")
            await stored(house, "SOME/USDT", [row for i, row in enumerate(MINUTES) if i % 100 != 7])
            await stored(house, "MANY/USDT", [row for i, row in enumerate(MINUTES) if i % 10 != 7])
            await _says_what_is_missing(house)
            await _refuses_too_many(house)

    asyncio.run(main())


async def _says_what_is_missing(house: House) -> None:
    found = await ended(house, "backtest", "task_id", symbol="SOME/USDT")
    assert found["status"] == "completed", found
    report = await house.ask("report.get", report_id=found["report_id"])
    used = report["bars"]
    assert found["bars"] == used
    assert (used["calendar"], used["partial"]) == ("24/7", 0.0)
    assert used["missing"] == pytest.approx(0.01, abs=2e-4)
    [longer] = used["longer"]
    # every hundredth minute is missing: three hours of five have such a minute
    assert (longer["timeframe"], longer["stale"]) == ("1h", 0.0)
    n_hours = int(report["equity"][-1][0] - report["equity"][0][0]) // 3_600_000
    holed = {i // 60 for i in range(7, 9000, 100)}
    assert longer["partial"] == pytest.approx(sum(hour in holed for hour in range(n_hours)) / n_hours, abs=0.02)
    hours = await ended(house, "backtest", "task_id", symbol="SOME/USDT", timeframe="1h")
    assert hours["bars"]["partial"] == pytest.approx(longer["partial"], abs=0.02)
    walked = await ended(
        house, "walkforward", "walkforward_id", symbol="SOME/USDT", train_bars=3000, test_bars=1500, max_iterations=2
    )
    assert walked["bars"]["missing"] == used["missing"]
    assert walked["bars"]["longer"][0]["partial"] == pytest.approx(longer["partial"], abs=0.05)


async def _refuses_too_many(house: House) -> None:
    found = await ended(house, "backtest", "task_id", symbol="MANY/USDT")
    error = found["error"]
    assert (found["status"], error["code"]) == ("failed", "invalid")
    assert "1m bars of MANY/USDT that its calendar (24/7) expects are missing: 10.0%, and 5% may be" in error["detail"]
    assert "accept more with max_missing" in error["detail"]
    accepted = await ended(house, "backtest", "task_id", symbol="MANY/USDT", max_missing=0.2)
    assert accepted["bars"]["missing"] == pytest.approx(0.1, abs=1e-3)
    with pytest.raises((Invalid, ValueError)):
        await house.ask("backtest.start", symbol="MANY/USDT", strategy_id="hours", max_missing=1.5)
    search = await ended(house, "optimization", "optimization_id", symbol="MANY/USDT", max_missing=0.2, constraints=LAX)
    analysis = await house.ask("optimization.analyze", optimization_id=search["optimization_id"])
    assert analysis["recommendation"]["request"]["max_missing"] == 0.2
    assert "--max-missing 0.2" in command_of(analysis["recommendation"]["request"])
    verdict = await house.ask("strategy.approve", strategy_id="hours", optimization_id=search["optimization_id"])
    assert verdict["verdict"] == "insufficient_data"
    assert "that the calendar 24/7 expects are missing (10.0%, and 5% may be)" in verdict["reason"]
    assert "bars that are held out that the calendar 24/7 expects" in verdict["reason"]
