"""Series: what is known of stored candles without reading them. Each has a small JSON file, its manifest."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec

from tunesmith.domain.market.timeframes import instant_at, timeframe_ms
from tunesmith.domain.names import Symbol, Timeframe, Venue
from tunesmith.errors import Internal, Invalid
from tunesmith.storage.timestamps import milliseconds


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """The stored candles of a venue, symbol and timeframe.

    They span [start_ms, end_ms), UTC milliseconds, from the first bar's open to the last bar's close. `gaps` lists the
    first of `n_gaps` as {from, to, missing}: the opens of the first and last missing bar, and their number. For candles
    that are yet to be made of shorter ones `source` is the stored timeframe, `n_bars` the most there can be, and
    `data_hash` the source's. `calendar` is the one that was recognized at import; None where an older version imported.
    """

    venue: str
    symbol: str
    timeframe: str
    start_ms: int
    end_ms: int
    n_bars: int
    n_gaps: int
    gaps: list[dict[str, Any]]
    data_hash: str
    file: str
    imported_at: str
    source: str | None = None
    calendar: str | None = None

    def time_at(self, share: float) -> int:
        """The open of the bar at `share` (0 to 1) of the span, UTC milliseconds."""
        return instant_at(share, self.start_ms, self.end_ms, self.timeframe)

    def n_bars_from(self, time_ms: int) -> int:
        """How many bars open at `time_ms` (UTC milliseconds) or later, as far as that is known without reading them.

        Gaps that are not listed count as if they lay evenly.
        """
        length = timeframe_ms(self.timeframe)
        begin = max(time_ms, self.start_ms)
        n_slots = max(0, (self.end_ms - begin) // length)
        if self.n_gaps > len(self.gaps):
            return int(n_slots * self.n_bars / max(1, (self.end_ms - self.start_ms) // length))
        for gap in self.gaps:
            first, last = milliseconds(gap["from"]), milliseconds(gap["to"])
            n_slots -= max(0, (last - max(first, begin)) // length + 1)
        return n_slots


@functools.lru_cache(maxsize=1024)
def check_names(venue: str, symbol: str, timeframe: str) -> None:
    """Raises `Invalid` for a name that is not what the wire allows either; a checked symbol may name a folder."""
    for value, kind, path in (
        (venue, Venue, "/data/venue"),
        (symbol, Symbol, "/data/symbol"),
        (timeframe, Timeframe, "/data/timeframe"),
    ):
        try:
            msgspec.convert(value, kind)
        except msgspec.ValidationError:
            raise Invalid(f"{value[:40]!r} is no {path.rpartition('/')[2]}", path=path) from None


def folder_of(root: Path, venue: str, symbol: str) -> Path:
    """The folder of a checked venue and symbol: one level each, whatever characters they have."""
    return root / venue / quote_symbol(symbol)


@functools.lru_cache(maxsize=1024)
def quote_symbol(symbol: str) -> str:
    """A checked symbol as the name of one folder."""
    return quote(symbol, safe="")


def read_manifest(path: Path) -> Series:
    """The series in a manifest; raises `FileNotFoundError`, and `Internal` when it is damaged."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Series)
    except msgspec.DecodeError as error:
        raise Internal(f"{path} is damaged ({error}); import the data again with replace") from error
