"""Resampling: longer bars from shorter ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tunesmith.domain.array_types import Floats
from tunesmith.domain.market.bars import Bars
from tunesmith.domain.market.timeframes import UNIT_MS, timeframe_ms
from tunesmith.errors import Invalid

MONDAY_MS = 4 * UNIT_MS["d"]
"""The first Monday after the epoch, 1970-01-05: where weeks begin."""


def can_resample(source: str, target: str) -> bool:
    """Whether bars of the timeframe `target` can be made of whole bars of `source`."""
    short, long = timeframe_ms(source), timeframe_ms(target)
    return long > short and long % short == 0 and (not target.endswith("w") or MONDAY_MS % short == 0)


def resample(bars: Bars, timeframe: str) -> Bars:
    """Bars of the longer `timeframe`: first open, highest high, lowest low, last close, summed volume.

    They begin at multiples of the timeframe since the epoch in UTC, weeks on Mondays. Only full ones are made: where a
    source bar is missing, so is the bar that it belongs to. Raises `Invalid` when the timeframe is no multiple of the
    source's, when the source does not begin on its own multiples, and when no bar would be full.
    """
    if timeframe == bars.timeframe or not len(bars):
        return replace(bars, timeframe=timeframe)
    if not can_resample(bars.timeframe, timeframe):
        raise Invalid(f"{timeframe} bars cannot be made of {bars.timeframe} bars")
    source, target = timeframe_ms(bars.timeframe), timeframe_ms(timeframe)
    offset = MONDAY_MS if timeframe.endswith("w") else 0
    if ((bars.timestamp - offset) % source).any():
        raise Invalid(
            f"the {bars.timeframe} bars do not begin at multiples of {bars.timeframe} UTC; they stay as they are"
        )
    begins = (bars.timestamp - offset) // target * target + offset
    start = np.flatnonzero(np.diff(begins, prepend=begins[0] - 1))
    n_in = np.diff(np.append(start, len(begins)))
    full = n_in == target // source
    if not full.any():
        raise Invalid(f"no {timeframe} bar would be full: {bars.symbol} {bars.timeframe} has too few bars in a row")
    last = start + n_in - 1

    def of(column: Floats) -> Floats:
        return np.ascontiguousarray(column[full])

    columns = {
        "open": of(bars.open[start]),
        "high": of(np.maximum.reduceat(bars.high, start)),
        "low": of(np.minimum.reduceat(bars.low, start)),
        "close": of(bars.close[last]),
        "volume": of(np.add.reduceat(bars.volume, start)),
    }
    return Bars.from_arrays(begins[start][full], columns, symbol=bars.symbol, timeframe=timeframe, venue=bars.venue)
