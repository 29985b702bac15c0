"""Where the in-sample part ends and the hold-out begins."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tunesmith.domain.bars import Bars
from tunesmith.domain.timeframes import instant_at, timeframe_ms


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


def split_at(bars: Bars, boundary_ms: int, first: int = 0) -> Split:
    """The split of `bars` at an instant, UTC milliseconds; trading may begin at bar `first`."""
    in_stop = int(np.searchsorted(bars.timestamp + timeframe_ms(bars.timeframe), boundary_ms, side="right"))
    return Split(boundary_ms, first, in_stop, max(first, bars.index_at(boundary_ms)))


def default_boundary(bars: Bars, holdout_share: float) -> int:
    """The instant, UTC milliseconds, at which the last `holdout_share` of the bars' span begins."""
    return instant_at(1.0 - holdout_share, int(bars.timestamp[0]), bars.end_ms, bars.timeframe)
