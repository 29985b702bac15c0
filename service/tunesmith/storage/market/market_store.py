"""Market data: candles in Parquet files by venue, symbol and timeframe.

    <root>/<venue>/<quoted symbol>/<timeframe>.json             the manifest; renaming it into place is the commit
    <root>/<venue>/<quoted symbol>/<timeframe>-<hash>.parquet   the candles that it points to
    <root>/<venue>/<quoted symbol>/<timeframe>-<hash>.npy       their daily closes, by which copies are known again

Listing and finding read manifests alone, so the daemon's loop needs neither pandas nor pyarrow; importing and loading
are for workers and the command line. Any number of processes may import and read at once.
"""

from __future__ import annotations

import contextlib
import difflib
import math
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from tunesmith.domain.market.bars import COLUMNS, Bars
from tunesmith.domain.market.candle_columns import columns_of_frame, read_frame
from tunesmith.domain.market.daily_closes import DailyCloses, daily_closes
from tunesmith.domain.market.resample import MONDAY_MS, can_resample, resample
from tunesmith.domain.market.timeframes import timeframe_ms
from tunesmith.domain.records import build
from tunesmith.errors import Conflict, FieldError, Internal, Invalid, NotFound, TunesmithError
from tunesmith.protocol.messages.markets import ImportReport
from tunesmith.storage.atomic_files import DRAFTS, write_content, write_file
from tunesmith.storage.faults import file_fault
from tunesmith.storage.file_lock import exclusive
from tunesmith.storage.market.candles import (
    LISTED_GAPS,
    Candles,
    gaps_of,
    merge,
    of_bars,
    problems_of,
    read_parquet,
    write_parquet,
)
from tunesmith.storage.market.series import Series as Series
from tunesmith.storage.market.series import check_names, folder_of, quote_symbol, read_manifest
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


class FolderReport(NamedTuple):
    """What came of the files of a folder."""

    imported: list[ImportReport]
    skipped: list[Skipped]


