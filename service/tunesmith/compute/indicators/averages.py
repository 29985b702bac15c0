"""Moving averages; conventions of TA-Lib."""

from __future__ import annotations

import numpy as np

from tunesmith.compute.graph.graph_builder import GraphBuilder
from tunesmith.compute.indicators.declaration import Indicator, series, window
from tunesmith.compute.indicators.formulas import typical_price
from tunesmith.compute.indicators.row_functions import moment_space, sum_space, windowed
from tunesmith.compute.indicators.window_sums import (
    difference_nb,
    divided_nb,
    minus_scaled_nb,
    prefix_nb,
    second_prefix_nb,
    two_sum_nb,
)
from tunesmith.compute.kernels.compiling import kernel
from tunesmith.domain.array_types import Ints, Rows


@kernel
def sma_nb(x: Rows, source: Ints, window: Ints, prefix: Rows, bad: Ints, out: Rows) -> None:
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


@kernel
def ema_nb(x: Rows, source: Ints, window: Ints, out: Rows) -> None:
    """Exponential moving average, weight 2 / (n + 1), seeded with the mean of the first n values (TA-Lib EMA).

    Row j is defined from n - 1 on. An undefined value makes it begin anew with a seed of the next n values.
    """
    for j in range(len(window)):
        values = x[source[j]]
        n = window[j]
        weight = 2.0 / (n + 1.0)
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
                average = (value - average) * weight + average
                row[t] = average
            elif seen == n:
                average = (average + value) / n
                row[t] = average
            else:
                average += value
                row[t] = np.nan


@kernel
def wma_nb(x: Rows, source: Ints, window: Ints, prefix: Rows, bad: Ints, run: Ints, out: Rows) -> None:
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


def _dema(g: GraphBuilder, x: int, window: int) -> int:
    once = g.row("ema", x, window)
    return g.number("sub", g.number("mul", g.const(2), once), g.row("ema", once, window))


def _tema(g: GraphBuilder, x: int, window: int) -> int:
    once = g.row("ema", x, window)
    twice = g.row("ema", once, window)
    return g.number("add", g.number("mul", g.const(3), g.number("sub", once, twice)), g.row("ema", twice, window))


def _hma(g: GraphBuilder, x: int, window: int) -> int:
    half = g.row("wma", x, g.number("floordiv", window, g.const(2)))
    ahead = g.number("sub", g.number("mul", g.const(2), half), g.row("wma", x, window))
    return g.row("wma", ahead, g.number("isqrt", window))


def _vwap(g: GraphBuilder, window: int) -> int:
    volume = g.column("volume")
    traded = g.row("sma", g.number("mul", typical_price(g), volume), window)
    return g.number("div", traded, g.row("sma", volume, window))


DECLARED = (
    Indicator(
        "sma",
        "averages",
        (series(), window()),
        "simple moving average, exact to the last digit",
        look_back="n - 1",
        rows=(windowed("sma", sma_nb, less=1, space=sum_space, measures="argument"),),
    ),
    Indicator(
        "ema",
        "averages",
        (series(), window()),
        "exponential moving average, weight 2 / (n + 1), seeded with the mean of the first n values",
        look_back="n - 1",
        rows=(windowed("ema", ema_nb, less=1, measures="argument"),),
    ),
    Indicator(
        "wma",
        "averages",
        (series(), window()),
        "weighted moving average, weights 1 to n",
        look_back="n - 1",
        rows=(windowed("wma", wma_nb, less=1, space=moment_space, measures="argument"),),
    ),
    Indicator(
        "dema",
        "averages",
        (series(), window()),
        "double exponential average, 2 ema - ema of ema",
        look_back="2 (n - 1)",
        formula=_dema,
    ),
    Indicator(
        "tema",
        "averages",
        (series(), window()),
        "triple exponential average, 3 (ema - ema of ema) + ema of ema of ema",
        look_back="3 (n - 1)",
        formula=_tema,
    ),
    Indicator(
        "hma",
        "averages",
        (series(), window(least=2)),
        "Hull average: the wma over sqrt(n) of 2 wma over n / 2 - wma over n",
        look_back="n - 2 + sqrt(n)",
        formula=_hma,
    ),
    Indicator(
        "vwap",
        "averages",
        (window(),),
        "average of the typical price (high + low + close) / 3, weighted by volume",
        look_back="n - 1",
        formula=_vwap,
    ),
)
