"""The common case by itself: a long account with neither trailing stop nor order log, from trades found beforehand.

While it holds, its equity is a constant times the close, so that a trade costs a few look-ups (see `range_tables`)
however long it is. The numbers are those of `account_path`, which does everything else.
"""

from __future__ import annotations

import numpy as np

from tunesmith.compute.kernels.compiling import inlined
from tunesmith.compute.simulation.account import is_timed_nb
from tunesmith.compute.simulation.arrays import (
    FINAL_EQUITY,
    GROSS_LOSS,
    GROSS_PROFIT,
    MAX_DRAWDOWN,
    N_AMBIGUOUS,
    N_EXPOSED,
    N_ORDERS,
    N_TRADES,
    N_WINS,
    SUM_DOWNSIDE_SQUARES,
    SUM_PRODUCTS,
    SUM_RETURNS,
    SUM_SQUARES,
    SUM_WEIGHTS,
    Block,
    Market,
    Results,
    Tables,
    Terms,
    Trades,
)
from tunesmith.compute.simulation.holdings import find_guarded_nb, find_signalled_nb
from tunesmith.compute.simulation.range_tables import (
    DOWNSIDE,
    SQUARES,
    SUM,
    own_drawdown_nb,
    stretch_extremes_nb,
    stretch_sum_nb,
)
from tunesmith.domain.array_types import Floats


@inlined
def is_signalled_nb(block: Block, i: int) -> bool:
    """Whether signals alone end the trades of point `i`."""
    limits, prices = block.limits, block.prices
    return (
        len(prices.stop_loss) + len(prices.take_profit) == 0
        and bool(np.isnan(limits.stop_loss[i]))
        and bool(np.isnan(limits.take_profit[i]))
        and not limits.max_holding[i] > 0.0
    )


@inlined
def is_plain_long_nb(block: Block, terms: Terms, out: Results, i: int) -> bool:
    """Whether point `i` is such a case."""
    return (
        terms.trades_long != 0.0
        and terms.trades_short == 0.0
        and terms.skips != 0.0
        and len(out.orders) == 0
        and out.marks.shape[1] == 0
        and len(block.prices.trailing_stop) == 0
        and bool(np.isnan(block.limits.trailing_stop[i]))
    )


@inlined
def trade_long_nb(
    market: Market,
    tables: Tables,
    block: Block,
    terms: Terms,
    totals: Floats,
    i: int,
    trades: Trades,
) -> bool:
    """Fill in `totals` of point `i`; False, with `totals` unchanged, where an entry would be refused."""
    times, sales = trades.times, trades.sales
    n_bars = len(market.close)
    close, changes = market.close, tables.changes
    start, timed = int(terms.start), is_timed_nb(totals)
    at_open = terms.at_open != 0.0
    fills = market.open if at_open else close
    signalled = is_signalled_nb(block, i)
    n_ambiguous = 0.0
    if signalled:
        enter, leave = block.conditions.enter_long[i], block.conditions.exit_long[i]
        n_found = find_signalled_nb(enter, leave, start, 1 if at_open else 0, n_bars, times)
    else:
        n_found, n_ambiguous = find_guarded_nb(market, tables, block, terms, i, trades)
    fixed = terms.fixed_fee
    paid = (1.0 + terms.slippage_rate) * (1.0 + terms.fee_rate)
    got = (1.0 - terms.slippage_rate) * (1.0 - terms.fee_rate)
    cash = peak = before = terms.initial_cash
    returns = squares = products = downside = worst = 0.0
    n_trades = n_wins = won = lost = exposed = 0.0
    for k in range(n_found):
        entry, leaving = times[k, 0], times[k, 1]
        if cash <= terms.ruin:
            # Levels may have been touched by trades that are not made: those are counted by the walk.
            if not signalled:
                return False
            n_found = k
            break
        size = (cash - fixed) / (fills[entry] * paid)
        if not size * fills[entry] * got - fixed > 0.0:
            return False
        equity = cash
        if leaving > entry:
            change = size * close[entry] / before - 1.0
            returns += change + stretch_sum_nb(tables.sums, SUM, entry + 1, leaving)
            held = stretch_sum_nb(tables.sums, SQUARES, entry + 1, leaving)
            squares += change * change + held
            if timed:
                products += change * (changes[entry] if entry > start else 0.0) + held
            loss = min(change, 0.0)
            downside += loss * loss + stretch_sum_nb(tables.sums, DOWNSIDE, entry + 1, leaving)
            high, low = stretch_extremes_nb(close, tables, entry, leaving)
            worst = max(worst, 1.0 - low * size / peak)
            # A fall within a trade counts only where it is deeper than all before, which is seldom.
            if low < (1.0 - worst) * high:
                worst = max(worst, own_drawdown_nb(close, tables, entry, leaving))
            peak = max(peak, high * size)
            equity = size * close[leaving - 1]
        exposed += leaving - entry
        if leaving >= n_bars:
            cash = equity
            break
        after = max(size * (fills[leaving] if signalled else sales[k]) * got - fixed, 0.0)
        if not signalled and k + 1 < n_found and times[k + 1, 0] == leaving:
            # Stopped, and in again at the close of the same bar, which has one return and is marked once.
            before = equity
        else:
            change = after / equity - 1.0
            loss = min(change, 0.0)
            returns += change
            squares += change * change
            if timed:
                products += change * changes[leaving]
            downside += loss * loss
            peak = max(peak, after)
            if after < (1.0 - worst) * peak:
                worst = 1.0 - after / peak
            before = after
        # Written without branches: whether a trade won is what a processor cannot predict.
        profit = after - cash
        rounding = 1e-12 * cash
        n_trades += 1.0
        n_wins += 1.0 if profit > rounding else 0.0
        won += profit if profit > rounding else 0.0
        lost -= profit if profit < -rounding else 0.0
        cash = after
    totals[FINAL_EQUITY] = cash
    totals[SUM_RETURNS] = returns
    totals[SUM_SQUARES] = squares
    totals[SUM_DOWNSIDE_SQUARES] = downside
    totals[MAX_DRAWDOWN] = worst
    totals[N_TRADES] = n_trades
    totals[N_WINS] = n_wins
    totals[GROSS_PROFIT] = won
    totals[GROSS_LOSS] = lost
    totals[N_EXPOSED] = exposed
    if timed:
        totals[SUM_WEIGHTS] = exposed
        totals[SUM_PRODUCTS] = products
    totals[N_AMBIGUOUS] = n_ambiguous
    totals[N_ORDERS] = n_found + n_trades
    return True
