"""One account as a row of floats, and what an order does to it. The meaning is that of tests/reference/simulator.py.

`state` float64[N_STATE] is scratch of one point at one time; `totals` float64[N_TOTALS] is the point's row of results.
"""

from __future__ import annotations

import numpy as np

from tunesmith.compute.kernels.compiling import inlined
from tunesmith.compute.simulation.arrays import (
    ENTRY,
    FINAL_EQUITY,
    GROSS_LOSS,
    GROSS_PROFIT,
    LIQUIDATION,
    MAX_DRAWDOWN,
    N_AMBIGUOUS,
    N_EXPOSED,
    N_ORDERS,
    N_TIMED_TOTALS,
    N_TRADES,
    N_WINS,
    ORDER_BAR,
    ORDER_FEE,
    ORDER_PRICE,
    ORDER_REASON,
    ORDER_SIDE,
    ORDER_SIZE,
    STOP_LOSS,
    SUM_DOWNSIDE_SQUARES,
    SUM_PRODUCTS,
    SUM_RETURNS,
    SUM_SQUARES,
    SUM_WEIGHTS,
    TAKE_PROFIT,
    TRAILING_STOP,
    FilledOrder,
    LimitPrices,
    Limits,
    Market,
    Results,
    Terms,
)
from tunesmith.domain.array_types import Floats

(
    CASH,
    SIZE,
    CASH_BEFORE,
    ENTRY_BAR,
    ENTRY_PRICE,
    LIQUIDATION_PRICE,
    STOP_PRICE,
    TARGET_PRICE,
    TRAIL_FRACTION,
    TRAIL_DISTANCE,
    BEST,
    EQUITY,
    PEAK,
    LOG_ROW,
    GUARDED,
) = range(15)
N_STATE = 15
"""SIZE is negative for a short. EQUITY is that of the last marked bar, PEAK its maximum so far, LOG_ROW the next free
row of the order log; BEST is the best price since entry; GUARDED is 0 where no level can close the position."""


@inlined
def open_account_nb(state: Floats, totals: Floats, cash: float) -> None:
    """A flat account with `cash`, and results of zero; LOG_ROW is kept."""
    row = state[LOG_ROW]
    state[:] = 0.0
    totals[:] = 0.0
    state[CASH] = cash
    state[EQUITY] = cash
    state[PEAK] = cash
    state[LOG_ROW] = row
    totals[FINAL_EQUITY] = cash


@inlined
def log_order_nb(state: Floats, totals: Floats, out: Results, order: FilledOrder) -> None:
    """Count an order and write it down where there is room."""
    totals[N_ORDERS] += 1.0
    row = int(state[LOG_ROW])
    if row < out.orders.shape[0]:
        out.orders[row, ORDER_BAR] = order.bar
        out.orders[row, ORDER_SIDE] = order.side
        out.orders[row, ORDER_SIZE] = order.size
        out.orders[row, ORDER_PRICE] = order.price
        out.orders[row, ORDER_FEE] = order.fee
        out.orders[row, ORDER_REASON] = order.reason
        state[LOG_ROW] = row + 1


@inlined
def note_ambiguous_nb(totals: Floats, out: Results, bar: int) -> None:
    """Count a bar that touched both stop and target, and write it down where there is room."""
    row = int(totals[N_AMBIGUOUS])
    if row < out.ambiguous.shape[1]:
        out.ambiguous[0, row] = bar
    totals[N_AMBIGUOUS] += 1.0


@inlined
def count_trade_nb(totals: Floats, profit: float, stake: float) -> None:
    """Count a closed trade; a profit within 1e-12 of the cash before it is rounding, and neither won nor lost."""
    # Written without branches: whether a trade won is what a processor cannot predict.
    rounding = 1e-12 * stake
    totals[N_TRADES] += 1.0
    totals[N_WINS] += 1.0 if profit > rounding else 0.0
    totals[GROSS_PROFIT] += profit if profit > rounding else 0.0
    totals[GROSS_LOSS] -= profit if profit < -rounding else 0.0


@inlined
def enter_nb(state: Floats, totals: Floats, side: float, bar: int, price: float, terms: Terms, out: Results) -> bool:
    """Put all equity into a position of `side` (1 long, -1 short); False when ruined, or when nothing would be left."""
    cash = state[CASH]
    against = 1.0 + terms.slippage_rate
    favour = 1.0 - terms.slippage_rate
    paid = price * (against if side > 0.0 else favour)
    size = (cash - terms.fixed_fee) / (paid * (1.0 + terms.fee_rate))
    if not size > 0.0 or cash <= terms.ruin:
        return False
    if side > 0.0:
        cash_after = 0.0
        liquidation = np.inf
        left = size * price * favour * (1.0 - terms.fee_rate) - terms.fixed_fee
    else:
        cash_after = cash + size * paid * (1.0 - terms.fee_rate) - terms.fixed_fee
        per_price = size * against * (1.0 + terms.fee_rate)
        liquidation = (cash_after - terms.fixed_fee) / per_price
        left = cash_after - price * per_price - terms.fixed_fee
    if not left > 0.0:
        return False
    state[CASH_BEFORE] = cash
    state[CASH] = cash_after
    state[SIZE] = side * size
    state[ENTRY_BAR] = bar
    state[ENTRY_PRICE] = paid
    state[LIQUIDATION_PRICE] = liquidation
    fee = size * paid * terms.fee_rate + terms.fixed_fee
    log_order_nb(state, totals, out, FilledOrder(float(bar), side, size, paid, fee, float(ENTRY)))
    return True


