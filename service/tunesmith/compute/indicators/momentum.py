"""Oscillators and rates of change; conventions of TA-Lib. See `direction` for Wilder's directional movement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tunesmith.compute.graph.graph_builder import GraphBuilder
from tunesmith.compute.indicators.declaration import Indicator, series, window
from tunesmith.compute.indicators.elementary import shift
from tunesmith.compute.indicators.formulas import share, typical_price
from tunesmith.compute.indicators.row_functions import RowFunction, moment_space, windowed
from tunesmith.compute.indicators.window_sums import difference_nb, divided_nb, prefix_nb
from tunesmith.compute.kernels.compiling import kernel
from tunesmith.domain.array_types import Ints, Rows


@kernel
def rsi_nb(x: Rows, source: Ints, window: Ints, out: Rows) -> None:
    """Relative strength index, 0 to 100: 100 G / (G + L), Wilder's averages of gains and losses (TA-Lib RSI).

    Row j is defined from n on. Where nothing has moved, G + L = 0, it is NaN (TA-Lib says 0, which reads as oversold).
    An undefined value makes it begin anew.
    """
    for j in range(len(window)):
        values = x[source[j]]
        n = window[j]
        row = out[j]
        seen = -1
        gain = 0.0
        loss = 0.0
        before = 0.0
        for t in range(len(values)):
            value = values[t]
            row[t] = np.nan
            if value - value != 0.0:
                seen = -1
                continue
            change = value - before
            before = value
            seen += 1
            if seen == 0:
                gain = 0.0
                loss = 0.0
                continue
            up = change if change > 0.0 else 0.0
            down = -change if change < 0.0 else 0.0
            if seen > n:
                gain = (gain * (n - 1) + up) / n
                loss = (loss * (n - 1) + down) / n
            else:
                gain += up
                loss += down
                if seen < n:
                    continue
                gain /= n
                loss /= n
            if gain + loss > 0.0:
                row[t] = 100.0 * (gain / (gain + loss))


@kernel
def macd_line_nb(x: Rows, source: Ints, fast: Ints, slow: Ints, out: Rows) -> None:
    """Fast less slow exponential average; row j is defined from max(fast, slow) - 1 on (TA-Lib MACD).

    Both are seeded at that bar, each with the mean of its own last n values, as TA-Lib does. `fast`, `slow` int64[k].
    An undefined value makes it begin anew.
    """
    for j in range(len(fast)):
        values = x[source[j]]
        longest = max(fast[j], slow[j])
        fast_weight = 2.0 / (fast[j] + 1.0)
        slow_weight = 2.0 / (slow[j] + 1.0)
        fast_average = 0.0
        slow_average = 0.0
        seen = 0
        for t in range(len(values)):
            value = values[t]
            if value - value != 0.0:
                seen = 0
                fast_average = 0.0
                slow_average = 0.0
                out[j, t] = np.nan
                continue
            seen += 1
            if seen > longest:
                fast_average = (value - fast_average) * fast_weight + fast_average
                slow_average = (value - slow_average) * slow_weight + slow_average
            else:
                if seen > longest - fast[j]:
                    fast_average += value
                if seen > longest - slow[j]:
                    slow_average += value
                if seen < longest:
                    out[j, t] = np.nan
                    continue
                fast_average /= fast[j]
                slow_average /= slow[j]
            out[j, t] = fast_average - slow_average


@kernel
def cci_nb(x: Rows, source: Ints, window: Ints, prefix: Rows, bad: Ints, run: Ints, out: Rows) -> None:
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


def _macd_rows(out: Rows, rows: Sequence[Rows], sources: Sequence[Ints], points: Sequence[Any]) -> None:
    fast, slow = (point.astype(np.int64) for point in points)
    macd_line_nb(rows[0], sources[0], fast, slow, out)


def _stoch(g: GraphBuilder, window: int, smooth: int, signal: int) -> tuple[int, ...]:
    lowest = g.row("lowest", g.column("low"), window)
    reach = g.number("sub", g.row("highest", g.column("high"), window), lowest)
    k = g.row("sma", share(g, g.number("sub", g.column("close"), lowest), reach), smooth)
    return k, g.row("sma", k, signal)


def _macd(g: GraphBuilder, x: int, fast: int, slow: int, signal: int) -> tuple[int, ...]:
    line = g.row("macd_line", x, fast, slow)
    average = g.row("ema", line, signal)
    return line, average, g.number("sub", line, average)


def _cci(g: GraphBuilder, window: int) -> int:
    return g.row("cci", typical_price(g), window)


def _roc(g: GraphBuilder, x: int, window: int) -> int:
    before = shift(g, x, window)
    return share(g, g.number("sub", x, before), before)


def _mom(g: GraphBuilder, x: int, window: int) -> int:
    return g.number("sub", x, shift(g, x, window))


DECLARED = (
    Indicator(
        "rsi",
        "momentum",
        (series(), window(14)),
        "relative strength index, 0 to 100, Wilder's smoothing; undefined while nothing has moved",
        look_back="n",
        rows=(windowed("rsi", rsi_nb, measures="share"),),
    ),
    Indicator(
        "stoch",
        "momentum",
        (window(14), window(3, "smooth"), window(3, "signal")),
        "stochastic oscillator, 0 to 100: the close within the window's range, averaged once and twice",
        look_back="n + smooth - 2; d: signal - 1 more",
        formula=_stoch,
        fields=("k", "d"),
    ),
    Indicator(
        "macd",
        "momentum",
        (series(), window(12, "fast"), window(26, "slow"), window(9, "signal")),
        "fast ema less slow ema, its own ema, and the difference",
        look_back="max(fast, slow) - 1; signal, hist: signal - 1 more",
        formula=_macd,
        fields=("line", "signal", "hist"),
        rows=(RowFunction("macd_line", _macd_rows, lambda points: np.maximum(*points).astype(np.int64) - 1, "spread"),),
    ),
    Indicator(
        "cci",
        "momentum",
        (window(20, most=5_000),),
        "commodity channel index: the typical price's distance from its mean, in mean deviations / 0.015",
        look_back="n - 1",
        formula=_cci,
        rows=(windowed("cci", cci_nb, less=1, space=moment_space, measures="share"),),
    ),
    Indicator("roc", "momentum", (series(), window()), "change over n bars in percent", look_back="n", formula=_roc),
    Indicator("mom", "momentum", (series(), window()), "change over n bars", look_back="n", formula=_mom),
)
