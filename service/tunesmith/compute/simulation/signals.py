"""Signals: what a strategy wants at the close of each bar, for a block of points."""

from __future__ import annotations

from dataclasses import dataclass

from tunesmith.domain.array_types import Bytes, Floats, Ints, Words


@dataclass(slots=True)
class Level:
    """A stop or a target, one of two forms, the other is None.

    `fraction` float64[n]: distance from the entry price as a fraction of it. `price` float64[n, T]: an absolute price,
    read at the bar whose signal opens the position, and fixed then. NaN means no level.
    """

    fraction: Floats | None = None
    price: Floats | None = None


@dataclass(slots=True)
class Signals:
    """The orders that n points ask for on T bars, known at each bar's close.

    Conditions are uint8[n, T], 0 or 1, or the same as masks uint64[n, W] (see `masks`); None where the strategy
    has no such order. A condition that reads an undefined value (warm-up, division by zero) is 0. `max_holding`
    int64[n] counts bars; 0 is none.
    """

    n_points: int
    n_bars: int
    enter_long: Bytes | Words | None = None
    exit_long: Bytes | Words | None = None
    enter_short: Bytes | Words | None = None
    exit_short: Bytes | Words | None = None
    stop_loss: Level | None = None
    take_profit: Level | None = None
    trailing_stop: Level | None = None
    max_holding: Ints | None = None
