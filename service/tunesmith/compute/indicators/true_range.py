"""Ranges of the bars."""

from __future__ import annotations

import numpy as np

from tunesmith.compute.indicators.array_types import Row
from tunesmith.compute.kernels.compiling import kernel


@kernel
def true_range_nb(high: Row, low: Row, close: Row, out: Row) -> None:
    """max(high - low, |high - close before|, |low - close before|); defined from bar 1 on (TA-Lib TRANGE).

    `high`, `low`, `close` float64[T]; `out` float64[T].
    """
    out[0] = np.nan
    for t in range(1, len(close)):
        before = close[t - 1]
        reach = high[t] - low[t]
        up = abs(high[t] - before)
        down = abs(low[t] - before)
        out[t] = max(reach, up, down)
