"""A store of candles that no file of the package knows: it keeps them in this process, by its address."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tunesmith.domain.market.bars import Bars
from tunesmith.domain.market.timeframes import timeframe_ms
from tunesmith.protocol.messages.markets import ImportReport
from tunesmith.storage.market.candles import Candles
from tunesmith.storage.market.market_schemes import MARKETS, register_market
from tunesmith.storage.market.market_store import Joined, MarketStore, SeriesMark, joined, series_mark
from tunesmith.storage.market.series import Series

Key = tuple[str, str, str]
SHELVES: dict[str, dict[Key, Joined]] = {}
CALENDARS: dict[str, dict[tuple[str, str], str]] = {}


class Shelf(MarketStore):
    def __init__(self, address: str) -> None:
        self._kept = SHELVES.setdefault(address, {})
        self._calendars = CALENDARS.setdefault(address, {})
        self._lock = threading.Lock()

    def list(self, venue: str | None = None, symbol: str | None = None) -> list[Series]:
        found = [each.series for each in self._kept.values()]
        chosen = [s for s in found if venue in (None, s.venue) and symbol in (None, s.symbol)]
        return sorted(chosen, key=lambda s: (s.venue, s.symbol, timeframe_ms(s.timeframe)))

    def mark(self, series: Series) -> SeriesMark:
        return series_mark(self.bars(series))

    def keep_marks(self, venue: str, symbol: str) -> None:
        """Marks are made when they are asked for."""

    def bars(self, series: Series) -> Bars:
        kept = self._kept[series.venue, series.symbol, series.source or series.timeframe]
        if kept.series.file != series.file:
            raise FileNotFoundError(series.file)
        return kept.bars

    def named_calendar(self, venue: str, symbol: str) -> str | None:
        return self._calendars.get((venue, symbol))

    def keep_calendar(self, venue: str, symbol: str, calendar: str) -> None:
        self._calendars[venue, symbol] = calendar

    def put(self, candles: Candles, symbol: str, timeframe: str, venue: str, replace: bool) -> ImportReport:
        key = venue, symbol, timeframe
        with self._lock:
            stored = self._kept.get(key)
            found = joined(stored and stored.bars, candles, symbol, timeframe, venue, replace=replace)
            if found.report.n_new:
                self._kept[key] = found
        return found.report


@contextmanager
def shelf() -> Iterator[str]:
    """An address of such a store, which is in the table within."""
    register_market("shelf", Shelf)
    try:
        yield "shelf://here/2"
    finally:
        del MARKETS["shelf"]
        SHELVES.clear()
        CALENDARS.clear()
