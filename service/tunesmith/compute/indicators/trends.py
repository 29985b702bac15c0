"""Indicators of trend with a state of their own: MACD's line, directional movement, supertrend."""

from __future__ import annotations

import numpy as np

from tunesmith.compute.indicators.array_types import Row, Rows, Whole
from tunesmith.compute.kernels.compiling import kernel

ADX, PLUS_DI, MINUS_DI = 0, 1, 2


@kernel
def macd_line_nb(x: Rows, source: Whole, fast: Whole, slow: Whole, out: Rows) -> None:
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
def directional_nb(high: Row, low: Row, close: Row, window: Whole, which: int, out: Rows) -> None:
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
def supertrend_nb(
    high: Row, low: Row, close: Row, atr: Rows, source: Whole, factor: Row, direction: bool, out: Rows
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
