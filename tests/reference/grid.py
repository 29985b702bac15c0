"""What grid_v1.2 trades: a slow, obvious simulator in plain Python. It defines; the kernel must equal it.

Long only. Prices of levels are order prices, before slippage; `p` is profit_ratio, `n` grid_num.

Start     Whenever the account is flat at the close of a bar, a grid starts at the next fill: the open of the next bar
          (fill = "next_open") or this close (fill = "close"). The cash is split into n equal lots and the first is
          bought at that price `first`. The lowest level is first * (1 - p)^(n - 1); the grid's stop is
          lowest * (1 - stop_loss), fixed until the grid ends.
          A ruined account (see simulator.py) starts none.
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

A trade is a whole position, from the first lot until nothing is held: its profit is what the cash has gained.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reference.simulator import Candle, Order, Run, Terms, Trade, settle


@dataclass(eq=False)
class Lot:
    price: float
    size: float
    bought_in_range: bool


class Grid:
    """Cash and lots, cheapest lot last."""

    def __init__(self, n: int, p: float, stop_loss: float, terms: Terms) -> None:
        self.n, self.p, self.stop_loss, self.terms = n, p, stop_loss, terms
        self.run = Run()
        self.cash = terms.initial_cash
        self.lots: list[Lot] = []
        self.share = self.stop = self.cash_at_start = 0.0
        self.entries: list[Order] = []
        self.exits: list[Order] = []

    def start(self, bar: int, price: float) -> None:
        if self.cash <= self.terms.ruin * self.terms.initial_cash:
            return
        self.cash_at_start = self.cash
        self.share = self.cash / self.n
        self.stop = price * (1 - self.p) ** (self.n - 1) * (1 - self.stop_loss)
        self.entries, self.exits = [], []
        self.buy(bar, price, in_range=False)

    def buy(self, bar: int, price: float, *, in_range: bool) -> bool:
        fee_rate, slippage, fixed = self.terms.fee_rate, self.terms.slippage_rate, self.terms.fixed_fee
        spend = min(self.share, self.cash)
        paid = price * (1 + slippage)
        size = (spend - fixed) / (paid * (1 + fee_rate))
        if size <= 0 or size * price * (1 - slippage) * (1 - fee_rate) - fixed <= 0:
            return False
        self.cash -= spend
        self.lots.append(Lot(price, size, in_range))
        order = Order(bar, "buy", size, paid, size * paid * fee_rate + fixed, "entry")
        self.entries.append(order)
        self.run.orders.append(order)
        return True

    def sell(self, bar: int, price: float, lots: list[Lot], reason: str) -> None:
        got = price * (1 - self.terms.slippage_rate)
        size = sum(lot.size for lot in lots)
        fee = min(size * got * self.terms.fee_rate + self.terms.fixed_fee, size * got)
        self.cash += size * got - fee
        self.lots = [lot for lot in self.lots if lot not in lots]
        order = Order(bar, "sell", size, got, fee, reason)
        self.exits.append(order)
        self.run.orders.append(order)
        if not self.lots:
            bought = sum(o.size for o in self.entries)
            entry_price = sum(o.size * o.price for o in self.entries) / bought
            exit_price = sum(o.size * o.price for o in self.exits) / sum(o.size for o in self.exits)
            profit = settle(self.cash - self.cash_at_start, self.cash_at_start)
            self.run.trades.append(Trade("long", self.entries[0].bar, bar, entry_price, exit_price, bought, profit))

    def limit(self) -> float | None:
        """Price of the resting buy order; None when there is none."""
        if not self.lots or len(self.lots) >= self.n:
            return None
        price = self.lots[-1].price * (1 - self.p)
        return price if price > self.stop else None

    def target(self, lot: Lot) -> float:
        return lot.price * (1 + self.p)

    def at_open(self, bar: int, candle: Candle) -> None:
        if not self.lots:
            return
        if candle.open <= self.stop:
            self.sell(bar, candle.open, list(self.lots), "stop_loss")
            return
        for lot in reversed(list(self.lots)):
            if candle.open >= self.target(lot):
                self.sell(bar, candle.open, [lot], "take_profit")
        limit = self.limit()
        if limit is not None and candle.open <= limit:
            self.buy(bar, candle.open, in_range=False)

    def in_range(self, bar: int, candle: Candle) -> None:
        if not self.lots:
            return
        while (limit := self.limit()) is not None and candle.low <= limit:
            if not self.buy(bar, limit, in_range=True):
                break
        if candle.low <= self.stop:
            if any(candle.high >= self.target(lot) for lot in self.lots if not lot.bought_in_range):
                self.run.ambiguous_bars.append(bar)
            self.sell(bar, self.stop, list(self.lots), "stop_loss")
            return
        for lot in reversed(list(self.lots)):
            reach = candle.close if lot.bought_in_range else candle.high
            if reach >= self.target(lot):
                self.sell(bar, self.target(lot), [lot], "take_profit")
        for lot in self.lots:
            lot.bought_in_range = False


def simulate_grid(candles: Sequence[Candle], n: int, p: float, stop_loss: float, terms: Terms) -> Run:
    """Run one point from `terms.start` on."""
    grid = Grid(n, p, stop_loss, terms)
    if terms.direction == "short":
        n_bars = len(candles) - terms.start
        grid.run.equity, grid.run.position = [terms.initial_cash] * n_bars, [0.0] * n_bars
        return grid.run
    for bar in range(terms.start, len(candles)):
        candle = candles[bar]
        if not grid.lots and terms.fill == "next_open" and bar > terms.start:
            grid.start(bar, candle.open)
        else:
            grid.at_open(bar, candle)
        grid.in_range(bar, candle)
        if not grid.lots and terms.fill == "close":
            grid.start(bar, candle.close)
        held = sum(lot.size for lot in grid.lots)
        grid.run.equity.append(grid.cash + held * candle.close)
        grid.run.position.append(held)
    return grid.run
