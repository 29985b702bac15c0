"""Grid trading, long: buys in equal lots on the way down and sells each a step above its price.

Prices of levels are order prices, before slippage; p is profit_ratio, n is grid_num.

Start     Whenever the account is flat at the close of a bar, a grid starts at the next fill: the open of the next bar
          (fill = "next_open") or this close (fill = "close"). The cash is split into n equal lots and the first is
          bought at that price. The lowest level lies n - 1 steps of (1 - p) below it; the grid's stop is stop_loss
          below the lowest level, fixed until the grid ends.
Buying    While fewer than n lots are held, a limit order rests at (1 - p) times the price of the lowest lot held,
          unless that is at or below the stop. It fills at its price, or at the open when the bar opens below it. A lot
          spends its share of the cash, costs included; less when less is left. A lot whose immediate sale would leave
          nothing is not bought.
Selling   Each lot is sold by its own order at (1 + p) times its own price, or at the open when the bar opens above it.
Stop      When a bar opens at or below the stop everything is sold at the open; when its low touches it, at the stop's
          price; in one order. The grid ends when nothing is held any more, by stop or by the last sale.
In a bar  First the open: stop, then sales, then at most one purchase. Then the range, pessimistically: down first
          (purchases, then the stop), then up (sales). A lot bought within the range is sold in the same bar only when
          the close is at its selling price or above, which is certain; a lot held at the open, or bought there, when
          the high is. A bar that touches both the stop and the selling price of a lot held at its open is counted as
          ambiguous.
Costs     Slippage and the proportional fee on every order's value, the fixed fee on every order.
A trade   is a whole position, from the first lot until nothing is held: its profit is what the cash has gained.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tunesmith.compute.kernels.compiling import inlined, kernel
from tunesmith.compute.simulation.account import (
    CASH,
    CASH_BEFORE,
    SIZE,
    count_trade_nb,
    log_order_nb,
    mark_nb,
    note_ambiguous_nb,
    open_account_nb,
)
from tunesmith.compute.simulation.arrays import ENTRY, STOP_LOSS, TAKE_PROFIT, FilledOrder, Market, Results, Terms
from tunesmith.domain.array_types import Floats


class Reach(NamedTuple):
    """How far the price has come for lots that were held before the bar, and for those bought within its range."""

    held: float
    bought: float


class Books(NamedTuple):
    """One point's grid: the account, its results, the grid's numbers float64[5], its lots float64[k, 3]."""

    state: Floats
    totals: Floats
    grid: Floats
    lots: Floats


COUNT, LOTS, STEP, SHARE, STOP = range(5)
LOT_PRICE, LOT_SIZE, BOUGHT_IN_RANGE = range(3)


def walk_grids(market: Market, points: Floats, terms: Terms, out: Results) -> None:
    """Evaluate points float64[n, 3] (grid_num, profit_ratio, stop_loss) into `out`, a row of totals each."""
    most = int(points[:, 0].max(initial=1.0))
    scratch = (np.zeros(5), np.zeros((most, 3)))
    grid_nb(tuple(market), np.ascontiguousarray(points), tuple(terms), *scratch, tuple(out))


@kernel
def grid_nb(
    market_: tuple[Floats, ...],
    points: Floats,
    terms_: tuple[float, ...],
    grid: Floats,
    lots: Floats,
    out_: tuple[Floats, ...],
) -> None:
    """Trade every point's grid, bar by bar; about 5 ns a bar.

    `market_`, `terms_`, `out_`: the fields of `Market`, `Terms` and `Results`. `grid` float64[5] and `lots`
    float64[max grid_num, 3] are scratch: the grid's numbers, and the lots held, cheapest last.
    """
    market = Market(*market_)
    terms = Terms(*terms_)
    out = Results(*out_)
    state = out.state
    n_bars = len(market.close)
    start = int(terms.start)
    at_open = terms.at_open != 0.0
    trades = terms.trades_long != 0.0
    for i in range(len(out.totals)):
        totals = out.totals[i]
        open_account_nb(state, totals, terms.initial_cash)
        books = Books(state, totals, grid, lots)
        grid[COUNT] = 0.0
        grid[LOTS] = points[i, 0]
        grid[STEP] = points[i, 1]
        for bar in range(start, n_bars):
            opening = market.open[bar]
            if grid[COUNT] > 0.0:
                open_bar_nb(books, bar, opening, terms, out)
            elif trades and at_open and bar > start:
                start_grid_nb(books, bar, opening, points[i, 2], terms, out)
            if grid[COUNT] > 0.0:
                cross_range_nb(books, market, bar, terms, out)
            if trades and not at_open and grid[COUNT] == 0.0:
                start_grid_nb(books, bar, market.close[bar], points[i, 2], terms, out)
            mark_nb(state, totals, market.close, bar, start, out)


@inlined
def start_grid_nb(
    books: Books,
    bar: int,
    price: float,
    stop_loss: float,
    terms: Terms,
    out: Results,
) -> None:
    """Split the cash and buy the first lot at `price`; a ruined account buys nothing any more."""
    state, grid = books.state, books.grid
    if state[CASH] <= terms.ruin:
        return
    state[CASH_BEFORE] = state[CASH]
    grid[SHARE] = state[CASH] / grid[LOTS]
    grid[STOP] = price * (1.0 - grid[STEP]) ** (grid[LOTS] - 1.0) * (1.0 - stop_loss)
    buy_lot_nb(books, bar, price, 0.0, terms, out)


@inlined
def open_bar_nb(books: Books, bar: int, price: float, terms: Terms, out: Results) -> None:
    """What the open does to a grid: stop, sales, one purchase."""
    grid = books.grid
    if price <= grid[STOP]:
        sell_all_nb(books, bar, price, terms, out)
        return
    sell_reached_nb(books, bar, Reach(price, price), price, terms, out)
    if grid[COUNT] > 0.0 and price <= resting_limit_nb(books):
        buy_lot_nb(books, bar, price, 0.0, terms, out)


@inlined
def cross_range_nb(books: Books, market: Market, bar: int, terms: Terms, out: Results) -> None:
    """What the bar's range does to a grid: down with purchases and the stop, then up with sales."""
    totals, grid, lots = books.totals, books.grid, books.lots
    low, high, close = market.low[bar], market.high[bar], market.close[bar]
    held = int(grid[COUNT])
    limit = resting_limit_nb(books)
    while low <= limit and buy_lot_nb(books, bar, limit, 1.0, terms, out):
        limit = resting_limit_nb(books)
    if low <= grid[STOP]:
        if high >= lots[held - 1, LOT_PRICE] * (1.0 + grid[STEP]):
            note_ambiguous_nb(totals, out, bar)
        sell_all_nb(books, bar, grid[STOP], terms, out)
        return
    sell_reached_nb(books, bar, Reach(high, close), 0.0, terms, out)
    for k in range(int(grid[COUNT])):
        lots[k, BOUGHT_IN_RANGE] = 0.0


