"""Where the in-sample part ends and the hold-out begins."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tunesmith.domain.market.bars import Bars
from tunesmith.domain.market.expected_bars import annual_bars
from tunesmith.domain.market.timeframes import instant_at, timeframe_ms


@dataclass(frozen=True, slots=True)
class Split:
    """Bars [first, in_stop) are in sample, bars [out_start, n) are held out, `boundary_ms` (UTC) lies between them.

    Bars before `first` only warm indicators up. A bar that opens before the boundary and closes after it belongs to
    neither part.
    """

    boundary_ms: int
    first: int
    in_stop: int
    out_start: int

    @property
    def n_in_sample(self) -> int:
        return max(0, self.in_stop - self.first)


def split_at(bars: Bars, boundary_ms: int, first: int = 0, in_sample_end_ms: int | None = None) -> Split:
    """The split of `bars` at an instant, UTC milliseconds; trading may begin at bar `first`.

    `in_sample_end_ms` is where the in-sample part ends when that is before the boundary.
    """
    in_sample_end = boundary_ms if in_sample_end_ms is None else min(boundary_ms, in_sample_end_ms)
    in_stop = int(np.searchsorted(bars.timestamp + timeframe_ms(bars.timeframe), in_sample_end, side="right"))
    return Split(boundary_ms, first, in_stop, max(first, bars.index_at(boundary_ms)))


def default_boundary(bars: Bars, holdout_share: float) -> int:
    """The instant, UTC milliseconds, at which the last `holdout_share` of the bars' span begins."""
    return instant_at(1.0 - holdout_share, int(bars.timestamp[0]), bars.end_ms, bars.timeframe)


def annualized(bars: Bars, boundary_ms: int) -> Bars:
    """The bars with a year's number of bars by their calendar, as far as it is counted from bars before the boundary.

    Counted on all of them it would tell a search how dense the hold-out is. A number that the caller chose is kept.
    """
    if bars.bars_per_year != annual_bars(bars.calendar, bars.timestamp, bars.timeframe):
        return bars
    known = bars.timestamp[: split_at(bars, boundary_ms).in_stop]
    if not len(known):
        return bars
    return replace(bars, bars_per_year=annual_bars(bars.calendar, known, bars.timeframe))
