"""What a day came to: by it markets whose returns go together are known, whatever their timeframes."""

from __future__ import annotations

import numpy as np

from tunesmith.domain.array_types import Floats, Ints
from tunesmith.domain.market.timeframes import UNIT_MS, timeframe_ms

DailyCloses = Floats
"""float64[2, n]: days since the epoch (UTC), increasing, and the last close within each."""

_DAY_MS = UNIT_MS["d"]
_LEAST = 20


def daily_closes(timestamp: Ints, close: Floats, timeframe: str) -> DailyCloses:
    """The close of the last bar that ends within each day; `timestamp` int64[n] are the opens, UTC milliseconds."""
    day = (timestamp + timeframe_ms(timeframe) - 1) // _DAY_MS
    last = np.flatnonzero(np.append(day[1:] != day[:-1], True))
    return np.stack([day[last].astype(np.float64), close[last]])


def daily_correlation(one: DailyCloses, other: DailyCloses, until_day: int) -> float:
    """The correlation of two markets' daily returns on the days before `until_day` that both have.

    0 where there are too few such days, or where one of them does not move.
    """
    _, left, right = np.intersect1d(one[0], other[0], assume_unique=True, return_indices=True)
    n = np.count_nonzero(one[0][left] < until_day)
    if n <= _LEAST:
        return 0.0
    ours, theirs = (np.diff(closes) / closes[:-1] for closes in (one[1][left[:n]], other[1][right[:n]]))
    spread = float(ours.std() * theirs.std())
    if not spread > 0.0:
        return 0.0
    return float(((ours - ours.mean()) * (theirs - theirs.mean())).mean()) / spread
