"""Recursive averages and what is made of them; conventions of TA-Lib."""

from __future__ import annotations

import numpy as np

from tunesmith.compute.indicators.array_types import Rows, Whole
from tunesmith.compute.kernels.compiling import kernel


@kernel
def ema_nb(x: Rows, source: Whole, window: Whole, out: Rows) -> None:
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
def wilder_nb(x: Rows, source: Whole, window: Whole, out: Rows) -> None:
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
def rsi_nb(x: Rows, source: Whole, window: Whole, out: Rows) -> None:
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
