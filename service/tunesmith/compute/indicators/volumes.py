"""Indicators of volume."""

from __future__ import annotations

from tunesmith.compute.indicators.array_types import Row
from tunesmith.compute.indicators.window_sums import two_sum_nb
from tunesmith.compute.kernels.compiling import kernel


@kernel
def obv_nb(close: Row, volume: Row, out: Row) -> None:
    """On-balance volume: volume added on a higher close, taken off on a lower one; starts with the first (TA-Lib OBV).

    All float64[T]; defined from bar 0 on. Summed in double-double, so that it does not drift.
    """
    total = volume[0]
    rest = 0.0
    out[0] = total
    for t in range(1, len(close)):
        change = volume[t] if close[t] > close[t - 1] else -volume[t] if close[t] < close[t - 1] else 0.0
        total, error = two_sum_nb(total, change)
        rest += error
        out[t] = total + rest
