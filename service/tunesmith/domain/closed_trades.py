"""Closed trades of a point, for targets that are functions of trades, and its path, for metrics with a function."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from tunesmith.domain.array_types import Floats, Ints


@dataclass(frozen=True, eq=False)
class ClosedTrades:
    """The m closed trades of one point, in the order of closing, and the account and range that they belong to.

    `profit_abs` float64[m] net profit in cash; `profit_ratio` float64[m] the same as a fraction of what the entry cost,
    its fee included (of what a short's entry brought, its fee taken off); `opened_ms`, `closed_ms` int64[m] when the
    bars of entry and exit open, UTC milliseconds. `initial_cash` is the account's at `first_ms`, when the first bar
    opens that may be traded on; `last_ms` is when the last bar opens. A position open at the end is no closed trade.
    `first_loss_counts`: drawdowns begin at the initial cash, and not at the profit of the first trade.
    """

    profit_abs: Floats
    profit_ratio: Floats
    opened_ms: Ints
    closed_ms: Ints
    initial_cash: float
    first_ms: int
    last_ms: int
    first_loss_counts: bool = True

    def __len__(self) -> int:
        return len(self.profit_abs)


class AccountPath(NamedTuple):
    """What one account did over n bars, for a metric with a function of its own.

    float64[n] each, at the close of every bar: `equity` in cash, `position` in units (below 0 when short), and the
    market's `closes`. `trades` are the closed ones, and say the initial cash; `bars_per_year` is A.
    """

    equity: Floats
    position: Floats
    closes: Floats
    trades: ClosedTrades
    bars_per_year: float
