"""Prefix sums in double-double arithmetic, from which the kernels take sums over windows that do not drift.

A running sum in plain floats collects rounding errors, and two averages that are equal in truth then cross at random.
Here a prefix is a pair (high, low) of some 106 bits (Dekker 1971; Knuth, TAOCP 2, 4.2.2), and a window's sum is the
difference of two prefixes, rounded once: over 10^6 bars it is the exact sum, correctly rounded but for rare ties.
"""

from __future__ import annotations

from tunesmith.compute.kernels.compiling import inlined
from tunesmith.domain.array_types import Ints, Row

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
def prefix_nb(x: Row, high: Row, low: Row, bad: Ints) -> None:
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
def runs_nb(x: Row, run: Ints) -> None:
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


@inlined
def divided_nb(high: float, low: float, n: float) -> float:
    """(high + low) / n, rounded once; n a whole number below 2^53."""
    q = high / n
    p, error = two_product_nb(q, n)
    return q + (((high - p) - error) + low) / n
