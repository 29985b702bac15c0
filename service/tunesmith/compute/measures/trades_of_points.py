"""Closed trades of many points, for targets that are functions of trades and not of metrics.

Each point is simulated by itself, which keeps its orders: some 0.2 ms a point beside the 0.1 ms of its metrics for a
rule on 6,000 bars. Every trade is kept, 32 bytes each, so callers take points in batches.
"""

from __future__ import annotations

import numpy as np

from tunesmith.compute.measures.point_simulation import SimulatePoint, point_simulation
from tunesmith.compute.measures.trades_kernel import COST, ENTRY, EXIT, N_TRADE_FIELDS, PROFIT, trades_nb
from tunesmith.compute.rules.strategy import Strategy
from tunesmith.compute.simulation.arrays import N_ORDERS, N_TOTALS, Results
from tunesmith.compute.simulation.execution import Execution
from tunesmith.compute.simulation.run import check_start, empty_results, prepare
from tunesmith.domain.array_types import Floats
from tunesmith.domain.closed_trades import ClosedTrades
from tunesmith.domain.market.bars import Bars

_BLOCK = 256
_FIRST_ORDERS = 256


def closed_trades_of(
    strategy: Strategy, bars: Bars, points: Floats, execution: Execution, *, start: int = 0
) -> list[ClosedTrades | None]:
    """The closed trades of each of `points` float64[n, p]; None for one that breaks a require(…).

    Raises `Invalid` for a start outside the bars.
    """
    check_start(bars, start)
    points = np.ascontiguousarray(points, np.float64)
    found: list[ClosedTrades | None] = [None] * len(points)
    chosen = np.flatnonzero(strategy.valid(points))
    prepared = prepare(bars)
    out = empty_results(np.empty((1, N_TOTALS)), n_orders=_FIRST_ORDERS)
    for lo in range(0, len(chosen), _BLOCK):
        rows = chosen[lo : lo + _BLOCK]
        simulate = point_simulation(strategy, prepared, points[rows], execution, start)
        for i, row in enumerate(rows):
            out = _simulated(simulate, i, out)
            found[row] = read_trades(out, bars, execution, start)
    return found


def _simulated(simulate: SimulatePoint, i: int, out: Results) -> Results:
    """`out` after the simulation of point i, or larger results where its orders found no room."""
    out.state[:] = 0.0
    simulate(i, out)
    n_orders = int(out.totals[0, N_ORDERS])
    if n_orders > len(out.orders):
        out = empty_results(out.totals, n_orders=2 * n_orders)
        simulate(i, out)
    return out


def read_trades(out: Results, bars: Bars, execution: Execution, start: int) -> ClosedTrades:
    """The closed trades of one point from its results, which had room for all its orders."""
    n_orders = int(out.totals[0, N_ORDERS])
    trades = np.empty((n_orders // 2, N_TRADE_FIELDS))
    trades = trades[: trades_nb(out.orders, n_orders, trades)]
    return ClosedTrades(
        profit_abs=trades[:, PROFIT].copy(),
        profit_ratio=trades[:, PROFIT] / trades[:, COST],
        opened_ms=bars.timestamp[trades[:, ENTRY].astype(np.int64)],
        closed_ms=bars.timestamp[trades[:, EXIT].astype(np.int64)],
        initial_cash=execution.initial_cash,
        first_ms=int(bars.timestamp[start]),
        last_ms=int(bars.timestamp[-1]),
    )
