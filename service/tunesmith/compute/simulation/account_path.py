"""The walk: one account through the bars, for each point of a block.

For each bar, in the order that tests/reference/simulator.py defines:
    1. fill at the open what the bar before decided           (fill = "next_open")
    2. check the bar's range against stops and targets
    3. decide, and fill at the close                           (fill = "close")
    4. mark the account
Between two bars on which something happens lies a stretch on which nothing can: flat, it costs nothing; long, a few
look-ups in the tables; short, one pass, for a short's equity is no multiple of the price. With `terms.skips` 0 every
bar is stepped: slow, and the same numbers.
"""

from __future__ import annotations

import numpy as np

from tunesmith.compute.kernels.compiling import inlined, kernel
from tunesmith.compute.simulation.account import (
    BEST,
    CASH,
    ENTRY_BAR,
    EQUITY,
    GUARDED,
    LIQUIDATION_PRICE,
    PEAK,
    SIZE,
    STOP_PRICE,
    TARGET_PRICE,
    TRAIL_DISTANCE,
    TRAIL_FRACTION,
    check_range_nb,
    close_nb,
    enter_nb,
    is_timed_nb,
    mark_nb,
    open_account_nb,
    set_guard_nb,
)
from tunesmith.compute.simulation.arrays import (
    EXIT,
    FINAL_EQUITY,
    MAX_DRAWDOWN,
    MAX_HOLDING,
    N_EXPOSED,
    SUM_DOWNSIDE_SQUARES,
    SUM_PRODUCTS,
    SUM_RETURNS,
    SUM_SQUARES,
    SUM_WEIGHTS,
    Block,
    Conditions,
    Fill,
    LimitPrices,
    Limits,
    Market,
    Results,
    Sides,
    Stretch,
    Tables,
    Terms,
    Trades,
    TrailingLevels,
)
from tunesmith.compute.simulation.long_path import is_plain_long_nb, trade_long_nb
from tunesmith.compute.simulation.range_tables import (
    DOWNSIDE,
    SQUARES,
    SUM,
    first_touch_nb,
    first_trailing_touch_nb,
    stretch_drawdown_nb,
    stretch_sum_nb,
)
from tunesmith.compute.simulation.signal_reading import next_signal_nb, wanted_nb
from tunesmith.domain.array_types import Floats, Ints, Words


@kernel
def walk_nb(
    market_: tuple[Floats, ...],
    tables_: tuple[Floats, ...],
    conditions: tuple[Words, ...],
    limits: tuple[Floats, ...],
    prices: tuple[Floats, ...],
    terms_: tuple[float, ...],
    out_: tuple[Floats, ...],
    trades_: tuple[Ints, Floats],
) -> None:
    """Walk every point of a block; one row of `Results.totals` each. Allocates nothing.

    The arguments are the fields of `Market`, `Tables`, `Conditions`, `Limits`, `LimitPrices`, `Terms` and `Results` as
    plain tuples, which a kernel is called with in a tenth of the time that named ones take. `trades_` is scratch, the
    fields of `Trades` with room for T + 2.
    """
    market = Market(*market_)
    tables = Tables(*tables_)
    block = Block(Conditions(*conditions), Limits(*limits), LimitPrices(*prices))
    terms = Terms(*terms_)
    out = Results(*out_)
    trades = Trades(*trades_)
    state = out.state
    n_bars = len(market.close)
    start = int(terms.start)
    at_open = terms.at_open != 0.0
    lag = 1 if at_open else 0
    for i in range(len(out.totals)):
        totals = out.totals[i]
        open_account_nb(state, totals, terms.initial_cash)
        if is_plain_long_nb(block, terms, out, i) and trade_long_nb(market, tables, block, terms, totals, i, trades):
            continue
        bar = start
        while bar < n_bars:
            if terms.skips != 0.0:
                event = next_event_nb(market, tables, block, terms, state, i, bar)
                skip_nb(market, tables, state, totals, Stretch(bar, event, start), out)
                bar = event
                if bar >= n_bars:
                    break
            for fills in (at_open, not at_open):
                if not fills:
                    if state[SIZE] != 0.0 and state[GUARDED] != 0.0:
                        check_range_nb(state, totals, market, bar, terms, out)
                elif bar - lag >= start:
                    price = market.open[bar] if at_open else market.close[bar]
                    fill_nb(block, terms, state, totals, Fill(i, bar - lag, bar), price, out)
            mark_nb(state, totals, market.close, bar, start, out)
            bar += 1


@inlined
def fill_nb(block: Block, terms: Terms, state: Floats, totals: Floats, at: Fill, price: float, out: Results) -> None:
    """Fill what the signals ask for."""
    i, signal_bar, bar = at.point, at.signal_bar, at.bar
    size = state[SIZE]
    side = 1.0 if size > 0.0 else -1.0 if size < 0.0 else 0.0
    longest = block.limits.max_holding[i]
    overdue = side != 0.0 and longest > 0.0 and bar - state[ENTRY_BAR] >= longest
    sides = Sides(terms.trades_long, terms.trades_short)
    leave, entry = wanted_nb(block.conditions, i, signal_bar, side, overdue, sides)
    if leave:
        reason = EXIT
        if overdue and entry == 0.0:
            leaves, _ = wanted_nb(block.conditions, i, signal_bar, side, False, sides)
            if not leaves:
                reason = MAX_HOLDING
        close_nb(state, totals, bar, price, float(reason), terms, out)
    if entry != 0.0 and state[SIZE] == 0.0 and enter_nb(state, totals, entry, bar, price, terms, out):
        set_guard_nb(state, i, signal_bar, block.limits, block.prices)


