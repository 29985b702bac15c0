"""How strongly and which way a market moves: Wilder's directional movement, slopes, ranks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tunesmith.compute.indicators.declaration import Indicator, series, window
from tunesmith.compute.indicators.row_functions import RowFunction, moment_space, windowed
from tunesmith.compute.indicators.window_sums import (
    difference_nb,
    minus_scaled_nb,
    prefix_nb,
    runs_nb,
    second_prefix_nb,
)
from tunesmith.compute.kernels.compiling import kernel
from tunesmith.domain.array_types import Ints, Row, Rows

ADX, PLUS_DI, MINUS_DI = 0, 1, 2


@kernel
def directional_nb(high: Row, low: Row, close: Row, window: Ints, which: int, out: Rows) -> None:
    """Wilder's directional movement, 0 to 100: `which` is ADX, PLUS_DI or MINUS_DI (TA-Lib's functions of these names).

    `high`, `low`, `close` float64[T]. DI is defined from n on, ADX from 2n - 1 on. Where nothing moves, DI is NaN
    (TA-Lib says 0); ADX keeps its value, and its seed counts such bars as 0, as TA-Lib does.
    """
    for j in range(len(window)):
        n = window[j]
        plus = 0.0
        minus = 0.0
        reach = 0.0
        average = 0.0
        out[j, 0] = np.nan
        for t in range(1, len(close)):
            up = high[t] - high[t - 1]
            down = low[t - 1] - low[t]
            before = close[t - 1]
            true_range = max(high[t] - low[t], abs(high[t] - before), abs(low[t] - before))
            plus = (plus if t < n else plus - plus / n) + (up if up > 0.0 and up > down else 0.0)
            minus = (minus if t < n else minus - minus / n) + (down if down > 0.0 and down > up else 0.0)
            reach = (reach if t < n else reach - reach / n) + true_range
            out[j, t] = np.nan
            if t < n:
                continue
            if which != ADX:
                moved = plus if which == PLUS_DI else minus
                out[j, t] = 100.0 * (moved / reach) if reach > 0.0 else np.nan
                continue
            strength = 100.0 * abs(minus - plus) / (minus + plus) if minus + plus > 0.0 else np.nan
            defined = strength == strength
            if t < 2 * n:
                average += strength if defined else 0.0
                if t == 2 * n - 1:
                    average /= n
            elif defined:
                average = (average * (n - 1) + strength) / n
            out[j, t] = average if t >= 2 * n - 1 else np.nan


@kernel
def linreg_slope_nb(x: Rows, source: Ints, window: Ints, prefix: Rows, bad: Ints, run: Ints, out: Rows) -> None:
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
def percent_rank_nb(rank: Ints, source: Ints, window: Ints, tree: Ints, out: Rows) -> None:
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


def _directional(op: str, which: int) -> RowFunction:
    def compute(out: Rows, rows: Sequence[Rows], sources: Sequence[Ints], points: Sequence[Any]) -> None:
        high, low, close = (row[0] for row in rows)
        directional_nb(high, low, close, points[0].astype(np.int64), which, out)

    needed = 2 if which == ADX else 1
    return RowFunction(op, compute, lambda points: needed * points[0].astype(np.int64) - (needed - 1), "share")


def _percent_rank_rows(out: Rows, rows: Sequence[Rows], sources: Sequence[Ints], points: Sequence[Any]) -> None:
    ranks = np.empty(rows[0].shape, np.int64)
    for i, row in enumerate(rows[0]):
        _, place = np.unique(row, return_inverse=True)
        ranks[i] = np.where(np.isfinite(row), place.reshape(row.shape) + 1, 0)
    tree = np.empty(out.shape[1] + 1, np.int64)
    percent_rank_nb(ranks, sources[0], points[0].astype(np.int64), tree, out)


DECLARED = (
    Indicator(
        "adx",
        "momentum",
        (window(14),),
        "strength of direction, 0 to 100, Wilder's smoothing",
        look_back="2 n - 1",
        inputs=("high", "low", "close"),
        rows=(_directional("adx", ADX),),
    ),
    Indicator(
        "plus_di",
        "momentum",
        (window(14),),
        "Wilder's directional indicator upwards, 0 to 100",
        look_back="n",
        inputs=("high", "low", "close"),
        rows=(_directional("plus_di", PLUS_DI),),
    ),
    Indicator(
        "minus_di",
        "momentum",
        (window(14),),
        "Wilder's directional indicator downwards, 0 to 100",
        look_back="n",
        inputs=("high", "low", "close"),
        rows=(_directional("minus_di", MINUS_DI),),
    ),
    Indicator(
        "linreg_slope",
        "momentum",
        (series(), window(least=2)),
        "slope a bar of the least-squares line",
        look_back="n - 1",
        rows=(windowed("linreg_slope", linreg_slope_nb, less=1, space=moment_space, measures="spread"),),
    ),
    Indicator(
        "percent_rank",
        "momentum",
        (series(), window()),
        "percentage of the n values before that are not above x",
        look_back="n",
        rows=(RowFunction("percent_rank", _percent_rank_rows, lambda points: points[0].astype(np.int64), "share"),),
    ),
)
