"""Window sums that do not drift: prefix sums in double-double arithmetic.

A running sum in plain floats collects rounding errors, and two averages that are equal in truth then cross at random.
Here a prefix is a pair (high, low) of some 106 bits (Dekker 1971; Knuth, TAOCP 2, 4.2.2), and a window's sum is the
difference of two prefixes, rounded once: over 10^6 bars it is the exact sum, correctly rounded but for rare ties.
"""

from __future__ import annotations

import numpy as np

from tunesmith.compute.indicators.array_types import Row, Rows, Whole
from tunesmith.compute.kernels.compiling import inlined, kernel

SPLITTER = 134217729.0


@inlined
def two_sum_nb(a: float, b: float) -> tuple[float, float]:
    """a + b as (rounded sum, error), exact."""
    s = a + b
    bb = s - a
    return s, (a - (s - bb)) + (b - bb)


@inlined
def two_product_nb(a: float, b: float) -> tuple[float, float]:
    """a * b as (rounded product, error), exact below 1e300 in magnitude."""
    p = a * b
    c = SPLITTER * a
    a_high = c - (c - a)
    a_low = a - a_high
    c = SPLITTER * b
    b_high = c - (c - b)
    b_low = b - b_high
    return p, ((a_high * b_high - p) + a_high * b_low + a_low * b_high) + a_low * b_low


@inlined
def prefix_nb(x: Row, high: Row, low: Row, bad: Whole) -> None:
    """Prefix sums of `x` float64[T] into `high`, `low` float64[T + 1]; `bad` int64[T + 1] counts undefined values."""
    s = 0.0
    e = 0.0
    n_bad = 0
    high[0] = 0.0
    low[0] = 0.0
    bad[0] = 0
    for t in range(len(x)):
        if x[t] - x[t] == 0.0:
            total, error = two_sum_nb(s, x[t])
            error += e
            s = total + error
            e = error - (s - total)
        else:
            n_bad += 1
        high[t + 1] = s
        low[t + 1] = e
        bad[t + 1] = n_bad


@inlined
def divided_nb(high: float, low: float, n: float) -> float:
    """(high + low) / n, rounded once; n a whole number below 2^53."""
    q = high / n
    p, error = two_product_nb(q, n)
    return q + (((high - p) - error) + low) / n


@kernel
def sma_nb(x: Rows, source: Whole, window: Whole, prefix: Rows, bad: Whole, out: Rows) -> None:
    """Simple moving average: the exact mean, rounded once, so that equal windows tie. Defined from n - 1 on.

    `prefix` float64[2, T + 1] and `bad` int64[T + 1] are working space.
    """
    n_bars = x.shape[1]
    high = prefix[0]
    low = prefix[1]
    loaded = -1
    for j in range(len(window)):
        if source[j] != loaded:
            loaded = source[j]
            prefix_nb(x[loaded], high, low, bad)
        n = window[j]
        row = out[j]
        row[: min(n - 1, n_bars)] = np.nan
        size = float(n)
        if n > n_bars:
            continue
        # Over slices from their beginning, which the compiler turns into several bars an instruction.
        high_to, low_to, bad_to, means = high[n:], low[n:], bad[n:], row[n - 1 :]
        for t in range(len(means)):
            total, error = two_sum_nb(high_to[t], -high[t])
            error += low_to[t] - low[t]
            mean = divided_nb(total, error, size)
            means[t] = mean if bad_to[t] == bad[t] else np.nan
