"""One point whose orders fill one bar later than they did: what a trader who comes late makes of the same decisions.

Every order that filled in bar k, whether at its open, its close, a stop or a target, fills at the open of bar k + 1:
- an order whose later bar does not exist is dropped;
- an entry spends the same share of the equity of then, and an exit closes the same share of the position;
- orders of one bar keep their order;
- a position that opened and closed within one bar would close as it opens, and is not opened.
Levels are not watched anew: a stop that was hit in bar k closes at the open of bar k + 1, wherever the price is then.
Only a short that its account cannot buy back any more is closed at once, as everywhere, and leaves nothing.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tunesmith.compute.engines.trace import Order, Trace, trades_of
from tunesmith.compute.measures.path_metrics import path_metrics
from tunesmith.compute.simulation.arrays import N_ORDER_FIELDS, N_ORDERS, N_TOTALS, REASONS, Results
from tunesmith.compute.simulation.execution import Execution
from tunesmith.compute.simulation.run import empty_results, prepare
from tunesmith.domain.array_types import Floats
from tunesmith.domain.market.bars import Bars

_ALL_OF_IT = 1.0 - 1e-9
_DUST = 1e-9


class _Wish(NamedTuple):
    """An order without its size: an entry of `share` of the equity, or an exit of `share` of the position."""

    bar: int
    sign: float
    enters: bool
    share: float
    reason: str


def fill_later(traced: Trace, bars: Bars, execution: Execution) -> Trace:
    """The trace of a point whose orders fill one bar later than in `traced`, on the same bars.

    Its metrics are the total return and those of the account's path.
    """
    account = _Account(bars, execution, traced.start)
    for wish in _wishes(traced.orders, execution):
        if wish.bar + 1 >= len(bars):
            break
        account.hold(wish.bar + 1)
        account.fill(wish)
    account.hold(len(bars))
    equity, position, orders = account.equity, account.position, tuple(account.orders)
    before = np.concatenate([[execution.initial_cash], equity[:-1]])
    found = path_metrics(prepare(bars), execution, traced.start, _results(orders, equity, position))
    return Trace(
        start=traced.start,
        orders=orders,
        trades=tuple(trades_of(orders)),
        equity=equity,
        returns=np.divide(equity, before, out=np.ones(len(equity)), where=before > 0.0) - 1.0,
        position=position,
        ambiguous_bars=np.empty(0, np.int64),
        metrics={
            "total_return": float(equity[-1]) / execution.initial_cash - 1.0,
            **{name: float(values[0]) for name, values in found.items()},
        },
    )


def _wishes(orders: tuple[Order, ...], execution: Execution) -> list[_Wish]:
    """The orders as shares of equity and position, without those of positions that lasted no bar."""
    slippage = execution.costs.slippage_rate
    cash, held, first = execution.initial_cash, 0.0, 0
    wishes: list[_Wish] = []
    for order in orders:
        sign = 1.0 if order.side == "buy" else -1.0
        value = order.size * order.price
        enters = held * sign >= 0.0
        if enters:
            first = len(wishes) if held == 0.0 else first
            share = (value + order.fee) / (cash + held * order.price / (1.0 + sign * slippage))
        else:
            share = order.size / abs(held)
        cash -= sign * value + order.fee
        held += sign * order.size
        wishes.append(_Wish(order.bar, sign, enters, share, order.reason))
        if not enters and share >= _ALL_OF_IT:
            held = 0.0
            if wishes[first].bar == order.bar:
                del wishes[first:]
    return wishes


class _Account:
    """Cash and position, negative for a short, and their values at the close of every bar from `start` on."""

    def __init__(self, bars: Bars, execution: Execution, start: int) -> None:
        self.cash = execution.initial_cash
        self.held = 0.0
        self.orders: list[Order] = []
        self.equity = np.empty(len(bars) - start)
        self.position = np.empty(len(bars) - start)
        self._bars = bars
        self._costs = execution.costs
        self._start = self._bar = start

    def hold(self, stop: int) -> None:
        """Hold what there is until bar `stop` opens; a short ends where the price leaves nothing of the account."""
        if self.held < 0.0:
            reached = np.flatnonzero(self._bars.high[self._bar : stop] >= self._ruin())
            if len(reached):
                self._mark(self._bar + int(reached[0]))
                self._close_in_ruin()
        self._mark(stop)

    def fill(self, wish: _Wish) -> None:
        """Fill an order at the open of the bar that is reached; an exit without a position is dropped."""
        if wish.enters:
            if self.held * wish.sign >= 0.0:
                self._enter(wish)
        elif self.held * wish.sign < 0.0:
            self._leave(wish)

    def _enter(self, wish: _Wish) -> None:
        price, costs = float(self._bars.open[self._bar]), self._costs
        equity = self.cash + self.held * price
        # Long or short, a position is never worth more than the equity.
        spend = min(wish.share * equity, equity - abs(self.held) * price)
        paid = price * (1.0 + wish.sign * costs.slippage_rate)
        size = (spend - costs.fixed_fee) / (paid * (1.0 + costs.fee_rate))
        if not (size > 0.0 and spend > _DUST * equity):
            return
        before = self.cash, self.held
        self._trade(wish.sign, size, paid, size * paid * costs.fee_rate + costs.fixed_fee)
        if not self._left(price) > 0.0:
            self.cash, self.held = before
            return
        self._log(wish.sign, size, paid, wish.reason)

    def _leave(self, wish: _Wish) -> None:
        price, costs = float(self._bars.open[self._bar]), self._costs
        if self.held < 0.0 and price >= self._ruin():
            self._close_in_ruin()
            return
        paid = price * (1.0 + wish.sign * costs.slippage_rate)
        whole = wish.share >= _ALL_OF_IT
        size = abs(self.held) if whole else wish.share * abs(self.held)
        fee = size * paid * costs.fee_rate + costs.fixed_fee
        if wish.sign < 0.0:
            fee = min(fee, size * paid)
        self._trade(wish.sign, size, paid, fee)
        self.held = 0.0 if whole else self.held
        self._log(wish.sign, size, paid, wish.reason, fee)

    def _close_in_ruin(self) -> None:
        size, paid = abs(self.held), self._ruin() * (1.0 + self._costs.slippage_rate)
        self.cash = self.held = 0.0
        self._log(1.0, size, paid, "liquidation")

    def _trade(self, sign: float, size: float, paid: float, fee: float) -> None:
        self.cash -= sign * size * paid + fee
        self.held += sign * size

    def _log(self, sign: float, size: float, paid: float, reason: str, fee: float | None = None) -> None:
        charged = size * paid * self._costs.fee_rate + self._costs.fixed_fee if fee is None else fee
        self.orders.append(Order(self._bar, "buy" if sign > 0.0 else "sell", size, paid, charged, reason))

    def _left(self, price: float) -> float:
        """What closing the position at `price` would leave."""
        costs = self._costs
        received = price * (1.0 - np.sign(self.held) * costs.slippage_rate)
        return float(self.cash + self.held * received - abs(self.held) * received * costs.fee_rate - costs.fixed_fee)

    def _ruin(self) -> float:
        """The price at which buying a short back leaves nothing."""
        costs = self._costs
        per_price = abs(self.held) * (1.0 + costs.slippage_rate) * (1.0 + costs.fee_rate)
        return (self.cash - costs.fixed_fee) / per_price

    def _mark(self, stop: int) -> None:
        """Write down equity and position at each close before bar `stop`."""
        part = slice(self._bar - self._start, stop - self._start)
        self.equity[part] = self.cash + self.held * self._bars.close[self._bar : stop]
        self.position[part] = self.held
        self._bar = stop


def _results(orders: tuple[Order, ...], equity: Floats, position: Floats) -> Results:
    """The account's path as the engine writes it down."""
    out = empty_results(np.zeros((1, N_TOTALS)), n_orders=len(orders), n_marks=len(equity))
    out.totals[0, N_ORDERS] = len(orders)
    rows = [
        (o.bar, 1.0 if o.side == "buy" else -1.0, o.size, o.price, o.fee, float(REASONS.index(o.reason)))
        for o in orders
    ]
    out.orders[:] = np.array(rows, np.float64).reshape(len(orders), N_ORDER_FIELDS)
    out.marks[0], out.marks[1] = equity, position
    return out
