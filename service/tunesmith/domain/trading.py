"""Values that say how orders become trades: costs, fills, directions."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

Fill = Literal["next_open", "close"]
"""`next_open`: an order from bar t fills at bar t + 1's open (what a live bot can do). `close`: at bar t's close."""

Direction = Literal["long", "short", "both"]
"""Which side may be traded; signals of the other side are ignored."""

Engine = Literal["tunesmith", "vectorbt"]
"""What evaluates: our engine, or vectorbt where it means the same: slow, and the same numbers. The names of
`compute.engines.engine_table`, as requests may give them."""

OWN_ENGINE: Engine = "tunesmith"
"""Our engine: what evaluates unless a request says otherwise, and every decision, whichever engine searched."""

Cash = Annotated[float, msgspec.Meta(ge=1.0, le=1e15)]
"""Initial cash: at least one unit, so that sizes and profits stay far above what rounding and tolerances hide."""

Rate = Annotated[float, msgspec.Meta(ge=0.0, lt=0.5)]


class Costs(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an order costs. A reversal is two orders."""

    fee_rate: Rate = 0.001
    """Fraction of the traded value, per order."""
    slippage_rate: Rate = 0.0
    """Fraction by which the price moves against the order."""
    fixed_fee: Annotated[float, msgspec.Meta(ge=0.0, le=1e9)] = 0.0
    """Cash per order."""
