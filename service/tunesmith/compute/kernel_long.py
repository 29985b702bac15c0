"""The common case by itself: long only, closed by signals or by time alone, no order log.

Nothing but the next signal decides when a trade begins and ends, so that the search for trades does not wait for their
accounts, and a processor does both at once. The numbers are those of `kernel_walk`, which does everything else.
"""

from __future__ import annotations

import numpy as np

from tunesmith.compute.kernel_arrays import (
    FINAL_EQUITY,
    GROSS_LOSS,
    GROSS_PROFIT,
    MAX_DRAWDOWN,
    N_EXPOSED,
    N_ORDERS,
    N_TRADES,
    N_WINS,
    SUM_DOWNSIDE_SQUARES,
    SUM_RETURNS,
    SUM_SQUARES,
    Block,
    Floats,
    Market,
    Results,
    Tables,
    Terms,
)
from tunesmith.compute.kernel_cache import inlined
from tunesmith.compute.kernel_conditions import scan_entries_nb, scan_nb
from tunesmith.compute.kernel_tables import DOWNSIDE, SQUARES, SUM, stretch_drawdown_nb, stretch_sum_nb


@inlined
def is_plain_long_nb(block: Block, terms: Terms, out: Results, i: int) -> bool:
    """Whether point `i` is such a case."""
    limits, prices = block.limits, block.prices
    return (
        terms.trades_long != 0.0
        and terms.trades_short == 0.0
        and terms.skips != 0.0
        and len(out.orders) == 0
        and out.marks.shape[1] == 0
        and len(prices.stop_loss) + len(prices.take_profit) + len(prices.trailing_stop) == 0
        and bool(np.isnan(limits.stop_loss[i]))
        and bool(np.isnan(limits.take_profit[i]))
        and bool(np.isnan(limits.trailing_stop[i]))
    )


@inlined
def trade_long_nb(market: Market, tables: Tables, block: Block, terms: Terms, totals: Floats, i: int) -> bool:
    """Fill in `totals` of point `i`; False, with `totals` unchanged, where an entry would be refused."""
    n_bars = len(market.close)
    close = market.close
    at_open = terms.at_open != 0.0
    lag = 1 if at_open else 0
    fills = market.open if at_open else close
    fixed = terms.fixed_fee
    paid = (1.0 + terms.slippage_rate) * (1.0 + terms.fee_rate)
    got = (1.0 - terms.slippage_rate) * (1.0 - terms.fee_rate)
    longest = block.limits.max_holding[i]
    enter, leave = block.conditions.enter_long, block.conditions.exit_long
    first_byte = i * n_bars
    end = first_byte + n_bars
    cash = peak = terms.initial_cash
    returns = squares = downside = worst = 0.0
    n_trades = n_wins = won = lost = exposed = n_orders = 0.0
    bar = int(terms.start)
    while True:
        entry = scan_entries_nb(enter, leave, first_byte + bar, end) - first_byte + lag
        if entry >= n_bars:
            break
        leaving = min(scan_nb(leave, first_byte + entry + 1 - lag, end) - first_byte + lag, n_bars)
        if longest > 0.0:
            leaving = min(leaving, entry + int(min(longest, float(n_bars))))
        bar = leaving + 1 - lag

        size = (cash - fixed) / (fills[entry] * paid)
        if not size * fills[entry] * got - fixed > 0.0:
            return False
        equity = size * close[entry]
        change = equity / cash - 1.0
        returns += change
        squares += change * change
        downside += change * change if change < 0.0 else 0.0
        peak = max(peak, equity)
        if equity < (1.0 - worst) * peak:
            worst = 1.0 - equity / peak
        returns += stretch_sum_nb(tables.sums, SUM, entry + 1, leaving)
        squares += stretch_sum_nb(tables.sums, SQUARES, entry + 1, leaving)
        downside += stretch_sum_nb(tables.sums, DOWNSIDE, entry + 1, leaving)
        if leaving > entry + 1:
            before = peak / size
            highest, worst = stretch_drawdown_nb(close, tables, entry + 1, leaving, before, worst)
            if highest > before:
                peak = highest * size
        exposed += leaving - entry
        equity = size * close[leaving - 1]
        n_orders += 1.0
        if leaving >= n_bars:
            cash = equity
            break
        after = max(size * fills[leaving] * got - fixed, 0.0)
        change = after / equity - 1.0
        returns += change
        squares += change * change
        downside += change * change if change < 0.0 else 0.0
        peak = max(peak, after)
        if after < (1.0 - worst) * peak:
            worst = 1.0 - after / peak
        profit = after - cash
        rounding = 1e-12 * cash
        n_trades += 1.0
        n_wins += 1.0 if profit > rounding else 0.0
        won += profit if profit > rounding else 0.0
        lost -= profit if profit < -rounding else 0.0
        n_orders += 1.0
        cash = after
        if cash <= 0.0:
            break
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
    totals[N_ORDERS] = n_orders
    return True
