"""From bars, signals and execution to the kernels' arrays, and back: one block of points at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunesmith.compute.kernels.masks import n_words_of, packed
from tunesmith.compute.simulation.account import N_STATE
from tunesmith.compute.simulation.account_path import walk_nb
from tunesmith.compute.simulation.arrays import (
    N_ORDER_FIELDS,
    Block,
    Conditions,
    LimitPrices,
    Limits,
    Market,
    Results,
    Tables,
    Terms,
)
from tunesmith.compute.simulation.execution import Execution
from tunesmith.compute.simulation.range_tables import build_tables
from tunesmith.compute.simulation.signals import Level, Signals
from tunesmith.domain.array_types import Floats, Words
from tunesmith.domain.market.bars import Bars
from tunesmith.errors import Invalid

_NO_PRICES = np.empty((0, 0))
_NO_WORDS = np.empty((0, 0), np.uint64)


@dataclass(frozen=True, eq=False)
class PreparedBars:
    """Bars with their prices as the kernels take them, and the tables over those."""

    bars: Bars
    market: Market
    tables: Tables


def prepare(bars: Bars) -> PreparedBars:
    """Prepare bars for any number of walks; read-only or mapped columns are copied. Linear in their number."""
    market = Market(*(plain(getattr(bars, name), np.float64) for name in Market._fields))
    return PreparedBars(bars, market, build_tables(market))


def plain(array: NDArray[Any], dtype: type) -> NDArray[Any]:
    """`array` itself when it is an ordinary writable C-contiguous array of `dtype`, else such a copy.

    A kernel is compiled for each kind of array that it meets; there shall be one.
    """
    flags = array.flags
    if type(array) is np.ndarray and array.dtype == dtype and flags.carray:
        return array
    return np.array(array, dtype, order="C", copy=True)


def empty_results(totals: Floats, *, n_orders: int = 0, n_marks: int = 0, n_ambiguous: int = 0) -> Results:
    """Results that fill `totals` float64[n, N_TOTALS]; orders, marks and ambiguous bars as far as there is room."""
    return Results(
        totals=totals,
        orders=np.empty((n_orders, N_ORDER_FIELDS)),
        marks=np.empty((2, n_marks)),
        ambiguous=np.empty((1, n_ambiguous)),
        state=np.zeros(N_STATE),
    )


def terms_of(execution: Execution, start: int, *, has_long: bool, has_short: bool, skips: bool = True) -> Terms:
    """`execution` in numbers; `has_long`, `has_short`: whether the strategy can enter that side."""
    costs = execution.costs
    return Terms(
        fee_rate=float(costs.fee_rate),
        slippage_rate=float(costs.slippage_rate),
        fixed_fee=float(costs.fixed_fee),
        initial_cash=float(execution.initial_cash),
        at_open=float(execution.fill == "next_open"),
        trades_long=float(has_long and execution.direction != "short"),
        trades_short=float(has_short and execution.direction != "long"),
        skips=float(skips),
        start=float(start),
        ruin=float(execution.ruin * execution.initial_cash),
    )


def walk_signals(
    prepared: PreparedBars,
    signals: Signals,
    execution: Execution,
    start: int,
    out: Results,
    *,
    skips: bool = True,
) -> None:
    """Evaluate a block of signals into `out`, whose totals have one row for each of its points."""
    terms = terms_of(
        execution,
        start,
        has_long=signals.enter_long is not None,
        has_short=signals.enter_short is not None,
        skips=skips,
    )
    block = pack_signals(signals, terms)
    walk_nb(
        tuple(prepared.market),
        tuple(prepared.tables),
        tuple(block.conditions),
        tuple(block.limits),
        tuple(block.prices),
        tuple(terms),
        tuple(out),
        (np.empty((signals.n_bars + 2, 2), np.int64), np.empty(signals.n_bars + 2)),
    )


def pack_signals(signals: Signals, terms: Terms) -> Block:
    """The block that a kernel reads; the sides that `terms` does not trade are left out."""
    shape = (signals.n_points, signals.n_bars)
    sides = {"long": terms.trades_long, "short": terms.trades_short}
    conditions = Conditions(
        *(
            _condition(getattr(signals, name), shape, sides[name.partition("_")[2]] != 0.0)
            for name in Conditions._fields
        )
    )
    levels = (signals.stop_loss, signals.take_profit, signals.trailing_stop)
    none = np.full(shape[0], np.nan)
    holding = np.zeros(shape[0]) if signals.max_holding is None else signals.max_holding.astype(np.float64)
    return Block(
        conditions,
        Limits(_fraction(levels[0], none), _fraction(levels[1], none), _fraction(levels[2], none), holding),
        LimitPrices(*map(_price, levels)),
    )


def _condition(values: NDArray[Any] | None, shape: tuple[int, int], traded: bool) -> Words:
    if not traded:
        return _NO_WORDS
    if values is None:
        return np.zeros((shape[0], n_words_of(shape[1])), np.uint64)
    return plain(values if values.dtype == np.uint64 else packed(values), np.uint64)


def _fraction(level: Level | None, none: Floats) -> Floats:
    return none if level is None or level.fraction is None else plain(level.fraction, np.float64)


def _price(level: Level | None) -> Floats:
    return _NO_PRICES if level is None or level.price is None else plain(level.price, np.float64)


def check_start(bars: Bars, start: int) -> None:
    """Raise `Invalid` where `start` is not the index of a bar."""
    if not 0 <= start < len(bars):
        raise Invalid(f"trading cannot start at bar {start}: there are {len(bars)}")
