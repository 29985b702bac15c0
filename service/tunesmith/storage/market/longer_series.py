"""Series of longer bars that are yet to be made of stored ones."""

from __future__ import annotations

import math

import msgspec

from tunesmith.domain.market.calendars import calendar_named
from tunesmith.domain.market.resample import MONDAY_MS, can_resample
from tunesmith.domain.market.timeframes import timeframe_ms
from tunesmith.storage.market.series import Series


def longer_series(series: Series, timeframe: str, calendar: str | None) -> Series | None:
    """What full bars of `timeframe` made of `series` would span; None where there can be none."""
    if not can_resample(series.timeframe, timeframe):
        return None
    length = timeframe_ms(timeframe)
    if calendar is not None and calendar_named(calendar).has_sessions:
        end = series.end_ms - timeframe_ms(series.timeframe) + length  # the last session's, which may be shorter
        n_bars = min(series.n_bars, math.ceil((end - series.start_ms) / length))
        return msgspec.structs.replace(series, timeframe=timeframe, source=series.timeframe, end_ms=end, n_bars=n_bars)
    offset = MONDAY_MS if timeframe.endswith("w") else 0
    start = math.ceil((series.start_ms - offset) / length) * length + offset
    end = (series.end_ms - offset) // length * length + offset
    if start >= end or (series.start_ms - offset) % timeframe_ms(series.timeframe):
        return None
    return msgspec.structs.replace(
        series,
        timeframe=timeframe,
        source=series.timeframe,
        start_ms=start,
        end_ms=end,
        n_bars=(end - start) // length,
    )
