"""What a day came to, as a market's mark: by it the same candles are known again under another name or timeframe."""

from __future__ import annotations

import numpy as np

from tunesmith.domain.array_types import Floats, Ints
from tunesmith.domain.market.timeframes import UNIT_MS, timeframe_ms

DailyCloses = Floats
"""float64[2, n]: days since the epoch (UTC), increasing, and the last close within each."""

_DAY_MS = UNIT_MS["d"]
_LEAST = 20
_SHARE = 0.9
_SAME = 1e-5


def daily_closes(timestamp: Ints, close: Floats, timeframe: str) -> DailyCloses:
    """The close of the last bar that ends within each day; `timestamp` int64[n] are the opens, UTC milliseconds."""
    day = (timestamp + timeframe_ms(timeframe) - 1) // _DAY_MS
    last = np.flatnonzero(np.append(day[1:] != day[:-1], True))
    return np.stack([day[last].astype(np.float64), close[last]])


def same_candles(one: DailyCloses, other: DailyCloses) -> bool:
    """Whether two series move alike on the days that both have: copies, resampled and rescaled ones too.

    Days without a move tell nothing; fewer than 20 others are too few. Nine moves in ten must agree to 1e-5, which
    leaves room for prices that were rounded on their way.
    """
    _, left, right = np.intersect1d(one[0], other[0], assume_unique=True, return_indices=True)
    if len(left) <= _LEAST:
        return False
    ours, theirs = (np.diff(closes) / closes[:-1] for closes in (one[1][left], other[1][right]))
    moved = (np.abs(ours) > _SAME) | (np.abs(theirs) > _SAME)
    n_same = np.count_nonzero(np.abs(ours - theirs)[moved] <= _SAME)
    return bool(np.count_nonzero(moved) >= _LEAST and n_same >= _SHARE * np.count_nonzero(moved))


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