@inlined
def next_event_nb(market: Market, tables: Tables, block: Block, terms: Terms, state: Floats, i: int, bar: int) -> int:
    """First bar from `bar` on with a fill or a touched level; T when there is none. Keeps the best price up to date."""
    n_bars = len(market.close)
    start = int(terms.start)
    lag = 1 if terms.at_open != 0.0 else 0
    size = state[SIZE]
    side = 1.0 if size > 0.0 else -1.0 if size < 0.0 else 0.0
    sides = Sides(terms.trades_long, terms.trades_short)
    event = lag + next_signal_nb(block.conditions, i, n_bars, max(bar - lag, start), side, sides)
    if side == 0.0:
        return min(event, n_bars)
    longest = block.limits.max_holding[i]
    if longest > 0.0:
        event = min(event, int(state[ENTRY_BAR] + longest))
    event = min(event, n_bars)
    if state[GUARDED] == 0.0:
        return event
    stop, target = state[STOP_PRICE], state[TARGET_PRICE]
    if not (np.isnan(state[TRAIL_FRACTION]) and np.isnan(state[TRAIL_DISTANCE])):
        nearest = stop if side > 0.0 else min(stop, state[LIQUIDATION_PRICE])
        levels = TrailingLevels(nearest, target, state[TRAIL_FRACTION], state[TRAIL_DISTANCE])
        event, best = first_trailing_touch_nb(market, tables, bar, event, side, state[BEST], levels)
        state[BEST] = best
    elif side < 0.0:
        event = first_touch_nb(market, tables, bar, event, target, min(stop, state[LIQUIDATION_PRICE]))
    else:
        event = first_touch_nb(market, tables, bar, event, stop, target)
    return event


@inlined
def skip_nb(market: Market, tables: Tables, state: Floats, totals: Floats, stretch: Stretch, out: Results) -> None:
    """Account for a stretch on which nothing is ordered."""
    first, stop, start = stretch.first, stretch.stop, stretch.start
    if stop <= first:
        return
    size = state[SIZE]
    close = market.close
    if out.marks.shape[1] > 0:
        for t in range(first, stop):
            out.marks[0, t - start] = state[CASH] + size * close[t]
            out.marks[1, t - start] = size
    if size == 0.0:
        return
    totals[N_EXPOSED] += stop - first
    if size > 0.0:
        totals[SUM_RETURNS] += stretch_sum_nb(tables.sums, SUM, first, stop)
        # Held, the account's return is the market's, and so is their product.
        squares = stretch_sum_nb(tables.sums, SQUARES, first, stop)
        totals[SUM_SQUARES] += squares
        if is_timed_nb(totals):
            totals[SUM_PRODUCTS] += squares
            totals[SUM_WEIGHTS] += stop - first
        totals[SUM_DOWNSIDE_SQUARES] += stretch_sum_nb(tables.sums, DOWNSIDE, first, stop)
        before = state[PEAK] / size
        peak, worst = stretch_drawdown_nb(close, tables, first, stop, before, totals[MAX_DRAWDOWN])
        totals[MAX_DRAWDOWN] = worst
        if peak > before:
            state[PEAK] = peak * size
        state[EQUITY] = size * close[stop - 1]
        totals[FINAL_EQUITY] = state[EQUITY]
    else:
        hold_short_nb(close, tables.changes, state, totals, stretch)


@inlined
def hold_short_nb(close: Floats, changes: Floats, state: Floats, totals: Floats, stretch: Stretch) -> None:
    """Mark a short at each close of a stretch; `changes` are the market's returns.

    The position's weight is 1 - cash / equity. `inverses` is the sum of equity_t / equity_s over the bars s so far: it
    grows by a product, where the sum of 1 / equity_s would take a division a bar.
    """
    cash, size, peak, before = state[CASH], state[SIZE], state[PEAK], state[EQUITY]
    worst = totals[MAX_DRAWDOWN]
    timed = is_timed_nb(totals)
    total = squares = downside = products = inverses = 0.0
    for t in range(stretch.first, stretch.stop):
        equity = cash + size * close[t]
        growth = equity / before
        change = growth - 1.0
        square = change * change
        total += change
        squares += square
        downside += square if change < 0.0 else 0.0
        if timed:
            products += change * changes[t]
            inverses = inverses * growth + 1.0
        if equity > peak:
            peak = equity
        elif equity < (1.0 - worst) * peak:
            worst = 1.0 - equity / peak
        before = equity
    totals[SUM_RETURNS] += total
    totals[SUM_SQUARES] += squares
    totals[SUM_DOWNSIDE_SQUARES] += downside
    if timed:
        totals[SUM_WEIGHTS] += stretch.stop - stretch.first - cash * inverses / before
        totals[SUM_PRODUCTS] += products
    totals[MAX_DRAWDOWN] = worst
    totals[FINAL_EQUITY] = before
    state[PEAK] = peak
    state[EQUITY] = before
