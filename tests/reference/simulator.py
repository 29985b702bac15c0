"""What an order means: a slow, obvious simulator in plain Python. It defines; the engine must equal it.

Signals of bar t are known at the close of bar t. They are decided there and filled
    fill = "next_open"   at the open of bar t + 1 (a signal of the last bar is never filled),
    fill = "close"       at the close of bar t.
Signals of bars before `start` are ignored; the account enters `start` flat, with `initial_cash`.

Order of events within one bar
    next_open   1. orders decided on the bar before fill at the open
                2. the bar's range against stops, targets and the liquidation price — also on the entry bar
                3. the bar closes: equity is marked, signals are decided
    close       1. the bar's range against stops, targets and the liquidation price — not on the entry bar, whose range
                   lies before the entry
                2. the bar closes: signals are decided and fill at the close; equity is marked after them

Which orders the signals of one bar ask for
    a. Signals of a side that `direction` does not trade are ignored.
    b. An exit wins over an entry of the same side on the same bar: held or not, that entry is dropped.
    c. If then both sides ask to enter, both entries are dropped.
    d. A position is closed by its own exit, or by an entry of the other side: a reversal, which is two orders, a close
       and an entry, each with its costs. An entry of the side that is held does nothing.
    e. `max_holding` n (0: none) closes a position by an exit of its own side, filled exactly n bars after its entry.

Prices and costs
    A buy pays price * (1 + slippage), a sale gets price * (1 - slippage); the order's value at that price bears the
    proportional fee; each order bears the fixed fee.
    An entry takes all equity E: a long of (E - fixed) / (p * (1 + fee)), so that cash is zero after it; a short of the
    same size at its own p, so that its value plus its fee is E - fixed.
    An entry is not made when closing it at once, at the same price before slippage, would leave nothing; nor by an
    account that is ruined: flat, with the share `ruin` of its initial cash left, or less.
    Closing never costs more than there is: the fees of a closing long are at most its proceeds.

Stops are levels fixed at entry, from the fill price P (with slippage, without fees), or from an absolute price that the
rule read on the bar of the signal. NaN means none.
    stop_loss      long P * (1 - x), short P * (1 + x); or the price itself
    take_profit    long P * (1 + x), short P * (1 - x); or the price itself
    trailing_stop  long H * (1 - x), short H * (1 + x); or H less (short: plus) the distance from P to the price.
                   H is the best price since entry as it was known before the bar's range: P, the highs (lows) of the
                   bars held so far, and the open of this bar. A new extreme within a bar moves the stop for the next
                   bar only. The entry bar counts from its open, so with fill = "close" not at all.
    liquidation    a short whose closing costs would take all its equity is closed at that price, even when the bar
                   opens above it, and the account is at zero for good.
The nearest of stop_loss, trailing_stop and liquidation is the stop. On one bar:
    open at or beyond the stop    → closed at the open (a short at the liquidation price at worst)
    open at or beyond the target  → closed at the open
    range touches the stop        → closed at the stop's price; when it touches the target too, the bar is ambiguous:
                                    the stop is taken, and the bar is counted
    range touches the target      → closed at the target's price
each with slippage and fees. After a stop the signals of that bar are decided as on any other bar.

A trade is a position from flat to flat; a profit within 1e-12 of its stake is rounding, and zero. What is open at the
end counts in equity, and not among the trades.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

NAN = math.nan


@dataclass(frozen=True)
class Candle:
    open: float
    high: float
    low: float
    close: float


@dataclass(frozen=True)
class Level:
    """A stop or target at one bar: a fraction of the entry price, or a price."""

    fraction: float | None = None
    price: float | None = None


@dataclass(frozen=True)
class Signal:
    """What the rule says at the close of one bar."""

    enter_long: bool = False
    exit_long: bool = False
    enter_short: bool = False
    exit_short: bool = False
    stop_loss: Level | None = None
    take_profit: Level | None = None
    trailing_stop: Level | None = None


@dataclass(frozen=True)
class Terms:
    """How orders are filled and what they cost."""

    fee_rate: float = 0.0
    slippage_rate: float = 0.0
    fixed_fee: float = 0.0
    fill: str = "next_open"
    direction: str = "both"
    initial_cash: float = 10_000.0
    max_holding: int = 0
    start: int = 0
    ruin: float = 1e-7


@dataclass(frozen=True)
class Order:
    """A filled order: `price` with slippage, `fee` all fees in cash."""

    bar: int
    side: str
    size: float
    price: float
    fee: float
    reason: str


@dataclass(frozen=True)
class Trade:
    """A position from flat to flat; `profit` in cash after all costs."""

    side: str
    entry_bar: int
    exit_bar: int
    entry_price: float
    exit_price: float
    size: float
    profit: float


@dataclass
class Run:
    """What happened from `start` on; `equity` and `position` at the close of each bar."""

    orders: list[Order] = field(default_factory=list)
    trades: list[Trade] = field(default_factory=list)
    equity: list[float] = field(default_factory=list)
    position: list[float] = field(default_factory=list)
    ambiguous_bars: list[int] = field(default_factory=list)


class Account:
    """Cash and at most one position; it knows the price at which a short is bankrupt."""

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self.run = Run()
        self.cash = terms.initial_cash
        self.size = 0.0
        self.entry_order: Order | None = None
        self.cash_before_entry = 0.0
        self.liquidation_price = math.inf

    @property
    def side(self) -> str:
        return "long" if self.size > 0 else "short" if self.size < 0 else "flat"

    def enter(self, side: str, bar: int, price: float) -> bool:
        fee_rate, slippage, fixed = self.terms.fee_rate, self.terms.slippage_rate, self.terms.fixed_fee
        paid = price * (1 + slippage) if side == "long" else price * (1 - slippage)
        size = (self.cash - fixed) / (paid * (1 + fee_rate))
        if size <= 0 or self.cash <= self.terms.ruin * self.terms.initial_cash:
            return False
        if side == "long":
            left = size * price * (1 - slippage) * (1 - fee_rate) - fixed
            cash_after = 0.0
            liquidation_price = math.inf
        else:
            cash_after = self.cash + size * paid * (1 - fee_rate) - fixed
            left = cash_after - size * price * (1 + slippage) * (1 + fee_rate) - fixed
            liquidation_price = (cash_after - fixed) / (size * (1 + slippage) * (1 + fee_rate))
        if left <= 0:
            return False
        self.cash_before_entry = self.cash
        self.cash = cash_after
        self.size = size if side == "long" else -size
        self.liquidation_price = liquidation_price
        fee = size * paid * fee_rate + fixed
        self.entry_order = Order(bar, "buy" if side == "long" else "sell", size, paid, fee, "entry")
        self.run.orders.append(self.entry_order)
        return True

    def close(self, bar: int, price: float, reason: str) -> None:
        fee_rate, slippage, fixed = self.terms.fee_rate, self.terms.slippage_rate, self.terms.fixed_fee
        size = abs(self.size)
        if self.side == "long":
            got = price * (1 - slippage)
            fee = min(size * got * fee_rate + fixed, size * got)
            cash_after = size * got - fee
            order = Order(bar, "sell", size, got, fee, reason)
        else:
            bankrupt = price >= self.liquidation_price
            if bankrupt:
                price, reason = self.liquidation_price, "liquidation"
            paid = price * (1 + slippage)
            fee = size * paid * fee_rate + fixed
            cash_after = 0.0 if bankrupt else max(self.cash - size * paid - fee, 0.0)
            order = Order(bar, "buy", size, paid, fee, reason)
        assert self.entry_order is not None
        entry = self.entry_order
        profit = settle(cash_after - self.cash_before_entry, self.cash_before_entry)
        self.run.orders.append(order)
        self.run.trades.append(Trade(self.side, entry.bar, bar, entry.price, order.price, size, profit))
        self.cash = cash_after
        self.size = 0.0
        self.entry_order = None
        self.liquidation_price = math.inf

    def equity(self, price: float) -> float:
        return self.cash + self.size * price


class Guard:
    """The stops of one position."""

    def __init__(self, side: str, entry_price: float, signal: Signal) -> None:
        sign = 1.0 if side == "long" else -1.0
        self.side = side
        self.best = entry_price
        self.stop_loss = _level(signal.stop_loss, entry_price, -sign)
        self.target = _level(signal.take_profit, entry_price, sign)
        self.trail_fraction, self.trail_distance = NAN, NAN
        trailing = signal.trailing_stop
        if trailing is not None and trailing.fraction is not None:
            self.trail_fraction = trailing.fraction
        elif trailing is not None and trailing.price is not None:
            self.trail_distance = sign * (entry_price - trailing.price)

    def trailing_stop(self) -> float:
        sign = 1.0 if self.side == "long" else -1.0
        if not math.isnan(self.trail_fraction):
            return self.best * (1 - sign * self.trail_fraction)
        return self.best - sign * self.trail_distance

    def check(self, candle: Candle, liquidation_price: float) -> tuple[float, str, bool] | None:
        """The price and reason at which this bar's range closes the position, and whether that is ambiguous."""
        long = self.side == "long"
        self.best = max(self.best, candle.open) if long else min(self.best, candle.open)
        stops = [
            (self.stop_loss, "stop_loss"),
            (self.trailing_stop(), "trailing_stop"),
            (NAN if long else liquidation_price, "liquidation"),
        ]
        known = [stop for stop in stops if not math.isnan(stop[0])]
        stop, reason = (NAN, "")
        if known:
            stop, reason = max(known, key=lambda s: s[0]) if long else min(known, key=lambda s: s[0])
        target = self.target
        if long:
            gap_stop, gap_target = candle.open <= stop, candle.open >= target
            touches_stop, touches_target = candle.low <= stop, candle.high >= target
        else:
            gap_stop, gap_target = candle.open >= stop, candle.open <= target
            touches_stop, touches_target = candle.high >= stop, candle.low <= target
        self.best = max(self.best, candle.high) if long else min(self.best, candle.low)
        if gap_stop:
            return candle.open, reason, False
        if gap_target:
            return candle.open, "take_profit", False
        if touches_stop:
            return stop, reason, touches_target
        if touches_target:
            return target, "take_profit", False
        return None