class MarketStore:
    """The market data below one folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._known: dict[str, tuple[tuple[int, int, int], Series]] = {}

    def list(self, venue: str | None = None, symbol: str | None = None) -> list[Series]:
        """What is stored, by venue, symbol and length of the bars. Raises `Internal` for a damaged manifest."""
        try:
            check_names(venue or "any", symbol or "any", "1h")
        except Invalid:
            return []
        quoted = quote_symbol(symbol) if symbol else None
        found = []
        for of_venue in _below(str(self.root), venue):
            for of_symbol in _below(of_venue, quoted):
                for manifest in _below(of_symbol):
                    if manifest.endswith(".json"):
                        with contextlib.suppress(FileNotFoundError):
                            found.append(self._read(manifest))
        return sorted(found, key=lambda s: (s.venue, s.symbol, timeframe_ms(s.timeframe)))

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
            made = _resampled(series, timeframe)
            if made is not None:
                return made
        raise NotFound(
            f"{symbol} is not there in {timeframe}, nor can {timeframe} bars be made of what is: {stored}",
            path="/data/timeframe",
        )

    def load(self, venue: str, symbol: str, timeframe: str) -> Bars:
        """Stored bars, made of shorter ones where need be.

        Raises as `find` does, `Invalid` where no bar would be full, and `Internal` for damaged files.
        """
        for _ in range(_READ_ATTEMPTS):
            series = self.find(symbol, timeframe, venue)
            with contextlib.suppress(FileNotFoundError):  # an import replaced it in between
                return resample(self._bars(series), series.timeframe)
        raise Internal(
            f"{symbol} {timeframe}: the candles that the manifest names are gone; import the data again with replace"
        )

    def closes(self, venue: str, symbol: str, file: str) -> DailyCloses:
        """The daily closes of a series, which `file` names, without its candles.

        Raises `FileNotFoundError` where they were never kept, or where they are damaged.
        """
        path = self._closes_file(venue, symbol, file)
        try:
            closes: DailyCloses = np.load(path)
        except (ValueError, EOFError):
            raise FileNotFoundError(f"{path} is damaged") from None
        return closes

    def mark(self, venue: str, symbol: str) -> None:
        """Keep the daily closes of what was stored without them."""
        for series in self.list(venue, symbol):
            if not self._closes_file(venue, symbol, series.file).exists():
                with contextlib.suppress(OSError, Internal):  # replaced in between, or no more than a mark is lost
                    self._mark(self._bars(series), series)

    def import_file(
        self, path: Path, *, symbol: str, timeframe: str, venue: str = "local", replace: bool = False
    ) -> ImportReport:
        """Stores the candles of a .csv, .csv.gz, .parquet or .feather file together with what is stored.

        Raises `Invalid` with every problem found (nothing is stored then), and `Conflict` where stored bars have other
        values, unless `replace` lets the file win.
        """
        check_names(venue, symbol, timeframe)
        try:
            candles = Candles(*columns_of_frame(read_frame(path)))
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

    def import_folder(self, path: Path, *, venue: str = "local", replace: bool = False) -> FolderReport:
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
                    report.imported.append(self.import_file(file, **names, replace=replace))
                except TunesmithError as error:
                    report.skipped.append(Skipped(file.name, error.message))
        if not report.imported and not report.skipped:
            raise Invalid(f"{path}: there are no files such as BTC_USDT-1h.feather")
        return report

    def _import(self, candles: Candles, symbol: str, timeframe: str, venue: str, replace: bool) -> ImportReport:
        _refuse(problems_of(candles, timeframe))
        folder = folder_of(self.root, venue, symbol)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with exclusive(folder / ".lock"):
                return self._merge(folder, candles, symbol, timeframe, venue, replace)
        except OSError as error:
            raise file_fault(error, f"{symbol} {timeframe}") from error

    def _merge(
        self, folder: Path, candles: Candles, symbol: str, timeframe: str, venue: str, replace: bool
    ) -> ImportReport:
        manifest = folder / f"{timeframe}.json"
        for draft in folder.glob(DRAFTS):
            draft.unlink(missing_ok=True)
        n_new = len(candles.timestamp)
        stored = self._stored(manifest, replace)
        if stored is not None:
            candles, n_new = merge(of_bars(stored), candles, replace=replace)
            _refuse(problems_of(candles, timeframe))
        bars = Bars.from_arrays(candles.timestamp, candles.ohlcv, symbol=symbol, timeframe=timeframe, venue=venue)
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
        )
        if n_new:
            write_file(folder / series.file, lambda draft: write_parquet(draft, bars))
            self._mark(bars, series)
            write_content(manifest, msgspec.json.encode(series))
            for stale in folder.glob(f"{timeframe}-*.*"):
                if stale.stem != Path(series.file).stem:
                    stale.unlink(missing_ok=True)
        start, end = iso(series.start_ms), iso(series.end_ms)
        return build(ImportReport, series, n_new=n_new, start=start, end=end, gaps=gaps)

    def _closes_file(self, venue: str, symbol: str, file: str) -> Path:
        return folder_of(self.root, venue, symbol) / f"{Path(file).stem}.npy"

    def _mark(self, bars: Bars, series: Series) -> None:
        closes = daily_closes(bars.timestamp, bars.close, bars.timeframe)
        write_file(self._closes_file(series.venue, series.symbol, series.file), lambda draft: _save(draft, closes))

    def _stored(self, manifest: Path, replace: bool) -> Bars | None:
        """What an import joins; None where nothing is, or where it is damaged and may be replaced."""
        try:
            return self._bars(read_manifest(manifest))
        except FileNotFoundError:
            return None
        except Internal:
            if replace:
                return None
            raise

    def _bars(self, series: Series) -> Bars:
        """The stored bars behind `series`; raises `FileNotFoundError` and `Internal`."""
        timeframe = series.source or series.timeframe
        path = folder_of(self.root, series.venue, series.symbol) / series.file
        candles = read_parquet(path)
        try:
            bars = Bars.from_arrays(
                candles.timestamp, candles.ohlcv, symbol=series.symbol, timeframe=timeframe, venue=series.venue
            )
        except Invalid as error:
            raise Internal(f"{path} is damaged ({error.message}); import the data again with replace") from error
        if bars.data_hash != series.data_hash:
            raise Internal(f"{path} is damaged (its content has another hash); import the data again with replace")
        return bars

    def _read(self, manifest: str) -> Series:
        """The manifest's series, from memory while the file is the same."""
        stat = os.stat(manifest)  # noqa: PTH116 - for every manifest, in every request
        identity = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        known = self._known.get(manifest)
        if known is None or known[0] != identity:
            known = self._known[manifest] = (identity, read_manifest(Path(manifest)))
        return known[1]

    def _not_found(self, symbol: str, venue: str | None) -> NotFound:
        there = sorted({series.symbol for series in self.list(venue)})
        where = f" from {venue[:40]}" if venue else ""
        if not there:
            return NotFound(f"there is no market data{where}; import some first", path="/data/symbol")
        near = difflib.get_close_matches(symbol[:64], there, 3, 0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(there[:10])}"
        return NotFound(f"there is no market data for {symbol[:40]!r}{where}; {hint}", path="/data/symbol")


def _below(folder: str, name: str | None = None) -> list[str]:
    """Paths of what a folder holds, or of `name` in it; none where there is no such folder."""
    if name is not None:
        return [f"{folder}/{name}"]
    try:
        return [f"{folder}/{found}" for found in os.listdir(folder)]  # noqa: PTH208 - as above
    except (FileNotFoundError, NotADirectoryError):
        return []


def _resampled(series: Series, timeframe: str) -> Series | None:
    """What full bars of `timeframe` made of `series` would span; None where there can be none."""
    if not can_resample(series.timeframe, timeframe):
        return None
    length = timeframe_ms(timeframe)
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


def _save(path: Path, closes: DailyCloses) -> None:
    with path.open("wb") as file:
        np.save(file, closes)
