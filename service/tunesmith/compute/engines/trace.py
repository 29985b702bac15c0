"""One point in full: every order, every trade, and the account at each bar's close."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tunesmith.compute.measures.account_metrics import metrics_of
from tunesmith.compute.measures.path_metrics import path_metrics
from tunesmith.compute.rules.binding import bind
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
from tunesmith.compute.simulation.run import PreparedBars, check_start, empty_results, prepare, terms_of, walk_signals
from tunesmith.compute.strategies.stepped_run import walk_of
from tunesmith.domain.market.bars import Bars
from tunesmith.domain.metrics import METRICS
from tunesmith.errors import Invalid

_DUST = 1e-9


class Order(NamedTuple):
    """A filled order. `price` with slippage, `fee` all its fees in cash; `reason` is one of `kernel_arrays.REASONS`."""

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
    equity: NDArray[np.float64]
    returns: NDArray[np.float64]
    position: NDArray[np.float64]
    ambiguous_bars: NDArray[np.int64]
    metrics: Mapping[str, float] = field(default_factory=dict)


def trace(strategy: Strategy, bars: Bars, point: NDArray[np.float64], execution: Execution, *, start: int = 0) -> Trace:
    """Trace `point` float64[p], stepping every bar: the same numbers as `evaluate_points`, by the longer way.

    Raises `Invalid` for a start outside the bars and for a point that breaks a require(…).
    """
    check_start(bars, start)
    points = np.ascontiguousarray(point, np.float64)[np.newaxis]
    if not strategy.valid(points)[0]:
        raise Invalid("these parameters break a require(…) of the strategy")
    n_bars = len(bars) - start
    prepared = prepare(bars)
    first = empty_results(np.empty((1, N_TOTALS)))
    _walk(strategy, prepared, points, execution, start, first)
    out = empty_results(
        np.empty((1, N_TOTALS)),
        n_orders=int(first.totals[0, N_ORDERS]),
        n_marks=n_bars,
        n_ambiguous=int(first.totals[0, N_AMBIGUOUS]),
    )
    _walk(strategy, prepared, points, execution, start, out)
    found = metrics_of(out.totals, n_bars, bars.bars_per_year, execution.initial_cash)
    found |= path_metrics(prepared, execution, start, out)
    return replace(read_trace(out, execution, start), metrics={name: float(found[name][0]) for name in METRICS})


def read_trace(out: Results, execution: Execution, start: int) -> Trace:
    """The trace of one point from a kernel's results, which had room for all its orders, marks and ambiguous bars."""
    orders = tuple(_order(row) for row in out.orders[: int(out.totals[0, N_ORDERS])])
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


def trades_of(orders: tuple[Order, ...]) -> list[Trade]:
    """The closed positions that `orders` make, in order; a position still open at the end is none of them."""
    trades = []
    open_orders: list[Order] = []
    size = traded = 0.0
    for order in orders:
        open_orders.append(order)
        size += order.size if order.side == "buy" else -order.size
        traded += order.size
        if abs(size) <= _DUST * traded:
            trades.append(_trade(open_orders))
            open_orders, size, traded = [], 0.0, 0.0
    return trades


def _trade(orders: list[Order]) -> Trade:
    entering = orders[0].side
    entries = [order for order in orders if order.side == entering]
    exits = [order for order in orders if order.side != entering]
    size = sum(order.size for order in entries)
    cash = sum((order.size if order.side == "sell" else -order.size) * order.price - order.fee for order in orders)
    return Trade(
        side="long" if entering == "buy" else "short",
        entry_bar=orders[0].bar,
        exit_bar=orders[-1].bar,
        entry_price=sum(order.size * order.price for order in entries) / size,
        exit_price=sum(order.size * order.price for order in exits) / sum(order.size for order in exits),
        size=size,
        profit=cash,
        reason=orders[-1].reason,
    )


def _order(row: NDArray[np.float64]) -> Order:
    return Order(
        bar=int(row[ORDER_BAR]),
        side="buy" if row[ORDER_SIDE] > 0 else "sell",
        size=float(row[ORDER_SIZE]),
        price=float(row[ORDER_PRICE]),
        fee=float(row[ORDER_FEE]),
        reason=REASONS[int(row[ORDER_REASON])],
    )


def _walk(
    strategy: Strategy,
    prepared: PreparedBars,
    points: NDArray[np.float64],
    execution: Execution,
    start: int,
    out: Results,
) -> None:
    if strategy.kind == "kernel":
        terms = terms_of(execution, start, has_long=strategy.has_long, has_short=strategy.has_short)
        walk_of(strategy)(prepared, points, terms, out)
    else:
        signals = bind(strategy, prepared.bars, points).signals(0, 1)
        walk_signals(prepared, signals, execution, start, out, skips=False)
