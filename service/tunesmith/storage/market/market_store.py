"""Market data: what every store of candles does, over the few things that each does in its own way."""

from __future__ import annotations

import contextlib
import difflib
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from tunesmith.domain.market.bars import COLUMNS, Bars
from tunesmith.domain.market.calendars import Calendar, calendar_named
from tunesmith.domain.market.candle_warnings import SILENT, warnings_of
from tunesmith.domain.market.expected_bars import MAX_OUTSIDE, presence_of
from tunesmith.domain.market.layouts.column_plan import NO_VOLUME
from tunesmith.domain.market.layouts.file_formats import read_sheet
from tunesmith.domain.market.layouts.file_names import is_readable_name, named_market, venue_of
from tunesmith.domain.market.layouts.reading import UNSAID, Reading, reworded
from tunesmith.domain.market.layouts.sheet import Sheet
from tunesmith.domain.market.layouts.sheet_candles import candles_of_sheet
from tunesmith.domain.market.resample import lengthened
from tunesmith.domain.market.timeframes import timeframe_ms
from tunesmith.errors import Conflict, Internal, Invalid, NotFound, TunesmithError
from tunesmith.protocol.messages.markets import ImportReport
from tunesmith.storage.market.candle_files import Target, explained
from tunesmith.storage.market.candles import (
    Candles,
    final_candles,
    first_change,
    gaps_of,
    of_bars,
    problems_of,
)
from tunesmith.storage.market.joined_series import SeriesMark, refuse_unsound
from tunesmith.storage.market.longer_series import longer_series
from tunesmith.storage.market.series import Series as Series
from tunesmith.storage.market.series import check_names

_READ_ATTEMPTS = 5


class Skipped(NamedTuple):
    """A file of a folder that was not imported, and why."""

    file: str
    reason: str


Changing = Callable[[str, str, int], None]
"""Hears before stored bars are replaced by others: venue, symbol, and when the first of them opens, UTC milliseconds.

What it raises keeps the import from being made.
"""


