"""What needs a look at the window itself: earlier values, extremes."""

from __future__ import annotations

import numpy as np

from tunesmith.compute.indicators.array_types import Rows, Whole
from tunesmith.compute.kernels.compiling import inlined, kernel


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
def highest_nb(x: Rows, source: Whole, window: Whole, scans: Rows, bad: Whole, out: Rows) -> None:
    """Largest of the last n values, the bar's own among them; row j is defined from n - 1 on.

    Three comparisons a bar for every n: series are cut into blocks of n, whose maxima are scanned from both ends
    (van Herk 1992; Gil & Werman 1993). `scans` float64[2, T] and `bad` int64[T + 1] are working space.
    """
    _extreme_nb(x, source, window, scans, bad, out, 1.0)


@kernel
def lowest_nb(x: Rows, source: Whole, window: Whole, scans: Rows, bad: Whole, out: Rows) -> None:
    """Smallest of the last n values, the bar's own among them; row j is defined from n - 1 on. As `highest_nb`."""
    _extreme_nb(x, source, window, scans, bad, out, -1.0)


@inlined
def _extreme_nb(x: Rows, source: Whole, window: Whole, scans: Rows, bad: Whole, out: Rows, sign: float) -> None:
    n_bars = x.shape[1]
    forward = scans[0]
    backward = scans[1]
    for j in range(len(window)):
        values = x[source[j]]
        n = min(window[j], n_bars + 1)
        bad[0] = 0
        best = -np.inf
        place = 0
        for t in range(n_bars):
            value = sign * values[t] if values[t] - values[t] == 0.0 else -np.inf
            bad[t + 1] = bad[t] + (1 if value == -np.inf else 0)
            best = max(best, value) if place > 0 else value
            forward[t] = best
            backward[t] = value
            place = place + 1 if place < n - 1 else 0
        size = place if place > 0 else n
        left = 0
        for t in range(n_bars - 1, -1, -1):
            if left == 0:
                best = backward[t]
                left = size
                size = n
            best = max(best, backward[t])
            backward[t] = best
            left -= 1
        out[j, : n - 1] = np.nan
        for t in range(n - 1, n_bars):
            best = max(backward[t - n + 1], forward[t])
            out[j, t] = sign * best if bad[t + 1] == bad[t - n + 1] else np.nan


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
