"""One point in full: every order, every trade, and the account at each bar's close."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

import numpy as np

from tunesmith.compute.measures.account_metrics import metrics_of
from tunesmith.compute.measures.path_metrics import path_metrics
from tunesmith.compute.measures.point_simulation import point_simulation
from tunesmith.compute.rules.strategy import Strategy
from tunesmith.compute.simulation.arrays import (
    N_AMBIGUOUS,
    N_ORDERS,
    N_TOTALS,
    ORDER_BAR,
    ORDER_FEE,
    ORDER_PRICE,
    ORDER_REASON,
    ORDER_SIDE,
    ORDER_SIZE,
    REASONS,
    Results,
)
from tunesmith.compute.simulation.execution import Execution
from tunesmith.compute.simulation.run import check_start, empty_results, prepare
from tunesmith.domain.array_types import Floats, Ints
from tunesmith.domain.market.bars import Bars
from tunesmith.domain.metrics import METRICS
from tunesmith.errors import Invalid

_DUST = 1e-9
_FIRST_ROOM = 256
"""Orders, beside one for every eighth bar, that find room in the first simulation; more need a second one."""


class Order(NamedTuple):
    """A filled order. `price` with slippage, `fee` all its fees in cash; `reason` is one of `arrays.REASONS`."""

    bar: int
    side: Literal["buy", "sell"]
    size: float
    price: float
    fee: float
    reason: str


class Trade(NamedTuple):
    """A closed position, from flat to flat; prices are averages over its orders, `profit` is net, in cash."""

    side: Literal["long", "short"]
    entry_bar: int
    exit_bar: int
    entry_price: float
    exit_price: float
    size: float
    profit: float
    reason: str


@dataclass(frozen=True, eq=False)
class Trace:
    """What one point did from bar `start` on, with bar numbers of the whole bars.

    `equity`, `returns`, `position` float64[T - start] at the close of each bar; `ambiguous_bars` int64[k] touched stop
    and target both, and took the stop. `metrics` has every metric of the table, NaN where undefined; a trace that was
    made from orders alone has none.
    """

    start: int
    orders: tuple[Order, ...]
    trades: tuple[Trade, ...]
    equity: Floats
    returns: Floats
    position: Floats
    ambiguous_bars: Ints
    metrics: Mapping[str, float] = field(default_factory=dict)


def trace(strategy: Strategy, bars: Bars, point: Floats, execution: Execution, *, start: int = 0) -> Trace:
    """Trace `point` float64[p], stepping every bar: the same numbers as `evaluate_points`, by the longer way.

    Raises `Invalid` for a start outside the bars and for a point that breaks a require(…).
    """
    check_start(bars, start)
    points = np.ascontiguousarray(point, np.float64)[np.newaxis]
    if not strategy.valid(points)[0]:
        raise Invalid("these parameters break a require(…) of the strategy")
    n_bars = len(bars) - start
    prepared = prepare(bars)
    simulate = point_simulation(strategy, prepared, points, execution, start, skips=False)
    room = _FIRST_ROOM + n_bars // 8
    out = _results(n_bars, n_orders=room, n_ambiguous=room)
    simulate(0, out)
    n_orders, n_ambiguous = int(out.totals[0, N_ORDERS]), int(out.totals[0, N_AMBIGUOUS])
    if max(n_orders, n_ambiguous) > room:
        out = _results(n_bars, n_orders=n_orders, n_ambiguous=n_ambiguous)
        simulate(0, out)
    found = metrics_of(out.totals, n_bars, bars.bars_per_year, execution.initial_cash)
    found |= path_metrics(prepared, execution, start, out)
    return replace(read_trace(out, execution, start), metrics={name: float(found[name][0]) for name in METRICS})


def _results(n_bars: int, *, n_orders: int, n_ambiguous: int) -> Results:
    return empty_results(np.empty((1, N_TOTALS)), n_orders=n_orders, n_marks=n_bars, n_ambiguous=n_ambiguous)


def read_trace(out: Results, execution: Execution, start: int) -> Trace:
    """The trace of one point from a kernel's results, which had room for all its orders, marks and ambiguous bars."""
    orders = read_orders(out.orders[: int(out.totals[0, N_ORDERS])])
    equity = out.marks[0].copy()
    before = np.concatenate([[execution.initial_cash], equity[:-1]])
    returns = np.divide(equity, before, out=np.ones(len(equity)), where=before > 0.0) - 1.0
    return Trace(
        start=start,
        orders=orders,
        trades=tuple(trades_of(orders)),
        equity=equity,
        returns=returns,
        position=out.marks[1].copy(),
        ambiguous_bars=out.ambiguous[0, : int(out.totals[0, N_AMBIGUOUS])].astype(np.int64),
    )


def read_orders(rows: Floats) -> tuple[Order, ...]:
    """The orders of `rows` float64[m, N_ORDER_FIELDS], in the order of filling."""
    sides = ["buy" if positive else "sell" for positive in (rows[:, ORDER_SIDE] > 0.0).tolist()]
    columns = (
        rows[:, ORDER_BAR].astype(np.int64).tolist(),
        sides,
        rows[:, ORDER_SIZE].tolist(),
        rows[:, ORDER_PRICE].tolist(),
        rows[:, ORDER_FEE].tolist(),
        [REASONS[reason] for reason in rows[:, ORDER_REASON].astype(np.int64).tolist()],
    )
    return tuple(itertools.starmap(Order, zip(*columns, strict=True)))


def trades_of(orders: tuple[Order, ...]) -> list[Trade]:
    """The closed positions that `orders` make, in order; a position still open at the end is none of them."""
    trades = []
    size = traded = 0.0
    first = 0
    for i, order in enumerate(orders):
        size += order.size if order.side == "buy" else -order.size
        traded += order.size
        if abs(size) <= _DUST * traded:
            trades.append(_trade(orders[first : i + 1]))
            first, size, traded = i + 1, 0.0, 0.0
    return trades


def _trade(orders: tuple[Order, ...]) -> Trade:
    entering = orders[0].side
    entered = exited = paid = received = cash = 0.0
    for order in orders:
        value = order.size * order.price
        if order.side == entering:
            entered += order.size
            paid += value
        else:
            exited += order.size
            received += value
        cash += (value if order.side == "sell" else -value) - order.fee
    return Trade(
        side="long" if entering == "buy" else "short",
        entry_bar=orders[0].bar,
        exit_bar=orders[-1].bar,
        entry_price=paid / entered,
        exit_price=received / exited,
        size=entered,
        profit=cash,
        reason=orders[-1].reason,
    )
