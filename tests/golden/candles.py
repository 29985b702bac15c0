"""Candles of made-up markets, by additions, multiplications and rounding alone: the same on every machine."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

Row = tuple[int, float, float, float, float, float]
"""Time in UTC milliseconds, open, high, low, close, volume."""

BEGIN = datetime(1990, 1, 1, tzinfo=UTC)
WEEK = timedelta(weeks=1)
SIGMA = 0.02
_STEPS = 4
_MEAN_LENGTH = 40


def candles(
    seed: int, drift: float, n_bars: int, begin: datetime = BEGIN, bar: timedelta = WEEK, n_drifting: int = 10**9
) -> list[Row]:
    """Rows for `data.import`: returns of about 2 % a bar and a drift of ± `drift` of that, turning every 40 bars or so.

    A `drift` of 0 is a market without any edge; after `n_drifting` bars there is none either.
    """
    draw = random.Random(seed)
    price, sign, rows = 100.0, 1.0, []
    first_ms, bar_ms = round(begin.timestamp() * 1000), round(bar.total_seconds() * 1000)
    for i in range(n_bars):
        if draw.random() < 1.0 / _MEAN_LENGTH:
            sign = -sign
        path, slope = [price], sign * drift * SIGMA / _STEPS if i < n_drifting else 0.0
        for _ in range(_STEPS):
            noise = (draw.random() + draw.random() + draw.random() + draw.random() - 2.0) * SIGMA * 0.875
            path.append(path[-1] * (1.0 + slope + noise))
        path = [round(each, 6) for each in path]
        price = path[-1]
        rows.append((first_ms + i * bar_ms, path[0], max(path), min(path), price, float(draw.randrange(100, 2000))))
    return rows
