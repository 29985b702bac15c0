"""Closed trades from one point's orders."""

from __future__ import annotations

from tunesmith.compute.kernels.compiling import kernel
from tunesmith.compute.simulation.arrays import ORDER_BAR, ORDER_FEE, ORDER_PRICE, ORDER_SIDE, ORDER_SIZE
from tunesmith.domain.array_types import Floats

PROFIT, COST, ENTRY, EXIT = range(4)
N_TRADE_FIELDS = 4
"""Net profit in cash; value of the entries with their fees (of a short's, less its fees); bars of first entry and last
exit."""

DUST = 1e-9
"""A position up to this share of what was traded since it was flat is none."""


@kernel
def trades_nb(orders: Floats, n_orders: int, trades: Floats) -> int:
    """Fill `trades` float64[≥ n_orders / 2, N_TRADE_FIELDS] with the positions from flat to flat; how many.

    `orders` float64[≥ n_orders, N_ORDER_FIELDS] as in `Results`. A position still open at the end is none of them.
    """
    n = first = 0
    size = traded = cash = cost = 0.0
    for row in range(n_orders):
        side, amount, price = orders[row, ORDER_SIDE], orders[row, ORDER_SIZE], orders[row, ORDER_PRICE]
        fee = orders[row, ORDER_FEE]
        if traded == 0.0:
            first = row
        size += side * amount
        traded += amount
        cash -= side * amount * price + fee
        if side == orders[first, ORDER_SIDE]:
            cost += amount * price + side * fee
        if abs(size) <= DUST * traded:
            trades[n, PROFIT] = cash
            trades[n, COST] = cost
            trades[n, ENTRY] = orders[first, ORDER_BAR]
            trades[n, EXIT] = orders[row, ORDER_BAR]
            n += 1
            size = traded = cash = cost = 0.0
    return n
