"""Market data: what every store of candles does, over the few things that each does in its own way."""

from __future__ import annotations

import contextlib
import difflib
import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from tunesmith.domain.market.bars import COLUMNS, Bars
from tunesmith.domain.market.calendar_recognition import recognized
from tunesmith.domain.market.calendars import COUNTED, Calendar, calendar_named
from tunesmith.domain.market.candle_columns import columns_of_frame, read_frame
from tunesmith.domain.market.daily_closes import daily_closes
from tunesmith.domain.market.expected_bars import MAX_OUTSIDE, presence_of
from tunesmith.domain.market.market_marks import mark_of, packed
from tunesmith.domain.market.resample import MONDAY_MS, can_resample, lengthened
from tunesmith.domain.market.timeframes import timeframe_ms
from tunesmith.domain.records import build
from tunesmith.errors import Conflict, FieldError, Internal, Invalid, NotFound, TunesmithError
from tunesmith.protocol.messages.markets import ImportReport
from tunesmith.storage.market.candles import LISTED_GAPS, Candles, first_change, gaps_of, merge, of_bars, problems_of
from tunesmith.storage.market.series import Series as Series
from tunesmith.storage.market.series import check_names
from tunesmith.storage.timestamps import iso, now

_FREQTRADE_NAME = re.compile(
    r"(?P<pair>[A-Za-z0-9.]+_[A-Za-z0-9.]+)(?:_(?P<settle>[A-Za-z0-9.]+))?-(?P<timeframe>[1-9][0-9]{0,3}[smhdw])"
    r"(?P<kind>-[A-Za-z_]+)?\.(?:feather|parquet|csv|csv\.gz)"
)
_FILES = (".feather", ".parquet", ".csv", ".csv.gz")
_READ_ATTEMPTS = 5


class Skipped(NamedTuple):
    """A file of a folder that was not imported, and why."""

    file: str
    reason: str


class SeriesMark(msgspec.Struct, frozen=True):
    """By what a series is known again: its daily closes as bytes, float64[2, n], and its packed mark."""

    closes: bytes
    mark: bytes


Changing = Callable[[str, str, int], None]
"""Hears before stored bars are replaced by others: venue, symbol, and when the first of them opens, UTC milliseconds.

What it raises keeps the import from being made.
"""


class FolderReport(NamedTuple):
    """What came of the files of a folder."""

    imported: list[ImportReport]
    skipped: list[Skipped]


class Loaded(NamedTuple):
    """Bars as they are asked for, the `stored` ones that they are or are made of, and `is_partial` bool[n]: a bar is
    made of fewer than the calendar expects in it."""

    bars: Bars
    stored: Bars
    is_partial: NDArray[np.bool_]


