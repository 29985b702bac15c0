"""What happens to an account around each step of a path-dependent strategy; see tests/reference/stepping.py.

The walk itself is generated for each strategy (`strategies/stepped.py`), with the strategy's own step in its middle:
    1. fill at the open what the step on the bar before answered        (fill = "next_open")
    2. check the bar's range against that answer's stop and target, and against a short's liquidation
    3. ask the step, and fill at the close                              (fill = "close")
    4. mark the account
`book` float64[N_BOOK] is scratch beside `state` of `account`; `limits` float64[2] are the point's amount of
sizing and most entries.
"""

from __future__ import annotations

import numpy as np

from tunesmith.compute.kernels.compiling import inlined
from tunesmith.compute.simulation.account import (
    CASH,
    CASH_BEFORE,
    ENTRY_BAR,
    ENTRY_PRICE,
    LIQUIDATION_PRICE,
    SIZE,
    count_trade_nb,
    log_order_nb,
    note_ambiguous_nb,
)
from tunesmith.compute.simulation.arrays import (
    ENTRY,
    EXIT,
    LIQUIDATION,
    N_TRADES,
    STOP_LOSS,
    TAKE_PROFIT,
    FilledOrder,
    Market,
    Results,
    Terms,
)
from tunesmith.compute.stepping import Account, Orders
from tunesmith.domain.array_types import Floats

N_ENTRIES, LAST_PROFIT, SIZING = range(3)
N_BOOK = 3
"""SIZING is an index into `SIZINGS`."""

SIZINGS = ("all_equity", "fraction", "cash")
ALL_EQUITY, FRACTION, FIXED_CASH = range(3)


@inlined
def view_nb(state: Floats, totals: Floats, book: Floats, close: float) -> Account:
    """The account as a step sees it."""
    held = state[SIZE] != 0.0
    return Account(
        state[SIZE],
        state[ENTRY_PRICE] if held else 0.0,
        book[N_ENTRIES] if held else 0.0,
        state[CASH],
        state[CASH] + state[SIZE] * close,
        book[LAST_PROFIT],
        totals[N_TRADES],
    )


@inlined
def fill_nb(
    state: Floats,
    totals: Floats,
    book: Floats,
    limits: Floats,
    orders: Orders,
    bar: int,
    price: float,
    terms: Terms,
    out: Results,
) -> None:
    """Fill the orders at `price`: a leave, or a close of the other side, an entry, or both."""
    if orders.leave > 0.0:
        if state[SIZE] != 0.0:
            leave_nb(state, totals, book, orders.leave, bar, price, float(EXIT), terms, out)
        return
    side = 0.0
    if orders.enter > 0.0 and terms.trades_long != 0.0:
        side = 1.0
    elif orders.enter < 0.0 and terms.trades_short != 0.0:
        side = -1.0
    if side == 0.0 or not orders.weight > 0.0:
        return
    if state[SIZE] * side < 0.0:
        leave_nb(state, totals, book, 1.0, bar, price, float(EXIT), terms, out)
    if state[SIZE] == 0.0:
        book[N_ENTRIES] = 0.0
    if book[N_ENTRIES] < limits[1]:
        enter_more_nb(state, totals, book, side, limits[0], orders.weight, bar, price, terms, out)


@inlined
def enter_more_nb(
    state: Floats,
    totals: Floats,
    book: Floats,
    side: float,
    amount: float,
    weight: float,
    bar: int,
    price: float,
    terms: Terms,
    out: Results,
) -> None:
    """Open a position of `side` or add to it; not when ruined, and not when closing it at once would leave nothing."""
    cash, held = state[CASH], abs(state[SIZE])
    against = 1.0 + terms.slippage_rate
    favour = 1.0 - terms.slippage_rate
    paid = price * (against if side > 0.0 else favour)
    free = cash
    if side < 0.0:
        # What shorts were sold for is bound, and as much again, at the dearer of then and now.
        free = cash - 2.0 * held * max(price, state[ENTRY_PRICE] if held > 0.0 else 0.0)
    equity = cash + state[SIZE] * price
    spend = weight * amount
    if book[SIZING] == ALL_EQUITY:
        spend = weight * equity
    elif book[SIZING] == FRACTION:
        spend = weight * amount * equity
    spend = min(spend, free)
    size = (spend - terms.fixed_fee) / (paid * (1.0 + terms.fee_rate))
    # Below a billionth of the equity it is what rounding has left free.
    if not (size > 0.0 and spend > 1e-9 * equity) or (held == 0.0 and cash <= terms.ruin):
        return
    if side > 0.0:
        cash_after = cash - spend
        liquidation = np.inf
        left = size * price * favour * (1.0 - terms.fee_rate) - terms.fixed_fee
    else:
        cash_after = cash + size * paid * (1.0 - terms.fee_rate) - terms.fixed_fee
        per_price = (held + size) * against * (1.0 + terms.fee_rate)
        liquidation = (cash_after - terms.fixed_fee) / per_price
        left = min(cash_after - cash, cash_after - price * per_price - terms.fixed_fee)
    if not left > 0.0:
        return
    if held == 0.0:
        state[CASH_BEFORE] = cash
        state[ENTRY_BAR] = bar
        state[ENTRY_PRICE] = paid
    else:
        state[ENTRY_PRICE] = (held * state[ENTRY_PRICE] + size * paid) / (held + size)
    state[CASH] = cash_after
    state[SIZE] = side * (held + size)
    state[LIQUIDATION_PRICE] = liquidation
    book[N_ENTRIES] += 1.0
    fee = size * paid * terms.fee_rate + terms.fixed_fee
    log_order_nb(state, totals, out, FilledOrder(float(bar), side, size, paid, fee, float(ENTRY)))


