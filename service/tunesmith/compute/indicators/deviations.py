"""Weighted sums, slopes and deviations over a window, from prefix sums in double-double arithmetic (see `sums.py`).

Working space: `prefix` float64[4, T + 1] holds (high, low) of the sums of x and of a second quantity, `bad`
int64[T + 1] counts undefined values, `run` int64[T] the equal values in a row up to a bar: a window of equal values has
slope and deviation zero exactly.
"""

from __future__ import annotations

import numpy as np

from tunesmith.compute.indicators.array_types import Row, Rows, Whole
from tunesmith.compute.indicators.window_sums import divided_nb, prefix_nb, two_product_nb, two_sum_nb
from tunesmith.compute.kernels.compiling import inlined, kernel


@inlined
def second_prefix_nb(x: Row, by_index: bool, high: Row, low: Row) -> None:
    """Prefix sums of t * x[t] (`by_index`) or x[t] squared, (high, low) float64[T + 1]; undefined is 0."""
    s = 0.0
    e = 0.0
    high[0] = 0.0
    low[0] = 0.0
    for t in range(len(x)):
        if x[t] - x[t] == 0.0:
            product, rest = two_product_nb(x[t], float(t) if by_index else x[t])
            total, error = two_sum_nb(s, product)
            error += e + rest
            s = total + error
            e = error - (s - total)
        high[t + 1] = s
        low[t + 1] = e


@inlined
def runs_nb(x: Row, run: Whole) -> None:
    """How many equal values in a row end at each bar."""
    count = 0
    for t in range(len(x)):
        count = count + 1 if t > 0 and x[t] == x[t - 1] else 1
        run[t] = count


@inlined
def difference_nb(high: Row, low: Row, start: int, stop: int) -> tuple[float, float]:
    """The sum of the values start to stop (exclusive) as (high, low)."""
    total, error = two_sum_nb(high[stop], -high[start])
    error += low[stop] - low[start]
    return total, error


@inlined
def minus_scaled_nb(a: tuple[float, float], b: tuple[float, float], factor: float) -> tuple[float, float]:
    """a - factor * b, in double-double."""
    product, rest = two_product_nb(b[0], factor)
    rest += b[1] * factor
    total, error = two_sum_nb(a[0], -product)
    error += a[1] - rest
    high = total + error
    return high, error - (high - total)


@kernel
def wma_nb(x: Rows, source: Whole, window: Whole, prefix: Rows, bad: Whole, run: Whole, out: Rows) -> None:
    """Weighted moving average, weights 1 to n, the newest the heaviest (TA-Lib WMA); defined from n - 1 on."""
    n_bars = x.shape[1]
    loaded = -1
    for j in range(len(window)):
        if source[j] != loaded:
            loaded = source[j]
            prefix_nb(x[loaded], prefix[0], prefix[1], bad)
            second_prefix_nb(x[loaded], True, prefix[2], prefix[3])
        n = window[j]
        out[j, : min(n - 1, n_bars)] = np.nan
        weights = 0.5 * n * (n + 1)
        for t in range(n_bars - n + 1):
            plain = difference_nb(prefix[0], prefix[1], t, t + n)
            by_time = difference_nb(prefix[2], prefix[3], t, t + n)
            weighted = minus_scaled_nb(by_time, plain, t - 1.0)
            mean = divided_nb(weighted[0], weighted[1], weights)
            out[j, t + n - 1] = mean if bad[t + n] == bad[t] else np.nan


@kernel
def linreg_slope_nb(x: Rows, source: Whole, window: Whole, prefix: Rows, bad: Whole, run: Whole, out: Rows) -> None:
    """Slope a bar of the least-squares line, n >= 2 (TA-Lib LINEARREG_SLOPE); defined from n - 1 on."""
    n_bars = x.shape[1]
    loaded = -1
    for j in range(len(window)):
        if source[j] != loaded:
            loaded = source[j]
            prefix_nb(x[loaded], prefix[0], prefix[1], bad)
            second_prefix_nb(x[loaded], True, prefix[2], prefix[3])
            runs_nb(x[loaded], run)
        n = window[j]
        out[j, : min(n - 1, n_bars)] = np.nan
        spread = n * (float(n) * n - 1.0) / 12.0
        for t in range(n_bars - n + 1):
            plain = difference_nb(prefix[0], prefix[1], t, t + n)
            by_time = difference_nb(prefix[2], prefix[3], t, t + n)
            moment = minus_scaled_nb(by_time, plain, t + 0.5 * (n - 1))
            slope = moment[0] / spread if run[t + n - 1] < n else 0.0
            out[j, t + n - 1] = slope if bad[t + n] == bad[t] else np.nan


@kernel
def stddev_nb(x: Rows, source: Whole, window: Whole, prefix: Rows, bad: Whole, run: Whole, out: Rows) -> None:
    """Standard deviation of the window, divided by n (TA-Lib STDDEV); defined from n - 1 on."""
    n_bars = x.shape[1]
    loaded = -1
    for j in range(len(window)):
        if source[j] != loaded:
            loaded = source[j]
            prefix_nb(x[loaded], prefix[0], prefix[1], bad)
            second_prefix_nb(x[loaded], False, prefix[2], prefix[3])
            runs_nb(x[loaded], run)
        n = window[j]
        out[j, : min(n - 1, n_bars)] = np.nan
        for t in range(n_bars - n + 1):
            plain = difference_nb(prefix[0], prefix[1], t, t + n)
            squares = difference_nb(prefix[2], prefix[3], t, t + n)
            mean = divided_nb(plain[0], plain[1], float(n))
            # sum of squares - mean * sum - (sum - n * mean) * mean: the mean's own rounding taken back
            rest = minus_scaled_nb(plain, (mean, 0.0), float(n))
            spread = minus_scaled_nb(minus_scaled_nb(squares, plain, mean), rest, mean)
            variance = max(spread[0], 0.0) / n if run[t + n - 1] < n else 0.0
            out[j, t + n - 1] = np.sqrt(variance) if bad[t + n] == bad[t] else np.nan


@kernel
def cci_nb(x: Rows, source: Whole, window: Whole, prefix: Rows, bad: Whole, run: Whole, out: Rows) -> None:
    """Commodity channel index: (x - mean) / (0.015 * mean absolute deviation) (TA-Lib CCI); defined from n - 1 on.

    NaN where all values are equal (TA-Lib says 0). Costs n a bar.
    """
    n_bars = x.shape[1]
    loaded = -1
    for j in range(len(window)):
        values = x[source[j]]
        if source[j] != loaded:
            loaded = source[j]
            prefix_nb(values, prefix[0], prefix[1], bad)
        n = window[j]
        out[j, : min(n - 1, n_bars)] = np.nan
        for t in range(n_bars - n + 1):
            plain = difference_nb(prefix[0], prefix[1], t, t + n)
            mean = divided_nb(plain[0], plain[1], float(n))
            away = 0.0
            for i in range(t, t + n):
                away += abs(values[i] - mean)
            sound = bad[t + n] == bad[t] and away > 0.0
            out[j, t + n - 1] = (values[t + n - 1] - mean) / (0.015 * (away / n)) if sound else np.nan
