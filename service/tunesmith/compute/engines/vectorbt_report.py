"""vectorbt's report of a replayed trace, ready for JSON: its statistics, and its trades with our reasons."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from tunesmith.compute.engines.trace import Order, Trace
from tunesmith.compute.engines.vectorbt_replay import CLOSED, Backend, Replay, replay, year_of
from tunesmith.compute.simulation.execution import Execution
from tunesmith.domain.array_types import Flags, Floats, Ints
from tunesmith.domain.market.bars import Bars
from tunesmith.domain.market.timeframes import timeframe_ms

_IN_CASH = ("Start Value", "End Value", "Total Fees Paid", "Open Trade PnL", "Expectancy")
"""Statistics of vectorbt's that are amounts of cash."""
_SHORT = 1


@dataclass(frozen=True)
class FullReport:
    """vectorbt's report, ready for JSON: undefined is None, times are UTC milliseconds or text, durations text."""

    stats: dict[str, Any]
    trades: list[dict[str, Any]]


def full_report(theirs: Replay, trace: Trace, bars: Bars) -> FullReport:
    """vectorbt's statistics and trades (whole positions) of the replay of a trace."""
    import pandas as pd

    year = year_of(bars.bars_per_year, pd.Timedelta(timeframe_ms(bars.timeframe), "ms"))
    stats = theirs.portfolio.stats(settings={"year_freq": year})
    records = theirs.portfolio.positions.values.copy()
    for column in ("size", "entry_fees", "exit_fees", "pnl"):
        records[column] = records[column] / theirs.scale
    return FullReport(
        stats={str(name): _plain(value / theirs.scale if name in _IN_CASH else value) for name, value in stats.items()},
        trades=_trades(records, trace, bars.timestamp[trace.start :]),
    )


def warm_up(backend: Backend = "auto") -> None:
    """Replay a handful of bars, so that vectorbt compiles what it compiles on first use (numba engine: about 30 s)."""
    prices = np.array([100.0, 101.0, 99.0, 102.0, 101.0, 103.0])
    columns = {"open": prices, "high": prices, "low": prices, "close": prices, "volume": prices}
    hours = np.arange(len(prices), dtype=np.int64) * 3_600_000
    bars = Bars.from_arrays(hours, columns, symbol="warm/up", timeframe="1h")
    orders = (
        Order(0, "buy", 1.0, 100.0, 0.0, "entry"),
        Order(2, "sell", 1.0, 99.0, 0.0, "exit"),
        Order(3, "buy", 1.0, 102.0, 0.0, "entry"),
        Order(5, "sell", 1.0, 103.0, 0.0, "exit"),
    )
    equity = np.full(len(prices), 10_000.0)
    trace = Trace(0, orders, (), equity, equity * 0.0, equity * 0.0, np.empty(0, np.int64))
    full_report(replay(trace, bars, Execution(), 0, backend=backend), trace, bars)


def _trades(records: Any, trace: Trace, stamps: Ints) -> list[dict[str, Any]]:
    """vectorbt's position records as rows of a report; the reasons are those of the trace's closed trades."""
    closed = records["status"] == CLOSED
    reasons: list[str | None] = [trade.reason for trade in trace.trades[: len(records)]]
    reasons += [None] * (len(records) - len(reasons))
    columns = {
        "side": np.where(records["direction"] == _SHORT, "short", "long").tolist(),
        "status": np.where(closed, "closed", "open").tolist(),
        "size": _finite(records["size"]),
        "entry_time_ms": stamps[records["entry_idx"]].tolist(),
        "entry_price": _finite(records["entry_price"]),
        "exit_time_ms": _where(closed, stamps[records["exit_idx"]].tolist()),
        "exit_price": _where(closed, _finite(records["exit_price"])),
        "fees": _finite(records["entry_fees"] + records["exit_fees"]),
        "profit": _finite(records["pnl"]),
        "return": _finite(records["return"]),
        "reason": _where(closed, reasons),
    }
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _finite(column: Floats) -> list[float | None]:
    """Numbers as JSON has them: those that are not finite are None."""
    return _where(np.isfinite(column), column.tolist())


def _where(keeps: Flags, values: list[Any]) -> list[Any]:
    return [value if keep else None for keep, value in zip(keeps.tolist(), values, strict=True)]


def _plain(value: Any) -> Any:
    """A value as JSON has it: numbers that are not finite are None, times (in UTC) and durations are text."""
    if hasattr(value, "isoformat"):
        return str(value) if hasattr(value, "total_seconds") else value.tz_localize("UTC").isoformat()
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