@inlined
def leave_nb(
    state: Floats,
    totals: Floats,
    book: Floats,
    fraction: float,
    bar: int,
    price: float,
    reason: float,
    terms: Terms,
    out: Results,
) -> None:
    """Close `fraction` of the position; all of a short when what is left of it would be worth nothing."""
    held = abs(state[SIZE])
    # What rounding would leave of a position is closed with it.
    all_of_it = not fraction < 1.0 - 1e-9
    size = held if all_of_it else fraction * held
    if state[SIZE] > 0.0:
        side = -1.0
        paid = price * (1.0 - terms.slippage_rate)
        fee = min(size * paid * terms.fee_rate + terms.fixed_fee, size * paid)
        cash = state[CASH] + size * paid - fee
    else:
        side = 1.0
        per_price = (1.0 + terms.slippage_rate) * (1.0 + terms.fee_rate)
        bankrupt = price >= state[LIQUIDATION_PRICE]
        if not all_of_it:
            rest = held - size
            cash_left = state[CASH] - size * price * per_price - terms.fixed_fee
            if bankrupt or not cash_left - rest * price * per_price - terms.fixed_fee > 0.0:
                all_of_it = True
                size = held
            else:
                state[LIQUIDATION_PRICE] = (cash_left - terms.fixed_fee) / (rest * per_price)
        if bankrupt:
            price = state[LIQUIDATION_PRICE]
            reason = float(LIQUIDATION)
        paid = price * (1.0 + terms.slippage_rate)
        fee = size * paid * terms.fee_rate + terms.fixed_fee
        cash = 0.0 if bankrupt else max(state[CASH] - size * paid - fee, 0.0)
    state[CASH] = cash
    state[SIZE] = 0.0 if all_of_it else -side * (held - size)
    log_order_nb(state, totals, out, FilledOrder(float(bar), side, size, paid, fee, reason))
    if all_of_it:
        book[LAST_PROFIT] = cash - state[CASH_BEFORE]
        count_trade_nb(totals, cash - state[CASH_BEFORE], state[CASH_BEFORE])


@inlined
def guard_nb(
    state: Floats,
    totals: Floats,
    book: Floats,
    orders: Orders,
    market: Market,
    bar: int,
    terms: Terms,
    out: Results,
) -> None:
    """Close the position where the bar's range meets the stop, the target, or a short's liquidation."""
    opened, high, low = market.open[bar], market.high[bar], market.low[bar]
    sign = 1.0
    stop, target = orders.stop, orders.target
    reason = float(STOP_LOSS)
    if state[SIZE] < 0.0:
        # Mirrored at zero, a short's levels lie as a long's do.
        sign = -1.0
        opened, high, low, stop, target = -opened, -low, -high, -stop, -target
        if not stop >= -state[LIQUIDATION_PRICE]:
            stop = -state[LIQUIDATION_PRICE]
            reason = float(LIQUIDATION)
    if opened <= stop:
        level = opened
    elif opened >= target:
        level = opened
        reason = float(TAKE_PROFIT)
    elif low <= stop:
        level = stop
        if high >= target:
            note_ambiguous_nb(totals, out, bar)
    elif high >= target:
        level = target
        reason = float(TAKE_PROFIT)
    else:
        return
    leave_nb(state, totals, book, 1.0, bar, sign * level, reason, terms, out)