@inlined
def close_nb(state: Floats, totals: Floats, bar: int, price: float, reason: float, terms: Terms, out: Results) -> None:
    """Close the position at `price`; a short at its liquidation price at worst, and then with nothing left."""
    size = abs(state[SIZE])
    if state[SIZE] > 0.0:
        side = -1.0
        paid = price * (1.0 - terms.slippage_rate)
        fee = min(size * paid * terms.fee_rate + terms.fixed_fee, size * paid)
        cash = size * paid - fee
    else:
        side = 1.0
        bankrupt = price >= state[LIQUIDATION_PRICE]
        if bankrupt:
            price = state[LIQUIDATION_PRICE]
            reason = float(LIQUIDATION)
        paid = price * (1.0 + terms.slippage_rate)
        fee = size * paid * terms.fee_rate + terms.fixed_fee
        cash = 0.0 if bankrupt else max(state[CASH] - size * paid - fee, 0.0)
    state[CASH] = cash
    state[SIZE] = 0.0
    count_trade_nb(totals, cash - state[CASH_BEFORE], state[CASH_BEFORE])
    log_order_nb(state, totals, out, FilledOrder(float(bar), side, size, paid, fee, reason))


@inlined
def set_guard_nb(state: Floats, i: int, signal_bar: int, limits: Limits, prices: LimitPrices) -> None:
    """Fix the stops of the position just entered, from fractions of its price or prices read at `signal_bar`."""
    entry = state[ENTRY_PRICE]
    side = 1.0 if state[SIZE] > 0.0 else -1.0
    has_prices = len(prices.stop_loss) + len(prices.take_profit) + len(prices.trailing_stop) > 0
    no_fractions = (
        np.isnan(limits.stop_loss[i]) and np.isnan(limits.take_profit[i]) and np.isnan(limits.trailing_stop[i])
    )
    if side > 0.0 and no_fractions and not has_prices:
        state[GUARDED] = 0.0
        return
    state[GUARDED] = 1.0
    stop = entry * (1.0 - side * limits.stop_loss[i])
    if prices.stop_loss.shape[0] > 0:
        stop = prices.stop_loss[i, signal_bar]
    target = entry * (1.0 + side * limits.take_profit[i])
    if prices.take_profit.shape[0] > 0:
        target = prices.take_profit[i, signal_bar]
    distance = np.nan
    if prices.trailing_stop.shape[0] > 0:
        distance = side * (entry - prices.trailing_stop[i, signal_bar])
    none = -side * np.inf
    state[STOP_PRICE] = none if np.isnan(stop) else stop
    state[TARGET_PRICE] = -none if np.isnan(target) else target
    state[TRAIL_FRACTION] = limits.trailing_stop[i]
    state[TRAIL_DISTANCE] = distance
    state[BEST] = entry


@inlined
def check_range_nb(state: Floats, totals: Floats, market: Market, bar: int, terms: Terms, out: Results) -> None:
    """Close the position where this bar's range meets a stop or target."""
    opened, high, low = market.open[bar], market.high[bar], market.low[bar]
    long = state[SIZE] > 0.0
    if not long:
        # Mirrored at zero, a short's levels lie as a long's do.
        opened, high, low = -opened, -low, -high
    sign = 1.0 if long else -1.0
    best = max(sign * state[BEST], opened)
    stop = sign * state[STOP_PRICE]
    reason = STOP_LOSS
    if not np.isnan(state[TRAIL_FRACTION]):
        trail = best * (1.0 - sign * state[TRAIL_FRACTION])
    else:
        trail = best - state[TRAIL_DISTANCE]
    if trail > stop:
        stop = trail
        reason = TRAILING_STOP
    if not long and -state[LIQUIDATION_PRICE] > stop:
        stop = -state[LIQUIDATION_PRICE]
        reason = LIQUIDATION
    target = sign * state[TARGET_PRICE]
    state[BEST] = sign * max(best, high)
    if opened <= stop:
        level = opened
    elif opened >= target:
        level = opened
        reason = TAKE_PROFIT
    elif low <= stop:
        level = stop
        if high >= target:
            note_ambiguous_nb(totals, out, bar)
    elif high >= target:
        level = target
        reason = TAKE_PROFIT
    else:
        return
    close_nb(state, totals, bar, sign * level, float(reason), terms, out)


@inlined
def is_timed_nb(totals: Floats) -> bool:
    """Whether this row of results has room for the sums of timing returns."""
    return len(totals) >= N_TIMED_TOTALS


@inlined
def mark_nb(state: Floats, totals: Floats, closes: Floats, bar: int, start: int, out: Results) -> None:
    """Mark the account at the close of `bar`; `start` is its first bar."""
    close = closes[bar]
    before = state[EQUITY]
    size = state[SIZE]
    equity = state[CASH] + size * close
    change = equity / before - 1.0 if before > 0.0 else 0.0
    square = change * change
    peak = max(state[PEAK], equity)
    totals[SUM_RETURNS] += change
    totals[SUM_SQUARES] += square
    totals[SUM_DOWNSIDE_SQUARES] += square if change < 0.0 else 0.0
    if equity < (1.0 - totals[MAX_DRAWDOWN]) * peak:
        totals[MAX_DRAWDOWN] = 1.0 - equity / peak
    totals[N_EXPOSED] += 1.0 if size != 0.0 else 0.0
    totals[FINAL_EQUITY] = equity
    if is_timed_nb(totals):
        totals[SUM_WEIGHTS] += size * close / equity if equity > 0.0 else 0.0
        totals[SUM_PRODUCTS] += change * (close / closes[bar - 1] - 1.0) if bar > start else 0.0
    state[PEAK] = peak
    state[EQUITY] = equity
    if out.marks.shape[1] > 0:
        out.marks[0, bar - start] = equity
        out.marks[1, bar - start] = size
