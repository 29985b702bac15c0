"""Values that say how orders become trades: costs, fills, directions."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

Fill = Literal["next_open", "close"]
"""`next_open`: an order from bar t fills at bar t + 1's open (what a live bot can do). `close`: at bar t's close."""

Direction = Literal["long", "short", "both"]
"""Which side may be traded; signals of the other side are ignored."""

AskedDirection = Literal["auto", "long", "short", "both"]
"""As a request says it: `auto` trades every side that the strategy enters. What is stored names the sides."""

Engine = Literal["tunesmith", "vectorbt"]
"""What evaluates: our engine, or vectorbt where it means the same: slow, and the same numbers. The names of
`compute.engines.engine_table`, as requests may give them."""

OWN_ENGINE: Engine = "tunesmith"
"""Our engine: what evaluates unless a request says otherwise, and every decision, whichever engine searched."""

Cash = Annotated[float, msgspec.Meta(ge=1.0, le=1e15)]
"""Initial cash: at least one unit, so that sizes and profits stay far above what rounding and tolerances hide."""

MAX_MISSING = 0.05
"""The share of the bars expected by a market's calendar that may be missing where nobody accepts more.

A longer bar made of the others then has another open, high, low or close in at most one of five cases, as each of these
is another one where its own bar is missing (1 - .95^4), and annualized ratios are off by at most 2.6 % (1 / sqrt(.95)).
"""

MissingShare = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]

RUIN = 1e-7
"""An account is ruined once it holds nothing and this share of its initial cash is left, or less: of 10,000 a tenth of
a cent, which no market takes an order for.

It opens no position any more, and what is left stays cash to the end. So its total return is -1 to seven digits, its
later returns are 0, and every metric keeps its formula. A position that is held goes on to its own end, however little
it is worth. What was searched before there was this rule is evaluated without it (a share of 0), as it was then.
"""


def is_ruined(total_return: float | None) -> bool:
    """Whether an account of that total return has `RUIN` of its cash left, or less; an undefined one has not."""
    return total_return is not None and total_return <= RUIN - 1.0


RUINED = (
    "The account is ruined: it lost all its cash but a ten-millionth or less. From there on it opened no position, and "
    "what was left stayed cash to the end."
)
"""What a person is told of such an account."""

Rate = Annotated[float, msgspec.Meta(ge=0.0, lt=0.5)]


class Costs(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an order costs. A reversal is two orders."""

    fee_rate: Rate = 0.001
    """Fraction of the traded value, per order."""
    slippage_rate: Rate = 0.0
    """Fraction by which the price moves against the order."""
    fixed_fee: Annotated[float, msgspec.Meta(ge=0.0, le=1e9)] = 0.0
    """Cash per order."""