def settle(profit: float, cash_before: float) -> float:
    """A profit within 1e-12 of the cash that was staked is rounding, and zero."""
    return 0.0 if abs(profit) <= 1e-12 * cash_before else profit


def _level(level: Level | None, entry_price: float, sign: float) -> float:
    if level is None:
        return NAN
    if level.fraction is not None:
        return entry_price * (1 + sign * level.fraction)
    assert level.price is not None
    return level.price


def simulate(candles: Sequence[Candle], signals: Sequence[Signal], terms: Terms) -> Run:
    """Run one point: `signals[t]` is what the rule says at the close of `candles[t]`."""
    account = Account(terms)
    guard: Guard | None = None
    decided: Signal | None = None
    at_open = terms.fill == "next_open"

    def fill_orders(signal: Signal, bar: int, price: float) -> None:
        """Fill what `signal` asks for, at `price`."""
        nonlocal guard
        exit_side, entry_side = _wanted(signal, account, bar, terms)
        if exit_side:
            held = account.entry_order
            assert held is not None
            own_exit = signal.exit_long if account.side == "long" else signal.exit_short
            reversal = entry_side is not None
            account.close(bar, price, "exit" if own_exit or reversal else "max_holding")
            guard = None
        if entry_side and account.side == "flat" and account.enter(entry_side, bar, price):
            assert account.entry_order is not None
            guard = Guard(entry_side, account.entry_order.price, signal)

    for bar in range(terms.start, len(candles)):
        candle = candles[bar]
        if at_open and decided is not None:
            fill_orders(decided, bar, candle.open)
        if guard is not None:
            closed = guard.check(candle, account.liquidation_price)
            if closed is not None:
                price, reason, ambiguous = closed
                account.close(bar, price, reason)
                guard = None
                if ambiguous:
                    account.run.ambiguous_bars.append(bar)
        if at_open:
            decided = signals[bar]
        else:
            fill_orders(signals[bar], bar, candle.close)
        account.run.equity.append(account.equity(candle.close))
        account.run.position.append(account.size)
    return account.run


def _wanted(signal: Signal, account: Account, fill_bar: int, terms: Terms) -> tuple[bool, str | None]:
    """Whether the position is to be closed, and the side to enter; rules a to e above."""
    trades_long, trades_short = terms.direction != "short", terms.direction != "long"
    exit_long = signal.exit_long and trades_long
    exit_short = signal.exit_short and trades_short
    if account.entry_order is not None and terms.max_holding > 0:
        overdue = fill_bar - account.entry_order.bar >= terms.max_holding
        exit_long = exit_long or (overdue and account.side == "long")
        exit_short = exit_short or (overdue and account.side == "short")
    enter_long = signal.enter_long and trades_long and not exit_long
    enter_short = signal.enter_short and trades_short and not exit_short
    if enter_long and enter_short:
        enter_long = enter_short = False
    entry_side = "long" if enter_long else "short" if enter_short else None
    if account.side == "long":
        return exit_long or enter_short, entry_side
    if account.side == "short":
        return exit_short or enter_long, entry_side
    return False, entry_side
