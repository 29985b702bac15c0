"""What needs a look at the window itself: earlier values, extremes."""

from __future__ import annotations

import numpy as np

from tunesmith.compute.kernel_cache import inlined, kernel
from tunesmith.compute.rules.indicators.shapes import Rows, Whole


@kernel
def shift_nb(x: Rows, source: Whole, window: Whole, out: Rows) -> None:
    """x[t - n], n >= 0; row j is defined from n on."""
    for j in range(len(window)):
        values = x[source[j]]
        n = min(window[j], len(values))
        out[j, :n] = np.nan
        out[j, n:] = values[: len(values) - n]


@kernel
def highest_nb(x: Rows, source: Whole, window: Whole, queue: Whole, out: Rows) -> None:
    """Largest of the last n values, the bar's own among them; row j is defined from n - 1 on.

    Linear in T for every n: the candidates stand in a queue of falling values (Lemire 2006). `queue` int64[T] is
    working space.
    """
    _extreme_nb(x, source, window, queue, out, 1.0)


@kernel
def lowest_nb(x: Rows, source: Whole, window: Whole, queue: Whole, out: Rows) -> None:
    """Smallest of the last n values, the bar's own among them; row j is defined from n - 1 on. Linear in T."""
    _extreme_nb(x, source, window, queue, out, -1.0)


@inlined
def _extreme_nb(x: Rows, source: Whole, window: Whole, queue: Whole, out: Rows, sign: float) -> None:
    n_bars = x.shape[1]
    for j in range(len(window)):
        values = x[source[j]]
        n = window[j]
        row = out[j]
        head = 0
        tail = 0
        undefined = -1
        for t in range(n_bars):
            value = values[t]
            row[t] = np.nan
            if value - value != 0.0:
                undefined = t
                head = 0
                tail = 0
                continue
            while tail > head and sign * values[queue[tail - 1]] <= sign * value:
                tail -= 1
            queue[tail] = t
            tail += 1
            if queue[head] <= t - n:
                head += 1
            if t - undefined >= n:
                row[t] = values[queue[head]]
