"""What the orders of a path-dependent strategy mean: a slow, obvious simulator in plain Python. It defines.

The step is called at the close of every bar and answers for the next: its orders fill at the next open (fill =
"next_open") or at this close (fill = "close"); its stop and target watch the next bar's range. Bars before `start`
only warm its memory up. Order of events within one bar
    1. next_open: what the step answered on the bar before fills at the open
    2. the bar's range against that answer's stop and target, and against a short's liquidation, as for any position:
       beyond at the open → at the open; else the stop → at its price (ambiguous where the target is touched too);
       else the target → at its price; a short at its liquidation price at worst
    3. the step sees the bar and the account at its close, and answers; close: its orders fill at the close
    4. equity is marked
Which orders fill
    a. A leave wins over an entry. A leave of a fraction q closes q of the position, all of it from 1 - 1e-9 on; all of
       a short too when what is left of it could not be closed for what is left of the cash.
    b. An entry of a side that `direction` does not trade, or of a weight not above 0, is none.
    c. An entry of the other side first closes the position, by an order of its own.
    d. A position is made of at most `max_entries` entries.
Size of an entry
    wanted    all_equity: weight * equity; fraction: weight * amount * equity; cash: weight * amount; equity at the fill
              price before slippage
    free      long: the cash; short: the cash less twice what is held, at the fill price or the average entry price,
              whichever is dearer
    spent     the smaller of the two; size = (spent - fixed) / (p * (1 + fee)), p with slippage
    An entry is not made when closing it at once would leave nothing: a long one's own proceeds, a short's account; nor
    is a short one whose fees take all that it is sold for; nor one that spends no more than a billionth of the equity;
    nor the first one of an account that is ruined (see simulator.py).
Costs are those of any order (see simulator.py). A trade is a position from flat to flat.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from reference.simulator import Candle, Order, Run, Terms, Trade, settle
from tunesmith.compute.stepping import Account, Bar, Orders


class Book:
    """Cash, one position made of entries, and what happened to them."""

    def __init__(self, terms: Terms, sizing: tuple[str, float], max_entries: float) -> None:
        self.terms, self.sizing, self.max_entries = terms, sizing, max_entries
        self.run = Run()
        self.cash = terms.initial_cash
        self.size = 0.0
        self.entries: list[Order] = []
        self.average_price = 0.0
        self.cash_before = 0.0
        self.last_profit = 0.0
        self.liquidation = math.inf

    def view(self, close: float) -> Account:
        held = self.size != 0
        return Account(
            self.size,
            self.average_price if held else 0.0,
            float(len(self.entries)),
            self.cash,
            self.equity(close),
            self.last_profit,
            float(len(self.run.trades)),
        )

    def equity(self, price: float) -> float:
        return self.cash + self.size * price

    def fill(self, orders: Orders, bar: int, price: float) -> None:
        if orders.leave > 0:
            if self.size:
                self.leave(orders.leave, bar, price, "exit")
            return
        side = "long" if orders.enter > 0 else "short" if orders.enter < 0 else ""
        if not side or self.terms.direction not in (side, "both") or not orders.weight > 0:
            return
        if self.size and (self.size > 0) != (side == "long"):
            self.leave(1.0, bar, price, "exit")
        if len(self.entries) < self.max_entries:
            self.enter(side, orders.weight, bar, price)

    def enter(self, side: str, weight: float, bar: int, price: float) -> None:
        fee, slip, fixed = self.terms.fee_rate, self.terms.slippage_rate, self.terms.fixed_fee
        held = abs(self.size)
        kind, amount = self.sizing
        wanted = {
            "all_equity": weight * self.equity(price),
            "fraction": weight * amount * self.equity(price),
            "cash": weight * amount,
        }[kind]
        free = self.cash if side == "long" else self.cash - 2 * held * max(price, self.average_price if held else 0.0)
        spent = min(wanted, free)
        paid = price * (1 + slip) if side == "long" else price * (1 - slip)
        size = (spent - fixed) / (paid * (1 + fee))
        if size <= 0 or spent <= 1e-9 * self.equity(price):
            return
        if not held and self.cash <= self.terms.ruin * self.terms.initial_cash:
            return
        if side == "long":
            cash = self.cash - spent
            left = size * price * (1 - slip) * (1 - fee) - fixed
            liquidation = math.inf
        else:
            cash = self.cash + size * paid * (1 - fee) - fixed
            left = min(cash - self.cash, cash - (held + size) * price * (1 + slip) * (1 + fee) - fixed)
            liquidation = (cash - fixed) / ((held + size) * (1 + slip) * (1 + fee))
        if left <= 0:
            return
        if not held:
            self.cash_before = self.cash
        self.average_price = (held * self.average_price + size * paid) / (held + size)
        self.cash, self.liquidation = cash, liquidation
        self.size = (held + size) if side == "long" else -(held + size)
        order = Order(bar, "buy" if side == "long" else "sell", size, paid, size * paid * fee + fixed, "entry")
        self.entries.append(order)
        self.run.orders.append(order)

    def leave(self, fraction: float, bar: int, price: float, reason: str) -> None:
        fee_rate, slip, fixed = self.terms.fee_rate, self.terms.slippage_rate, self.terms.fixed_fee
        held, long = abs(self.size), self.size > 0
        size = held if fraction >= 1 - 1e-9 else fraction * held
        if long:
            got = price * (1 - slip)
            fee = min(size * got * fee_rate + fixed, size * got)
            cash = self.cash + size * got - fee
            order = Order(bar, "sell", size, got, fee, reason)
        else:
            closing = (1 + slip) * (1 + fee_rate)
            if price >= self.liquidation:
                size, price, reason = held, self.liquidation, "liquidation"
            elif size < held:
                rest = held - size
                cash_left = self.cash - size * price * closing - fixed
                if cash_left - rest * price * closing - fixed <= 0:
                    size = held
                else:
                    self.liquidation = (cash_left - fixed) / (rest * closing)
            fee = size * price * (1 + slip) * fee_rate + fixed
            order = Order(bar, "buy", size, price * (1 + slip), fee, reason)
            cash = 0.0 if reason == "liquidation" else max(self.cash - size * order.price - fee, 0.0)
        self.cash = cash
        self.run.orders.append(order)
        if size < held:
            self.size = (held - size) * (1 if long else -1)
            return
        first = self.entries[0]
        profit = cash - self.cash_before
        self.last_profit = profit
        self.run.trades.append(
            Trade(
                "long" if long else "short",
                first.bar,
                bar,
                self.average_price,
                order.price,
                sum(entry.size for entry in self.entries),
                settle(profit, self.cash_before),
            )
        )
        self.size, self.entries, self.liquidation = 0.0, [], math.inf

    def watch(self, bar: int, candle: Candle, stop: float, target: float) -> None:
        """Close the position where the bar's range says so."""
        reason = "stop_loss"
        if self.size > 0:
            stopped_at_open, won_at_open = candle.open <= stop, candle.open >= target
            stopped, won = candle.low <= stop, candle.high >= target
        else:
            if not stop <= self.liquidation:
                stop, reason = self.liquidation, "liquidation"
            stopped_at_open, won_at_open = candle.open >= stop, candle.open <= target
            stopped, won = candle.high >= stop, candle.low <= target
        if stopped_at_open:
            self.leave(1.0, bar, candle.open, reason)
        elif won_at_open:
            self.leave(1.0, bar, candle.open, "take_profit")
        elif stopped:
            if won:
                self.run.ambiguous_bars.append(bar)
            self.leave(1.0, bar, stop, reason)
        elif won:
            self.leave(1.0, bar, target, "take_profit")


def simulate_steps(
    candles: Sequence[Candle],
    step: Callable[..., Orders],
    point: Sequence[float],
    terms: Terms,
    *,
    sizing: tuple[str, float] = ("all_equity", 1.0),
    max_entries: float = 1,
    n_state: int = 16,
    volumes: Sequence[float] | None = None,
) -> Run:
    """Run one point of a step."""
    book = Book(terms, sizing, max_entries)
    memory: Any = np.zeros(n_state)
    answer = Orders(0.0, 0.0, 0.0, math.nan, math.nan)
    at_open = terms.fill == "next_open"
    for t, candle in enumerate(candles):
        if t > terms.start:
            if at_open:
                book.fill(answer, t, candle.open)
            if book.size:
                book.watch(t, candle, answer.stop, answer.target)
        volume = 1.0 if volumes is None else volumes[t]
        seen = Bar(float(t - terms.start), candle.open, candle.high, candle.low, candle.close, volume)
        answer = step(memory, book.view(candle.close), seen, np.asarray(point, float))
        if t >= terms.start:
            if not at_open:
                book.fill(answer, t, candle.close)
            book.run.equity.append(book.equity(candle.close))
            book.run.position.append(book.size)
    return book.run
