"""Longer bars beside the rule's own: which of them has closed at each bar."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tunesmith.domain.array_types import Floats, Ints
from tunesmith.domain.market.bars import Bars
from tunesmith.domain.market.bars_used import LongerBarsUsed
from tunesmith.domain.market.resample import can_resample, lengthened, resample
from tunesmith.domain.market.timeframes import timeframe_ms
from tunesmith.errors import Invalid


class LongerBars(NamedTuple):
    """`bars` of a longer timeframe, None where there is no full one; `known` int64[T]: the last of them that has closed
    when the rule's own bar t closes, -1 where none has."""

    bars: Bars | None
    known: Ints

    def __len__(self) -> int:
        return 0 if self.bars is None else len(self.bars)


def longer_bars(bars: Bars, timeframe: str) -> LongerBars:
    """The bars of `timeframe` made of `bars` (see `domain.resample`), each known from when it closes by the calendar.

    Raises `Invalid` when the timeframe is no multiple of the bars', and when none of the longer bars is whole from its
    beginning to its close though there is time for some.
    """
    short, long = timeframe_ms(bars.timeframe), timeframe_ms(timeframe)
    closes = bars.timestamp + short
    if timeframe == bars.timeframe:
        return LongerBars(bars, np.searchsorted(closes, closes, side="right").astype(np.int64) - 1)
    if not can_resample(bars.timeframe, timeframe):
        raise Invalid(f"the rule reads {timeframe} bars, which cannot be made of {bars.timeframe} bars")
    if int(closes[-1] - bars.timestamp[0]) < 2 * long and not _has_full(bars, timeframe):
        return LongerBars(None, np.full(len(bars), -1, np.int64))
    made = lengthened(bars, timeframe)
    return LongerBars(made.bars, np.searchsorted(made.closes, closes, side="right").astype(np.int64) - 1)


def use_of(bars: Bars, timeframe: str, first: int) -> LongerBarsUsed:
    """What is to be known of the bars of `timeframe` that a rule reads while it trades from bar `first` on."""
    closes = bars.timestamp[first:] + timeframe_ms(bars.timeframe)
    if timeframe == bars.timeframe or not _has_full(bars, timeframe):
        return LongerBarsUsed(timeframe=timeframe, partial=0.0, stale=0.0)
    made = lengthened(bars, timeframe)
    known = np.searchsorted(made.closes, closes, side="right") - 1
    due = np.searchsorted(made.due, closes, side="right") - 1
    begun = (known >= 0) & (due >= 0)
    stale = begun & (made.closes[known] < made.due[due])
    read = slice(max(0, int(known[0])), int(known[-1]) + 1)
    partial = float(made.is_partial[read].mean()) if read.start < read.stop else 0.0
    return LongerBarsUsed(timeframe=timeframe, partial=partial, stale=float(stale.mean()))


def _has_full(bars: Bars, timeframe: str) -> bool:
    try:
        resample(bars, timeframe)
    except Invalid:
        return False
    return True


def spread(rows: Floats, known: Ints, out: Floats) -> None:
    """Rows float64[k, T'] of longer bars at each of the rule's own bars, `out` float64[k, T]; NaN before the first."""
    closed = known >= 0
    out[:, ~closed] = np.nan
    out[:, closed] = rows[:, known[closed]]


def first_known(bar: Ints, known: Ints) -> Ints:
    """First own bar at which the longer bar with each index in `bar` int64[k] has closed; T where it never does."""
    return np.searchsorted(known, bar, side="left").astype(np.int64)
