"""Sums over blocks of bars, of an account's returns and of their products with the market's, from its orders.

Between two orders a long that holds all equity earns what the market earns, so that its sums are differences of prefix
sums, for a whole block at once; anything else is stepped bar by bar. A long-only rule costs by order and block.
"""

from __future__ import annotations

from typing import NamedTuple

from tunesmith.compute.kernels.compiling import inlined, kernel
from tunesmith.compute.simulation.arrays import (
    LIQUIDATION,
    ORDER_BAR,
    ORDER_FEE,
    ORDER_PRICE,
    ORDER_REASON,
    ORDER_SIDE,
    ORDER_SIZE,
)
from tunesmith.compute.simulation.range_tables import SQUARES, SUM, stretch_sum_nb
from tunesmith.domain.array_types import Floats

RETURNS, RETURN_SQUARES, PRODUCTS = range(3)

CASH_DUST = 1e-12
"""Cash beside a long up to this share of its value is what rounding left of it."""
SIZE_DUST = 1e-9
"""A position up to this share of the last order is none."""


class OrderLog(NamedTuple):
    """The orders of n points one after the other, as in `Results`, and how many each has, float64[n]."""

    orders: Floats
    n_orders: Floats


class BlockMarket(NamedTuple):
    """Closes float64[T] and the prefix sums of `Tables`."""

    close: Floats
    prefix: Floats


class BlockTerms(NamedTuple):
    """Initial cash, first bar of the account, first bar of the first block, bars of a block; float64 each."""

    initial_cash: float
    start: float
    first: float
    length: float


class HeldStretch(NamedTuple):
    """A long that is held from bar `bar` to `stop` - 1; the blocks of `length` bars begin at bar `first`."""

    bar: int
    stop: int
    first: int
    length: int


@kernel
def sum_blocks_nb(
    log_: tuple[Floats, Floats],
    market_: tuple[Floats, Floats],
    terms_: tuple[float, ...],
    sums: Floats,
    exposures: Floats,
) -> None:
    """Fill `sums` float64[n, 3, S] (returns, their squares, their products with the market's) and `exposures`.

    `log_`, `market_` and `terms_` are the fields of `OrderLog`, `BlockMarket` and `BlockTerms`. `exposures` float64[n]
    is the mean over all the account's bars of the position's value as a share of equity. The market's first return is
    0: nothing is held before the account's first close.
    """
    log, market, terms = OrderLog(*log_), BlockMarket(*market_), BlockTerms(*terms_)
    orders, n_orders = log.orders, log.n_orders
    close, prefix = market.close, market.prefix
    start, first, length = int(terms.start), int(terms.first), int(terms.length)
    n_bars = len(close)
    row = 0
    for i in range(len(n_orders)):
        sums[i, :, :] = 0.0
        stop = row + int(n_orders[i])
        cash = before = terms.initial_cash
        size = exposure = 0.0
        bar = start
        while bar < n_bars:
            event = int(orders[row, ORDER_BAR]) if row < stop else n_bars
            if size > 0.0 and cash == 0.0 and event > bar:
                hold_long_nb(prefix, HeldStretch(bar, event, first, length), sums[i])
                exposure += event - bar
                before = size * close[event - 1]
                bar = event
            elif size == 0.0:
                bar = event
            if bar == n_bars:
                break
            while row < stop and int(orders[row, ORDER_BAR]) == bar:
                cash, size = take_order_nb(orders[row], cash, size)
                row += 1
            equity = cash + size * close[bar]
            if before > 0.0:
                change = equity / before - 1.0
                against = close[bar] / close[bar - 1] - 1.0 if bar > start else 0.0
                if bar >= first:
                    block = (bar - first) // length
                    sums[i, RETURNS, block] += change
                    sums[i, RETURN_SQUARES, block] += change * change
                    sums[i, PRODUCTS, block] += change * against
            if equity > 0.0:
                exposure += size * close[bar] / equity
            before = equity
            bar += 1
        exposures[i] = exposure / (n_bars - start)


@inlined
def hold_long_nb(prefix: Floats, stretch: HeldStretch, sums: Floats) -> None:
    """Add a held stretch to `sums` float64[3, S]."""
    stop, first, length = stretch.stop, stretch.first, stretch.length
    bar = max(stretch.bar, first)
    while bar < stop:
        block = (bar - first) // length
        edge = min(stop, first + (block + 1) * length)
        squares = stretch_sum_nb(prefix, SQUARES, bar, edge)
        sums[RETURNS, block] += stretch_sum_nb(prefix, SUM, bar, edge)
        sums[RETURN_SQUARES, block] += squares
        sums[PRODUCTS, block] += squares
        bar = edge


@inlined
def take_order_nb(order: Floats, cash: float, size: float) -> tuple[float, float]:
    """Cash and size after an order."""
    amount, value = order[ORDER_SIZE], order[ORDER_SIZE] * order[ORDER_PRICE]
    cash -= order[ORDER_SIDE] * value + order[ORDER_FEE]
    size += order[ORDER_SIDE] * amount
    if order[ORDER_REASON] == LIQUIDATION:
        cash = 0.0
    if abs(size) <= SIZE_DUST * amount:
        size = 0.0
    elif size > 0.0 and abs(cash) <= CASH_DUST * value:
        cash = 0.0
    return cash, size
