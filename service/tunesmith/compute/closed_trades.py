"""Closed trades of many points, for targets that are functions of trades and not of metrics.

Each point is walked by itself, which keeps every order, and its trades are read in Python: about 25 µs a trade, a
millisecond or two a point where the metrics alone take a tenth. A target that reads trades suits tens of thousands of
points rather than millions.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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


@dataclass(frozen=True, eq=False)
class ClosedTrades:
    """The m closed trades of one point, in the order of closing, and the account and range that they belong to.

    `profit_abs` float64[m] net profit in cash; `profit_ratio` float64[m] the same as a fraction of what the entry cost,
    its fee included (of what a short's entry brought, its fee taken off); `opened_ms`, `closed_ms` int64[m] when the
    bars of entry and exit open, UTC milliseconds. `initial_cash` is the account's at `first_ms`, when the first bar
    opens that may be traded on; `last_ms` is when the last bar opens. A position open at the end is no closed trade.
    """

    profit_abs: NDArray[np.float64]
    profit_ratio: NDArray[np.float64]
    opened_ms: NDArray[np.int64]
    closed_ms: NDArray[np.int64]
    initial_cash: float
    first_ms: int
    last_ms: int

    def __len__(self) -> int:
        return len(self.profit_abs)


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