@inlined
def resting_limit_nb(books: Books) -> float:
    """Price of the resting purchase; 0 when there is none."""
    grid, lots = books.grid, books.lots
    count = int(grid[COUNT])
    if count == 0 or count >= grid[LOTS]:
        return 0.0
    price: float = lots[count - 1, LOT_PRICE] * (1.0 - grid[STEP])
    return price if price > grid[STOP] else 0.0


@inlined
def buy_lot_nb(
    books: Books,
    bar: int,
    price: float,
    in_range: float,
    terms: Terms,
    out: Results,
) -> bool:
    """Buy one lot at `price`; False when its immediate sale would leave nothing."""
    state, totals, grid, lots = books.state, books.totals, books.grid, books.lots
    spend = min(grid[SHARE], state[CASH])
    paid = price * (1.0 + terms.slippage_rate)
    size = (spend - terms.fixed_fee) / (paid * (1.0 + terms.fee_rate))
    if not size > 0.0:
        return False
    if not size * price * (1.0 - terms.slippage_rate) * (1.0 - terms.fee_rate) - terms.fixed_fee > 0.0:
        return False
    count = int(grid[COUNT])
    lots[count, LOT_PRICE] = price
    lots[count, LOT_SIZE] = size
    lots[count, BOUGHT_IN_RANGE] = in_range
    grid[COUNT] = count + 1.0
    state[CASH] -= spend
    state[SIZE] += size
    fee = size * paid * terms.fee_rate + terms.fixed_fee
    log_order_nb(state, totals, out, FilledOrder(float(bar), 1.0, size, paid, fee, float(ENTRY)))
    return True


@inlined
def sell_nb(books: Books, bar: int, price: float, size: float, reason: float, terms: Terms, out: Results) -> None:
    """One order that sells `size` at `price`."""
    state, totals = books.state, books.totals
    got = price * (1.0 - terms.slippage_rate)
    fee = min(size * got * terms.fee_rate + terms.fixed_fee, size * got)
    state[CASH] += size * got - fee
    log_order_nb(state, totals, out, FilledOrder(float(bar), -1.0, size, got, fee, reason))


@inlined
def sell_all_nb(books: Books, bar: int, price: float, terms: Terms, out: Results) -> None:
    """Sell every lot in one order: the stop."""
    state, totals, grid, lots = books.state, books.totals, books.grid, books.lots
    size = 0.0
    for k in range(int(grid[COUNT])):
        size += lots[k, LOT_SIZE]
    sell_nb(books, bar, price, size, float(STOP_LOSS), terms, out)
    grid[COUNT] = 0.0
    state[SIZE] = 0.0
    count_trade_nb(totals, state[CASH] - state[CASH_BEFORE], state[CASH_BEFORE])


@inlined
def sell_reached_nb(
    books: Books,
    bar: int,
    reach: Reach,
    at: float,
    terms: Terms,
    out: Results,
) -> None:
    """Sell each lot whose price is reached, at that price or at `at` (0: no gap).

    Prices fall from lot to lot, so the lots of each kind that are reached are its last ones.
    """
    state, totals, grid, lots = books.state, books.totals, books.grid, books.lots
    count = int(grid[COUNT])
    fresh = count
    while fresh > 0 and lots[fresh - 1, BOUGHT_IN_RANGE] != 0.0:
        fresh -= 1
    keep_to = count
    while keep_to > fresh and reach.bought >= lots[keep_to - 1, LOT_PRICE] * (1.0 + grid[STEP]):
        keep_to -= 1
    old_to = fresh
    while old_to > 0 and reach.held >= lots[old_to - 1, LOT_PRICE] * (1.0 + grid[STEP]):
        old_to -= 1
    if keep_to == count and old_to == fresh:
        return
    for k in range(count - 1, -1, -1):
        if k >= keep_to or old_to <= k < fresh:
            price = at if at > 0.0 else lots[k, LOT_PRICE] * (1.0 + grid[STEP])
            sell_nb(books, bar, price, lots[k, LOT_SIZE], float(TAKE_PROFIT), terms, out)
    left = old_to + keep_to - fresh
    for k in range(old_to, left):
        for field in range(3):
            lots[k, field] = lots[k + fresh - old_to, field]
    size = 0.0
    for k in range(left):
        size += lots[k, LOT_SIZE]
    state[SIZE] = size
    grid[COUNT] = float(left)
    if left == 0:
        count_trade_nb(totals, state[CASH] - state[CASH_BEFORE], state[CASH_BEFORE])
