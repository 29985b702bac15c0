"""Closed trades of many points, from their traces.

Each point is traced by itself, which keeps every order: about a hundred times the cost of its metrics alone, so a
target that reads trades suits thousands of points, not hundreds of thousands.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tunesmith.compute.closed_trades import ClosedTrades
from tunesmith.compute.evaluate import check_start
from tunesmith.compute.execution import Execution
from tunesmith.compute.kernel_arrays import N_ORDERS, N_TOTALS
from tunesmith.compute.rules.binding import bind
from tunesmith.compute.rules.strategy import Strategy
from tunesmith.compute.trace import Trace, read_trace, trace
from tunesmith.compute.walk import PreparedBars, empty_results, prepare, walk_signals
from tunesmith.domain.bars import Bars

_BLOCK = 256
_FIRST_ORDERS = 256


def closed_trades_of(
    strategy: Strategy, bars: Bars, points: NDArray[np.float64], execution: Execution, *, start: int = 0
) -> list[ClosedTrades | None]:
    """The closed trades of each of `points` float64[n, p]; None for one that breaks a require(…).

    Raises `Invalid` for a start outside the bars.
    """
    points = np.ascontiguousarray(points, np.float64)
    found: list[ClosedTrades | None] = [None] * len(points)
    chosen = np.flatnonzero(strategy.valid(points))
    prepared = prepare(bars)
    for lo in range(0, len(chosen), _BLOCK):
        rows = chosen[lo : lo + _BLOCK]
        for row, path in zip(rows, _paths(strategy, prepared, points[rows], execution, start), strict=True):
            found[row] = read_closed_trades(path, bars, execution)
    return found


def _paths(
    strategy: Strategy, prepared: PreparedBars, points: NDArray[np.float64], execution: Execution, start: int
) -> Iterator[Trace]:
    """A trace of each point with its orders and trades; a rule's has no equity."""
    check_start(prepared.bars, start)
    if strategy.kind == "kernel":
        for point in points:
            yield trace(strategy, prepared.bars, point, execution, start=start)
        return
    bound = bind(strategy, prepared.bars, points)
    out = empty_results(np.empty((1, N_TOTALS)), n_orders=_FIRST_ORDERS)
    for i in range(len(points)):
        signals = bound.signals(i, i + 1)
        out.state[:] = 0.0
        walk_signals(prepared, signals, execution, start, out)
        n_orders = int(out.totals[0, N_ORDERS])
        if n_orders > len(out.orders):
            out = empty_results(out.totals, n_orders=2 * n_orders)
            walk_signals(prepared, signals, execution, start, out)
        yield read_trace(out, execution, start)


def read_closed_trades(path: Trace, bars: Bars, execution: Execution) -> ClosedTrades:
    """The closed trades of a trace over `bars`."""
    trades = path.trades
    fees = _entry_fees(path)
    cost = np.array(
        [t.size * t.entry_price + (fee if t.side == "long" else -fee) for t, fee in zip(trades, fees, strict=True)]
    )
    profit = np.array([trade.profit for trade in trades])
    return ClosedTrades(
        profit_abs=profit,
        profit_ratio=profit / cost,
        opened_ms=bars.timestamp[[trade.entry_bar for trade in trades]] if trades else np.empty(0, np.int64),
        closed_ms=bars.timestamp[[trade.exit_bar for trade in trades]] if trades else np.empty(0, np.int64),
        initial_cash=execution.initial_cash,
        first_ms=int(bars.timestamp[path.start]),
        last_ms=int(bars.timestamp[-1]),
    )


def _entry_fees(path: Trace) -> list[float]:
    """What the entry orders of each closed trade paid in fees: entries go on until they make up the trade's size."""
    fees = []
    orders = iter(path.orders)
    for trade in path.trades:
        entering = "buy" if trade.side == "long" else "sell"
        entered = left = fee = 0.0
        for order in orders:
            if order.side == entering:
                entered += order.size
                fee += order.fee
            else:
                left += order.size
            if abs(entered - left) <= 1e-9 * (entered + left):
                break
        fees.append(fee)
    return fees
