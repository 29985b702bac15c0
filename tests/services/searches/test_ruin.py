"""Searches and backtests that ruin the account end as answers, and one symbol's ruin fails no other's."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from services.decision_house import decided, grow, open_court
from services.search_house import House
from tunesmith.domain.market.bars import Bars
from tunesmith.domain.trading import RUIN, RUINED
from tunesmith.services.market.market_windows import Window
from tunesmith.storage.market.market_folder import MarketFolder

BTC, ETH = "BTC/USDT", "ETH/USDT"
QUICK = {"fast_period": 2, "slow_period": 5, "signal_threshold": 0.0}
COLUMNS = ("timestamp", "open", "high", "low", "close", "volume")
DEAR = {"fee_rate": 0.1, "slippage_rate": 0.1}


async def report_of(house: House, report_id: str) -> dict[str, Any]:
    return await house.ask("report.get", report_id=report_id)


def test_a_ruinous_search_has_a_report_and_a_verdict(tmp_path: Path) -> None:
    async def main() -> None:
        grow(tmp_path, BTC, 7, 0.0)
        async with open_court(tmp_path) as house:
            about = {"symbol": BTC, "timeframe": "1d", "strategy_id": "ma_cross_v1.0", "costs": DEAR}
            ranges = {**QUICK, "slow_period": [5, 6]}
            found = await house.search(**about, param_ranges=ranges, method="grid", constraints=["n_trades >= 1"])
            assert found["status"] == "completed", found
            report = await report_of(house, found["report_id"])
            assert report["metrics"]["total_return"] == pytest.approx(-1.0, abs=RUIN)
            assert len(report["trades"]) == report["metrics"]["n_trades"] > 20
            assert f"{BTC}: {RUINED}" in await house.log_of(found["optimization_id"])
            verdict = await decided(house, optimization_id=found["optimization_id"])
            assert verdict["verdict"] == "rejected"
            alone = await house.ask("backtest.start", **about, params=QUICK)
            await house.ended(alone["task_id"])
            status = await house.ask("backtest.status", task_id=alone["task_id"])
            assert status["status"] == "completed", status
            assert status["metrics"]["total_return"] == pytest.approx(-1.0, abs=RUIN)
            assert f"{BTC}: {RUINED}" in await house.log_of(alone["task_id"])

    asyncio.run(main())


def test_on_five_minute_bars_one_symbols_ruin_fails_no_other(tmp_path: Path, shared_data: Path) -> None:
    store = MarketFolder(tmp_path / "market")
    for symbol in (BTC, ETH):
        bars = Bars.read(shared_data / "spot" / f"{symbol[:3]}_USDT-5m.parquet", symbol=symbol, timeframe="5m")
        rows = [getattr(bars, name).tolist() for name in COLUMNS]
        if symbol == ETH:  # hardly a trade: after five days the price stands still
            for column in rows[1:5]:
                column[1500:] = [rows[4][1499]] * (len(column) - 1500)
        store.import_rows(list(zip(*rows, strict=True)), symbol=symbol, timeframe="5m")

    async def main() -> None:
        async with open_court(tmp_path) as house:
            costs = {"fee_rate": 0.001, "slippage_rate": 0.001}
            found = await house.search(
                symbols=[BTC, ETH], timeframe="5m", strategy_id="ma_cross_v1.0", costs=costs,
                param_ranges={**QUICK, "slow_period": [5, 6]}, method="grid", constraints=["n_trades >= 0"],
            )  # fmt: skip
            assert found["status"] == "completed", found
            reports = (await house.ask("report.list", optimization_id=found["optimization_id"]))["reports"]
            returns = {report["symbol"]: report["metrics"]["total_return"] for report in reports}
            assert returns[BTC] == pytest.approx(-1.0, abs=RUIN)
            assert returns[ETH] > -0.9
            verdict = await decided(house, optimization_id=found["optimization_id"])
            assert verdict["verdict"] in ("rejected", "insufficient_data")

    asyncio.run(main())


def test_a_window_that_was_stored_before_there_was_ruin_is_read_and_written_as_it_was() -> None:
    stored = {
        "venue": "local", "symbol": BTC, "timeframe": "1d", "start_ms": 0, "end_ms": 9, "boundary_ms": 5,
        "withheld": True, "costs": {}, "fill": "close", "direction": "long", "initial_cash": 100.0,
    }  # fmt: skip
    window = msgspec.convert(stored, Window)
    assert window.ruin is msgspec.UNSET
    assert "ruin" not in msgspec.to_builtins(window)
    assert b"ruin" not in msgspec.json.encode(window)