class MarketStore(ABC):
    """Candles by venue, symbol and timeframe. Any number of processes may import and read at once."""

    @abstractmethod
    def list(self, venue: str | None = None, symbol: str | None = None) -> list[Series]:
        """What is stored, by venue, symbol and length of the bars. Raises `Internal` where that cannot be read."""

    @abstractmethod
    def mark(self, series: Series) -> SeriesMark:
        """The mark of a stored series, without its candles. Raises `FileNotFoundError` where it was not kept."""

    @abstractmethod
    def keep_marks(self, venue: str, symbol: str) -> None:
        """Make and keep the marks of what was stored without them. Raises `Internal` for damaged candles."""

    @abstractmethod
    def bars(self, series: Series) -> Bars:
        """The stored bars behind `series`, as `joined` made them; raises `Internal`, and `FileNotFoundError` where an
        import replaced them."""

    @abstractmethod
    def put(self, candles: Candles, symbol: str, timeframe: str, venue: str, replace: bool) -> ImportReport:
        """Store candles that are sound by themselves as `joined` joins them with what is stored, and raise as it does.

        Imports of one series come one after the other, and a reader has the bars of before or those of after.
        """

    def find(self, symbol: str, timeframe: str | None = None, venue: str | None = None) -> Series:
        """The one series that a request means; one that shorter bars can be made into has a `source`.

        Without `venue` the only one that has the symbol, without `timeframe` the only one that is stored. Raises
        `NotFound` with what is there, and `Invalid` where the venue or the timeframe must be named.
        """
        if timeframe is not None:
            timeframe_ms(timeframe, "/data/timeframe")
        of_symbol = self.list(venue, symbol)
        if not of_symbol:
            raise self._not_found(symbol, venue)
        venues = sorted({s.venue for s in of_symbol})
        if len(venues) > 1:
            raise Invalid(f"{symbol} is there from {', '.join(venues)}; name the venue", path="/data/venue")
        stored = ", ".join(s.timeframe for s in of_symbol)
        if timeframe is None:
            if len(of_symbol) > 1:
                raise Invalid(f"{symbol} is there in {stored}; name the timeframe", path="/data/timeframe")
            return of_symbol[0]
        for series in of_symbol:
            if timeframe_ms(series.timeframe) == timeframe_ms(timeframe):
                return series
        for series in reversed(of_symbol):
            made = _resampled(series, timeframe, self.calendar_of(series))
            if made is not None:
                return made
        raise NotFound(
            f"{symbol} is not there in {timeframe}, nor can {timeframe} bars be made of what is: {stored}",
            path="/data/timeframe",
        )

    def named_calendar(self, venue: str, symbol: str) -> str | None:
        """The calendar that somebody named for a market; None where nobody did, or the store keeps none."""
        return None

    def keep_calendar(self, venue: str, symbol: str, calendar: str) -> None:
        """Keep the calendar that somebody names for a market. Raises `Invalid` where the store keeps none."""
        raise Invalid("this store of candles keeps no calendars", path="/data/calendar")

    def calendar_of(self, series: Series) -> str | None:
        """The calendar of a series: the market's named one, else that which was recognized at import, if it was."""
        return self.named_calendar(series.venue, series.symbol) or series.calendar

    def name_calendar(self, imported: ImportReport, calendar: Calendar) -> ImportReport:
        """Name the calendar of a market that was just imported, for all its timeframes; the report that says so.

        Raises `Invalid` where the exchange is not known or more than a hundredth of the bars are when it is closed.
        """
        series = self.find(imported.symbol, imported.timeframe, imported.venue)
        bars = self.bars(series)
        outside = presence_of(calendar, bars.timestamp, series.timeframe).n_outside
        if outside > MAX_OUTSIDE * len(bars):
            raise Invalid(
                f"{outside:,} of {len(bars):,} {series.timeframe} bars of {series.symbol} lie outside of the sessions "
                f"of {calendar.text}: it is not their calendar, or their times are in another zone; the bars are "
                "stored, the calendar is not",
                path="/data/calendar",
            )
        self.keep_calendar(series.venue, series.symbol, calendar.text)
        return msgspec.structs.replace(imported, calendar=calendar.text)

    def load(self, venue: str, symbol: str, timeframe: str) -> Bars:
        """Stored bars by their calendar, made of shorter ones where need be.

        Raises as `find` does, `Invalid` where no bar would be full, and `Internal` for damaged files.
        """
        series = self.find(symbol, timeframe, venue)
        named = self.calendar_of(series)
        return self.load_by(series, None if named is None else calendar_named(named)).bars

    def load_by(self, asked: Series, calendar: Calendar | None) -> Loaded:
        """What `load` answers of a found series by a calendar, None: the one that is recognized. Raises as it does."""
        for _ in range(_READ_ATTEMPTS):
            series = self.find(asked.symbol, asked.timeframe, asked.venue)
            with contextlib.suppress(FileNotFoundError):  # an import replaced it in between
                stored = self.bars(series).by(calendar)
                if stored.timeframe == series.timeframe:
                    return Loaded(stored, stored, np.zeros(len(stored), np.bool_))
                made = lengthened(stored, series.timeframe)
                return Loaded(made.bars, stored, made.is_partial)
        raise Internal(
            f"{asked.symbol} {asked.timeframe}: the candles that the manifest names are gone; import the data again "
            "with replace"
        )

    def import_file(
        self,
        path: Path,
        *,
        symbol: str,
        timeframe: str,
        venue: str = "local",
        replace: bool = False,
        changing: Changing | None = None,
    ) -> ImportReport:
        """Stores the candles of a .csv, .csv.gz, .parquet or .feather file together with what is stored.

        Raises `Invalid` with every problem found (nothing is stored then), `Conflict` where stored bars have other
        values, unless `replace` lets the file win, and what `changing` raises, which is asked where it does.
        """
        check_names(venue, symbol, timeframe)
        try:
            candles = Candles(*columns_of_frame(read_frame(path)))
            if replace and changing is not None:
                self._tell(changing, candles, symbol, timeframe, venue)
            return self._import(candles, symbol, timeframe, venue, replace)
        except (Invalid, Conflict) as error:
            name = path.name
            message = error.message if error.message.startswith(name) else f"{name}: {error.message}"
            raise type(error)(message, errors=error.errors) from error

    def import_rows(
        self,
        rows: Sequence[tuple[int, float, float, float, float, float]],
        *,
        symbol: str,
        timeframe: str,
        venue: str = "local",
        replace: bool = False,
    ) -> ImportReport:
        """Stores rows [UTC milliseconds, open, high, low, close, volume] as `import_file` does."""
        check_names(venue, symbol, timeframe)
        try:
            stamps = np.array([row[0] for row in rows], np.int64)
        except OverflowError:
            raise Invalid("a bar's time is no UTC milliseconds", path="/data/bars") from None
        values = np.array([row[1:] for row in rows], np.float64).reshape(len(rows), len(COLUMNS))
        candles = Candles(stamps, {name: values[:, i].copy() for i, name in enumerate(COLUMNS)})
        return self._import(candles, symbol, timeframe, venue, replace)

    def import_folder(
        self, path: Path, *, venue: str = "local", replace: bool = False, changing: Changing | None = None
    ) -> FolderReport:
        """Imports every file whose name says symbol and timeframe as freqtrade's do, in `path` and below.

        BTC_USDT-1h.feather is BTC/USDT, BTC_USDT_USDT-1h-futures.feather BTC/USDT:USDT. A file that cannot be imported
        does not keep the others from it. Raises `Invalid` when no name is of that form.
        """
        report = FolderReport([], [])
        for file in sorted(p for p in path.rglob("*") if p.is_file() and p.name.endswith(_FILES)):
            match = _FREQTRADE_NAME.fullmatch(file.name)
            if match is None:
                report.skipped.append(Skipped(file.name, "the name does not say symbol and timeframe"))
            elif match["kind"] not in (None, "-futures"):
                report.skipped.append(Skipped(file.name, f"{match['kind'][1:]} is no trading data"))
            else:
                symbol = match["pair"].replace("_", "/") + (f":{match['settle']}" if match["settle"] else "")
                names = {"symbol": symbol, "timeframe": match["timeframe"], "venue": venue}
                try:
                    report.imported.append(self.import_file(file, **names, replace=replace, changing=changing))
                except TunesmithError as error:
                    report.skipped.append(Skipped(file.name, error.message))
        if not report.imported and not report.skipped:
            raise Invalid(f"{path}: there are no files such as BTC_USDT-1h.feather")
        return report

    def _tell(self, changing: Changing, candles: Candles, symbol: str, timeframe: str, venue: str) -> None:
        """Ask `changing` where the candles are sound and would replace stored bars by others."""
        _refuse(problems_of(candles, timeframe))
        stored = next((each for each in self.list(venue, symbol) if each.timeframe == timeframe), None)
        if stored is None:
            return
        try:
            first_ms = first_change(of_bars(self.bars(stored)), candles)
        except (Internal, FileNotFoundError):
            return  # damaged or just replaced: there is nothing to compare with, and the import mends it
        if first_ms is not None:
            changing(venue, symbol, first_ms)

    def _import(self, candles: Candles, symbol: str, timeframe: str, venue: str, replace: bool) -> ImportReport:
        _refuse(problems_of(candles, timeframe))
        return self.put(candles, symbol, timeframe, venue, replace)

    def _not_found(self, symbol: str, venue: str | None) -> NotFound:
        there = sorted({series.symbol for series in self.list(venue)})
        where = f" from {venue[:40]}" if venue else ""
        if not there:
            return NotFound(f"there is no market data{where}; import some first", path="/data/symbol")
        near = difflib.get_close_matches(symbol[:64], there, 3, 0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(there[:10])}"
        return NotFound(f"there is no market data for {symbol[:40]!r}{where}; {hint}", path="/data/symbol")


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
        _refuse(problems_of(candles, timeframe))
    bars = Bars.from_arrays(  # by no calendar: the hash is that of the candles alone
        candles.timestamp, candles.ohlcv, symbol=symbol, timeframe=timeframe, venue=venue, calendar=COUNTED
    )
    gaps = gaps_of(bars.timestamp, timeframe)
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
        calendar=recognized(bars.timestamp, timeframe).text,
    )
    start, end = iso(series.start_ms), iso(series.end_ms)
    report = build(ImportReport, series, n_new=n_new, start=start, end=end, gaps=gaps)
    return Joined(bars, series, report)


def _resampled(series: Series, timeframe: str, calendar: str | None) -> Series | None:
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


def _refuse(problems: list[str]) -> None:
    if problems:
        errors = tuple(FieldError("/data/bars", problem) for problem in problems)
        raise Invalid("; ".join(problems), errors=errors)
