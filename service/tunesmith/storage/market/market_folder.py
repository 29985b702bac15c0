"""Market data: candles in Parquet files by venue, symbol and timeframe.

    <root>/<venue>/<quoted symbol>/<timeframe>.json             the manifest; renaming it into place is the commit
    <root>/<venue>/<quoted symbol>/<timeframe>-<hash>.parquet   the candles that it points to
    <root>/<venue>/<quoted symbol>/<timeframe>-<hash>.mark      their mark, by which the market is known again
    <root>/<venue>/<quoted symbol>/calendar                     the calendar that somebody named for the market

Listing and finding read manifests alone, so the daemon's loop needs neither pandas nor pyarrow; importing and loading
are for workers and the command line. Any number of processes may import and read at once.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import msgspec

from tunesmith.domain.market.bars import Bars
from tunesmith.domain.market.calendars import COUNTED
from tunesmith.domain.market.timeframes import timeframe_ms
from tunesmith.errors import Internal, Invalid
from tunesmith.protocol.messages.markets import ImportReport
from tunesmith.storage.atomic_files import DRAFTS, make_folder, write_content, write_file
from tunesmith.storage.faults import file_fault
from tunesmith.storage.file_lock import exclusive
from tunesmith.storage.market.candles import Candles, read_parquet, write_parquet
from tunesmith.storage.market.joined_series import Joined, SeriesMark, joined, series_mark
from tunesmith.storage.market.market_store import MarketStore
from tunesmith.storage.market.series import Series, check_names, folder_of, quote_symbol, read_manifest

_CALENDAR = "calendar"


class MarketFolder(MarketStore):
    """The market data below one folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._known: dict[str, tuple[tuple[int, int, int], Series]] = {}

    def list(self, venue: str | None = None, symbol: str | None = None) -> list[Series]:
        """See `MarketStore.list`; raises `Internal` for a damaged manifest."""
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

    def mark(self, series: Series) -> SeriesMark:
        """See `MarketStore.mark`."""
        path = self._mark_file(series)
        try:
            return msgspec.msgpack.decode(path.read_bytes(), type=SeriesMark)
        except msgspec.MsgspecError:
            raise FileNotFoundError(f"{path} is damaged") from None

    def keep_marks(self, venue: str, symbol: str) -> None:
        """See `MarketStore.keep_marks`."""
        for series in self.list(venue, symbol):
            try:
                self.mark(series)
            except FileNotFoundError:
                with contextlib.suppress(FileNotFoundError):  # replaced in between, by candles with a mark
                    self._keep_mark(self.bars(series), series)

    def put(self, candles: Candles, symbol: str, timeframe: str, venue: str, replace: bool) -> ImportReport:
        """See `MarketStore.put`."""
        folder = folder_of(self.root, venue, symbol)
        manifest = folder / f"{timeframe}.json"
        try:
            make_folder(folder)
            with exclusive(folder / ".lock"):
                for draft in folder.glob(DRAFTS):
                    draft.unlink(missing_ok=True)
                found = joined(self._stored(manifest, replace), candles, symbol, timeframe, venue, replace=replace)
                if found.report.n_new:
                    self._write(folder, manifest, found)
        except OSError as error:
            raise file_fault(error, f"{symbol} {timeframe}") from error
        return found.report

    def named_calendar(self, venue: str, symbol: str) -> str | None:
        """See `MarketStore.named_calendar`."""
        try:
            return (folder_of(self.root, venue, symbol) / _CALENDAR).read_text("utf-8").strip() or None
        except FileNotFoundError:
            return None

    def keep_calendar(self, venue: str, symbol: str, calendar: str) -> None:
        """See `MarketStore.keep_calendar`."""
        try:
            write_content(folder_of(self.root, venue, symbol) / _CALENDAR, calendar.encode())
        except OSError as error:
            raise file_fault(error, f"the calendar of {symbol}") from error

    def remove(self, series: Series) -> None:
        """See `MarketStore.remove`; what reads the candles meanwhile says that they are gone."""
        folder = folder_of(self.root, series.venue, series.symbol)
        try:
            with exclusive(folder / ".lock"):
                (folder / f"{series.timeframe}.json").unlink(missing_ok=True)
                for file in folder.glob(f"{series.timeframe}-*.*"):
                    file.unlink(missing_ok=True)
                if not any(folder.glob("*.json")):
                    (folder / _CALENDAR).unlink(missing_ok=True)
        except OSError as error:
            raise file_fault(error, f"{series.symbol} {series.timeframe}") from error

    def _write(self, folder: Path, manifest: Path, found: Joined) -> None:
        series = found.series
        write_file(folder / series.file, lambda draft: write_parquet(draft, found.bars))
        self._keep_mark(found.bars, series)
        write_content(manifest, msgspec.json.encode(series))
        for stale in folder.glob(f"{series.timeframe}-*.*"):
            if stale.stem != Path(series.file).stem:
                stale.unlink(missing_ok=True)

    def _mark_file(self, series: Series) -> Path:
        return folder_of(self.root, series.venue, series.symbol) / f"{Path(series.file).stem}.mark"

    def _keep_mark(self, bars: Bars, series: Series) -> None:
        write_content(self._mark_file(series), msgspec.msgpack.encode(series_mark(bars)))

    def _stored(self, manifest: Path, replace: bool) -> Bars | None:
        """What an import joins; None where nothing is, or where it is damaged and may be replaced."""
        try:
            return self.bars(read_manifest(manifest))
        except FileNotFoundError:
            return None
        except Internal:
            if replace:
                return None
            raise

    def bars(self, series: Series) -> Bars:
        """See `MarketStore.bars`."""
        timeframe = series.source or series.timeframe
        path = folder_of(self.root, series.venue, series.symbol) / series.file
        candles = read_parquet(path)
        try:
            bars = Bars.from_arrays(
                candles.timestamp,
                candles.ohlcv,
                symbol=series.symbol,
                timeframe=timeframe,
                venue=series.venue,
                calendar=COUNTED,
            )
        except Invalid as error:
            raise Internal(f"{path} is damaged ({error.message}); import the data again with replace") from error
        if bars.data_hash != series.data_hash and bars.earliest_hash != series.data_hash:
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


def _below(folder: str, name: str | None = None) -> list[str]:
    """Paths of what a folder holds, or of `name` in it; none where there is no such folder."""
    if name is not None:
        return [f"{folder}/{name}"]
    try:
        return [f"{folder}/{found}" for found in os.listdir(folder)]  # noqa: PTH208 - as above
    except (FileNotFoundError, NotADirectoryError):
        return []
