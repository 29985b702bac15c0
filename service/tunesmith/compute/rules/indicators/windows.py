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
        for t in range(len(values) - n):
            out[j, t + n] = values[t]


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


@kernel
def since_nb(x: Rows, source: Whole, out: Rows) -> None:
    """Bars since x was last 1; 0 at such a bar, NaN before the first."""
    for j in range(len(source)):
        values = x[source[j]]
        count = np.nan
        for t in range(len(values)):
            count = 0.0 if values[t] == 1.0 else count + 1.0
            out[j, t] = count


@kernel
def percent_rank_nb(rank: Whole, source: Whole, window: Whole, tree: Whole, out: Rows) -> None:
    """Share of the n values before that are not above the bar's own, 0 to 100; defined from n on.

    `rank` int64[m, T] is the place of each value among the row's distinct ones, from 1 on, 0 where undefined; `tree`
    int64[T + 1] is working space. log T a bar: the window is counted in a binary indexed tree (Fenwick 1994).
    """
    n_bars = rank.shape[1]
    for j in range(len(window)):
        places = rank[source[j]]
        n = window[j]
        tree[:] = 0
        defined = 0
        for t in range(n_bars):
            out[j, t] = np.nan
            if defined == n and places[t] > 0:
                below = 0
                i = places[t]
                while i > 0:
                    below += tree[i]
                    i &= i - 1
                out[j, t] = 100.0 * below / n
            for step in range(2):
                place = places[t] if step == 0 else places[t - n] if t >= n else 0
                change = 1 - 2 * step
                if place > 0:
                    defined += change
                i = place
                while 0 < i <= n_bars:
                    tree[i] += change
                    i += i & -i
