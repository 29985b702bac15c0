"""Largest and smallest values of a window."""

from __future__ import annotations

import numpy as np

from tunesmith.compute.graph.graph_builder import GraphBuilder
from tunesmith.compute.indicators.declaration import Indicator, series, window
from tunesmith.compute.indicators.row_functions import scan_space, windowed
from tunesmith.compute.kernels.compiling import inlined, kernel
from tunesmith.domain.array_types import Ints, Rows


@kernel
def highest_nb(x: Rows, source: Ints, window: Ints, scans: Rows, bad: Ints, out: Rows) -> None:
    """Largest of the last n values, the bar's own among them; row j is defined from n - 1 on.

    Three comparisons a bar for every n: series are cut into blocks of n, whose maxima are scanned from both ends
    (van Herk 1992; Gil & Werman 1993). `scans` float64[2, T] and `bad` int64[T + 1] are working space.
    """
    _extreme_nb(x, source, window, scans, bad, out, 1.0)


@kernel
def lowest_nb(x: Rows, source: Ints, window: Ints, scans: Rows, bad: Ints, out: Rows) -> None:
    """Smallest of the last n values, the bar's own among them; row j is defined from n - 1 on. As `highest_nb`."""
    _extreme_nb(x, source, window, scans, bad, out, -1.0)


@inlined
def _extreme_nb(x: Rows, source: Ints, window: Ints, scans: Rows, bad: Ints, out: Rows, sign: float) -> None:
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


def _donchian(g: GraphBuilder, window: int) -> tuple[int, ...]:
    upper = g.row("highest", g.column("high"), window)
    lower = g.row("lowest", g.column("low"), window)
    return upper, g.number("div", g.number("add", upper, lower), g.const(2)), lower


DECLARED = (
    Indicator(
        "highest",
        "extremes",
        (series(), window()),
        "largest of the last n values, this bar's among them",
        look_back="n - 1",
        rows=(windowed("highest", highest_nb, less=1, space=scan_space, measures="argument"),),
    ),
    Indicator(
        "lowest",
        "extremes",
        (series(), window()),
        "smallest of the last n values, this bar's among them",
        look_back="n - 1",
        rows=(windowed("lowest", lowest_nb, less=1, space=scan_space, measures="argument"),),
    ),
    Indicator(
        "donchian",
        "extremes",
        (window(20),),
        "highest high, lowest low and their middle; this bar's among them, so shift(…, 1) for breakouts",
        look_back="n - 1",
        formula=_donchian,
        fields=("upper", "middle", "lower"),
    ),
)
