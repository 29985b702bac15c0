"""Ranges, deviations, and the bands and lines that are made of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tunesmith.compute.graph.graph_builder import GraphBuilder
from tunesmith.compute.indicators.declaration import Argument, Indicator, series, window
from tunesmith.compute.indicators.row_functions import RowFunction, moment_space, of_bars, windowed
from tunesmith.compute.indicators.window_sums import (
    difference_nb,
    divided_nb,
    minus_scaled_nb,
    prefix_nb,
    runs_nb,
    second_prefix_nb,
)
from tunesmith.compute.kernels.compiling import kernel
from tunesmith.domain.array_types import Ints, Row, Rows


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


@kernel
def wilder_nb(x: Rows, source: Ints, window: Ints, out: Rows) -> None:
    """Wilder's average, weight 1 / n, seeded with the mean of the first n values (TA-Lib, as within ATR).

    Row j is defined from n - 1 on. An undefined value makes it begin anew with a seed of the next n values.
    """
    for j in range(len(window)):
        values = x[source[j]]
        n = window[j]
        row = out[j]
        seen = 0
        average = 0.0
        for t in range(len(values)):
            value = values[t]
            if value - value != 0.0:
                seen = 0
                average = 0.0
                row[t] = np.nan
                continue
            seen += 1
            if seen > n:
                average = (average * (n - 1) + value) / n
                row[t] = average
            elif seen == n:
                average = (average + value) / n
                row[t] = average
            else:
                average += value
                row[t] = np.nan


@kernel
def stddev_nb(x: Rows, source: Ints, window: Ints, prefix: Rows, bad: Ints, run: Ints, out: Rows) -> None:
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
def supertrend_nb(
    high: Row, low: Row, close: Row, atr: Rows, source: Ints, factor: Row, direction: bool, out: Rows
) -> None:
    """The supertrend line, or with `direction` 1 while it runs below the price and -1 while it runs above.

    `atr` float64[m, T], `factor` float64[k]. Defined from the first bar with an average true range on, where it starts
    above the price. Source: TradingView's Pine Script reference, `ta.supertrend` (whose direction has the other sign).
    """
    for j in range(len(factor)):
        reach = atr[source[j]]
        upper = np.nan
        lower = np.nan
        up = False
        for t in range(len(close)):
            out[j, t] = np.nan
            if reach[t] != reach[t]:
                upper = np.nan
                continue
            middle = (high[t] + low[t]) / 2.0
            above = middle + factor[j] * reach[t]
            below = middle - factor[j] * reach[t]
            if upper != upper:
                upper = above
                lower = below
                up = False
            else:
                before = close[t - 1]
                upper = above if above < upper or before > upper else upper
                lower = below if below > lower or before < lower else lower
                up = not close[t] < lower if up else close[t] > upper
            line = lower if up else upper
            out[j, t] = (1.0 if up else -1.0) if direction else line


def _atr(g: GraphBuilder, window: int) -> int:
    ranges = g.row("true_range", g.column("high"), g.column("low"), g.column("close"))
    return g.row("wilder", ranges, window)


def _zscore(g: GraphBuilder, x: int, window: int) -> int:
    away = g.number("sub", x, g.row("sma", x, window))
    return g.number("div", away, g.row("stddev", x, window))


def _bands(g: GraphBuilder, middle: int, reach: int, width: int) -> tuple[int, ...]:
    """The middle, and `width` times `reach` above and below: the factor `width` needs no rows of its own."""
    half = g.number("mul", width, reach)
    return g.number("add", middle, half), middle, g.number("sub", middle, half)


def _bbands(g: GraphBuilder, x: int, window: int, width: int) -> tuple[int, ...]:
    return _bands(g, g.row("sma", x, window), g.row("stddev", x, window), width)


def _keltner(g: GraphBuilder, window: int, width: int, atr_window: int) -> tuple[int, ...]:
    return _bands(g, g.row("ema", g.column("close"), window), _atr(g, atr_window), width)


def _supertrend(g: GraphBuilder, window: int, factor: int) -> tuple[int, ...]:
    args = (g.column("high"), g.column("low"), g.column("close"), _atr(g, window), factor)
    return g.row("supertrend_line", *args), g.row("supertrend_direction", *args)


def _supertrend_rows(op: str, direction: bool) -> RowFunction:
    def compute(out: Rows, rows: Sequence[Rows], sources: Sequence[Ints], points: Sequence[Any]) -> None:
        high, low, close = (row[0] for row in rows[:3])
        supertrend_nb(high, low, close, rows[3], sources[3], points[0], direction, out)

    return RowFunction(op, compute, lambda points: 0, "share" if direction else "price")


DECLARED = (
    Indicator(
        "true_range",
        "volatility",
        (),
        "the largest of high - low, |high - close before|, |low - close before|",
        look_back="1",
        inputs=("high", "low", "close"),
        rows=(of_bars("true_range", true_range_nb, 1, "distance"),),
    ),
    Indicator(
        "atr",
        "volatility",
        (window(14),),
        "average true range, Wilder's smoothing",
        look_back="n",
        formula=_atr,
        rows=(windowed("wilder", wilder_nb, less=1, measures="argument"),),
    ),
    Indicator(
        "stddev",
        "volatility",
        (series(), window()),
        "standard deviation, divided by n",
        look_back="n - 1",
        rows=(windowed("stddev", stddev_nb, less=1, space=moment_space, measures="spread"),),
    ),
    Indicator(
        "zscore",
        "volatility",
        (series(), window()),
        "distance from the sma in standard deviations; undefined at 0 deviation",
        look_back="n - 1",
        formula=_zscore,
    ),
    Indicator(
        "bbands",
        "volatility",
        (series(), window(20), Argument("width", "factor", 2)),
        "Bollinger bands: the sma, and width standard deviations above and below",
        look_back="n - 1",
        formula=_bbands,
        fields=("upper", "middle", "lower"),
    ),
    Indicator(
        "keltner",
        "volatility",
        (window(20), Argument("width", "factor", 2), window(10, "atr_window")),
        "Keltner channel: the ema of the close, and width average true ranges above and below",
        look_back="max(n - 1, atr_window); middle: n - 1",
        formula=_keltner,
        fields=("upper", "middle", "lower"),
    ),
    Indicator(
        "supertrend",
        "volatility",
        (window(10), Argument("factor", "factor", 3)),
        "a line factor average true ranges from the middle that only follows the trend, and its direction, 1 or -1",
        look_back="n",
        formula=_supertrend,
        fields=("line", "direction"),
        rows=(_supertrend_rows("supertrend_line", False), _supertrend_rows("supertrend_direction", True)),
    ),
)