class Misread(Invalid):
    """A table whose columns are not understood; `cause` is the refusal to read it."""

    cause: Invalid

    def __init__(self, cause: Invalid) -> None:
        super().__init__(cause.message, errors=cause.errors)
        self.cause = cause

    def __reduce__(self) -> tuple[type[Invalid], tuple[str]]:
        return Invalid, (self.message,)


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

    def only_market(self, symbol: str, venue: str | None = None) -> Sequence[Series]:
        """Every series of a symbol, from the venue or the only one that has it. Raises `NotFound` and `Invalid`."""
        of_symbol = self.list(venue, symbol)
        if not of_symbol:
            raise self._not_found(symbol, venue)
        venues = sorted({s.venue for s in of_symbol})
        if len(venues) > 1:
            raise Invalid(f"{symbol} is there from {', '.join(venues)}; name the venue", path="/data/venue")
        return of_symbol

    def find(self, symbol: str, timeframe: str | None = None, venue: str | None = None) -> Series:
        """The one series that a request means; one that shorter bars can be made into has a `source`.

        Without `venue` the only one that has the symbol, without `timeframe` the only one that is stored. Raises
        `NotFound` with what is there, and `Invalid` where the venue or the timeframe must be named.
        """
        if timeframe is not None:
            timeframe_ms(timeframe, "/data/timeframe")
        of_symbol = self.only_market(symbol, venue)
        stored = ", ".join(s.timeframe for s in of_symbol)
        if timeframe is None:
            if len(of_symbol) > 1:
                raise Invalid(f"{symbol} is there in {stored}; name the timeframe", path="/data/timeframe")
            return of_symbol[0]
        for series in of_symbol:
            if timeframe_ms(series.timeframe) == timeframe_ms(timeframe):
                return series
        for series in reversed(of_symbol):
            made = longer_series(series, timeframe, self.calendar_of(series))
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
        gaps = gaps_of(bars.timestamp, series.timeframe, calendar)
        return msgspec.structs.replace(imported, calendar=calendar.text, gaps=gaps)

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
        reading: Reading = UNSAID,
    ) -> ImportReport:
        """Stores the candles of a file together with what is stored; `reading` is what somebody said of its layout.

        Raises `Invalid` with every problem found (nothing is stored then), `Conflict` where stored bars have other
        values, unless `replace` lets the file win, and what `changing` raises, which is asked where it does.
        """
        check_names(venue, symbol, timeframe)
        sheet = read_sheet(path)
        names = {"symbol": symbol, "timeframe": timeframe, "venue": venue}
        try:
            return self.import_sheet(sheet, **names, replace=replace, changing=changing, reading=reading)
        except Misread as error:
            told = explained(error.cause, sheet, path, Target(symbol, timeframe, venue), reading)
            raise reworded(told, f"{path.name}: {told.message}") from error
        except (Invalid, Conflict) as error:
            raise type(error)(f"{path.name}: {error.message}", errors=error.errors) from error

    def import_sheet(
        self,
        sheet: Sheet,
        *,
        symbol: str,
        timeframe: str,
        venue: str = "local",
        replace: bool = False,
        changing: Changing | None = None,
        reading: Reading = UNSAID,
    ) -> ImportReport:
        """Stores the candles of a table as `import_file` does; raises `Misread` where its columns are in doubt."""
        check_names(venue, symbol, timeframe)
        try:
            found = candles_of_sheet(sheet, reading, symbol, timeframe)
        except Invalid as error:
            raise Misread(error) from error
        candles = Candles(found.timestamp, found.ohlcv)
        candles, open_bars = final_candles(candles, timeframe, reading.now_ms, drop=reading.drop_open)
        report = self._import(candles, Target(symbol, timeframe, venue), replace, changing)
        odd = [each for each in report.warnings if each != SILENT or NO_VOLUME not in found.notes]
        warnings = [*found.notes, *open_bars, *odd]
        return msgspec.structs.replace(report, warnings=warnings, n_dropped=found.n_dropped + len(open_bars))

    def import_rows(
        self,
        rows: Sequence[tuple[int, float, float, float, float, float]],
        *,
        symbol: str,
        timeframe: str,
        venue: str = "local",
        replace: bool = False,
        changing: Changing | None = None,
        now_ms: int | None = None,
    ) -> ImportReport:
        """Stores rows [UTC milliseconds, open, high, low, close, volume] as `import_file` does."""
        check_names(venue, symbol, timeframe)
        try:
            stamps = np.array([row[0] for row in rows], np.int64)
        except OverflowError:
            raise Invalid("a bar's time is no UTC milliseconds", path="/data/bars") from None
        values = np.array([row[1:] for row in rows], np.float64).reshape(len(rows), len(COLUMNS))
        candles = Candles(stamps, {name: values[:, i].copy() for i, name in enumerate(COLUMNS)})
        candles, _ = final_candles(candles, timeframe, now_ms, drop=False)
        return self._import(candles, Target(symbol, timeframe, venue), replace, changing)

    def import_folder(
        self,
        path: Path,
        *,
        venue: str | None = None,
        replace: bool = False,
        changing: Changing | None = None,
        reading: Reading = UNSAID,
    ) -> FolderReport:
        """Imports every file whose name says symbol and timeframe as freqtrade's do, in `path` and below.

        Without `venue` the folder's name is the venue. A file that cannot be imported does not keep the others from
        it, and is listed with why. Raises `Invalid` when there is no file.
        """
        report = FolderReport([], [])
        path = path.resolve()  # the name of . is that of the folder it is
        taken: dict[tuple[str, str, str], str] = {}
        for file in sorted((p for p in path.rglob("*") if is_readable_name(p.name) and p.is_file()), key=_as_tried):
            named = named_market(file.name)
            if isinstance(named, str):
                report.skipped.append(Skipped(file.name, named))
                continue
            of = venue or venue_of(file, path)
            first = taken.setdefault((of, *named), file.name)
            if first != file.name:
                report.skipped.append(Skipped(file.name, f"{first} has the same market"))
                continue
            try:
                how = {"venue": of, "replace": replace, "changing": changing, "reading": reading}
                found = self.import_file(file, symbol=named.symbol, timeframe=named.timeframe, **how)  # type: ignore[arg-type]
                report.imported.append(found)
            except TunesmithError as error:
                report.skipped.append(Skipped(file.name, error.message.splitlines()[0]))
        if not report.imported and not report.skipped:
            raise Invalid(f"{path}: there are no files such as BTC_USDT-1h.feather")
        return report

    def remove(self, series: Series) -> None:
        """Remove the candles of a stored series. Raises `Invalid` where a store keeps what it has."""
        raise Invalid(f"this store of candles removes nothing: {series.symbol} {series.timeframe}", path="/data/symbol")

    def _tell(self, changing: Changing, candles: Candles, symbol: str, timeframe: str, venue: str) -> None:
        """Ask `changing` where the candles would replace stored bars by others."""
        stored = next((each for each in self.list(venue, symbol) if each.timeframe == timeframe), None)
        if stored is None:
            return
        try:
            first_ms = first_change(of_bars(self.bars(stored)), candles)
        except (Internal, FileNotFoundError):
            return  # damaged or just replaced: there is nothing to compare with, and the import mends it
        if first_ms is not None:
            changing(venue, symbol, first_ms)

    def _import(self, candles: Candles, to: Target, replace: bool, changing: Changing | None) -> ImportReport:
        refuse_unsound(problems_of(candles, to.timeframe))
        if replace and changing is not None:
            self._tell(changing, candles, to.symbol, to.timeframe, to.venue)
        report = self.put(candles, to.symbol, to.timeframe, to.venue, replace)
        return msgspec.structs.replace(report, warnings=warnings_of(candles.timestamp, candles.ohlcv))

    def _not_found(self, symbol: str, venue: str | None) -> NotFound:
        there = sorted({series.symbol for series in self.list(venue)})
        where = f" from {venue[:40]}" if venue else ""
        if not there:
            return NotFound(f"there is no market data{where}; import some first", path="/data/symbol")
        near = difflib.get_close_matches(symbol[:64], there, 3, 0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(there[:10])}"
        return NotFound(f"there is no market data for {symbol[:40]!r}{where}; {hint}", path="/data/symbol")


def _as_tried(path: Path) -> tuple[bool, Path]:
    """Files by name; JSON after the others, as freqtrade left it beside what it converted."""
    return ".json" in path.name, path
