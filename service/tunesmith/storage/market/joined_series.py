"""Stored candles together with those of an import, and what is known of them then."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from tunesmith.domain.market.bars import Bars
from tunesmith.domain.market.calendar_recognition import recognized
from tunesmith.domain.market.calendars import COUNTED
from tunesmith.domain.market.daily_closes import daily_closes
from tunesmith.domain.market.market_marks import mark_of, packed
from tunesmith.domain.records import build
from tunesmith.errors import FieldError, Invalid
from tunesmith.protocol.messages.markets import ImportReport
from tunesmith.storage.market.candles import LISTED_GAPS, Candles, gaps_of, merge, of_bars, problems_of
from tunesmith.storage.market.series import Series
from tunesmith.storage.timestamps import iso, now


class SeriesMark(msgspec.Struct, frozen=True):
    """By what a series is known again: its daily closes as bytes, float64[2, n], and its packed mark."""

    closes: bytes
    mark: bytes


def series_mark(bars: Bars) -> SeriesMark:
    """The mark of bars."""
    closes = daily_closes(bars.timestamp, bars.close, bars.timeframe)
    return SeriesMark(closes.tobytes(), packed(mark_of(bars.timestamp, bars.close, bars.timeframe)))


class Joined(NamedTuple):
    """Stored candles with those of an import: the bars, what is known of them, and what the import is told."""

    bars: Bars
    series: Series
    report: ImportReport


def joined(stored: Bars | None, candles: Candles, symbol: str, timeframe: str, venue: str, *, replace: bool) -> Joined:
    """Candles of an import together with the stored bars. Raises `Conflict` and `Invalid` as `import_file` does."""
    n_new = len(candles.timestamp)
    if stored is not None:
        candles, n_new = merge(of_bars(stored), candles, replace=replace)
        refuse_unsound(problems_of(candles, timeframe))
    bars = Bars.from_arrays(  # by no calendar: the hash is that of the candles alone
        candles.timestamp, candles.ohlcv, symbol=symbol, timeframe=timeframe, venue=venue, calendar=COUNTED
    )
    calendar = recognized(bars.timestamp, timeframe)
    gaps = gaps_of(bars.timestamp, timeframe, calendar)
    data_hash = bars.data_hash
    series = Series(
        venue=venue,
        symbol=symbol,
        timeframe=timeframe,
        start_ms=int(bars.timestamp[0]),
        end_ms=bars.end_ms,
        n_bars=len(bars),
        n_gaps=len(gaps),
        gaps=gaps[:LISTED_GAPS],
        data_hash=data_hash,
        file=f"{timeframe}-{data_hash}.parquet",
        imported_at=now(),
        calendar=calendar.text,
    )
    start, end = iso(series.start_ms), iso(series.end_ms)
    report = build(ImportReport, series, n_new=n_new, start=start, end=end, gaps=gaps)
    return Joined(bars, series, report)


def refuse_unsound(problems: list[str]) -> None:
    """Raise `Invalid` with what makes candles unusable; nothing where they are sound."""
    if problems:
        errors = tuple(FieldError("/data/bars", problem) for problem in problems)
        raise Invalid("; ".join(problems), errors=errors)
