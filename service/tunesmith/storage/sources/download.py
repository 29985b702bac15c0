"""From a source into the market store, page by page, going on where an earlier download stopped.

What is stored stays one stretch without holes of our making: newer bars are stored as they come, a few pages at a time;
older ones in blocks from the newest back, each when it is whole. So a download may be interrupted at any time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from tunesmith.domain.market.timeframes import timeframe_ms
from tunesmith.errors import Invalid, TooLarge
from tunesmith.storage.market.market_store import MarketStore
from tunesmith.storage.market.series import Series, check_names
from tunesmith.storage.sources.source import Market, Row, Source

BLOCK_BARS = 20_000


class Progress(NamedTuple):
    """How far a download is: bars received, and the share of the span that is behind it (0 to 1)."""

    n_bars: int
    share: float


Say = Callable[[Progress], None]


def download(
    source: Source, store: MarketStore, market: Market, span: tuple[int | None, int], say: Say | None = None
) -> int:
    """Store what `source` has in `span` and the store has not; the number of new bars.

    `span` is [start, end) in UTC milliseconds; without a start it goes on at the end of what is stored. Only bars that
    close by `end` are taken. Raises `Invalid` where neither a start is named nor anything is stored, or for unsound
    candles, and what the source raises; what came before is stored then.
    """
    check_names(*market)
    stored = next((s for s in store.list(market.venue, market.symbol) if s.timeframe == market.timeframe), None)
    parts = missing(stored, *span)
    total = sum(stop - start for start, stop in parts)
    behind = n_new = 0
    for start, stop in parts:
        pages = _Pages(source, market, say or _say_nothing, (behind, total, n_new))
        older = stored is not None and stop <= stored.start_ms
        for rows in pages.back(start, stop) if older else pages.forward(start, stop):
            n_new += _store(store, market, rows)
        behind += stop - start
    return n_new


def missing(stored: Series | None, start_ms: int | None, end_ms: int) -> list[tuple[int, int]]:
    """The spans of [start_ms, end_ms) outside of what is stored, the newer one first; they touch what is stored."""
    if stored is None:
        if start_ms is None:
            raise Invalid("nothing is stored yet of this market; say where to start")
        return [(start_ms, end_ms)] if start_ms < end_ms else []
    parts = []
    if end_ms > stored.end_ms:
        parts.append((stored.end_ms, end_ms))
    if start_ms is not None and start_ms < stored.start_ms:
        parts.append((start_ms, stored.start_ms))
    return parts


class _Pages:
    """The pages of one span, gathered to what is worth storing."""

    def __init__(self, source: Source, market: Market, say: Say, done: tuple[int, int, int]) -> None:
        self._source, self._market, self._say = source, market, say
        self._behind, self._total, self._n_bars = done
        self._length = timeframe_ms(market.timeframe)

    def forward(self, start: int, stop: int) -> Iterator[list[Row]]:
        gathered: list[Row] = []
        try:
            for rows, reached in self._pages(start, stop):
                gathered += rows
                self._tell(len(rows), reached - start)
                if len(gathered) >= BLOCK_BARS:
                    whole, gathered = gathered, []
                    yield whole
        except BaseException:
            if gathered:
                yield gathered
            raise
        if gathered:
            yield gathered

    def back(self, start: int, stop: int) -> Iterator[list[Row]]:
        while stop > start:
            first = max(start, stop - BLOCK_BARS * self._length)
            rows = [row for page, _ in self._pages(first, stop) for row in page]
            if not rows:
                return
            yield rows
            stop = first
            self._tell(len(rows), stop - start)

    def _pages(self, start: int, stop: int) -> Iterator[tuple[list[Row], int]]:
        """Each page with the time that it reached."""
        source, market = self._source, self._market
        while start + self._length <= stop:
            page = source.fetch(market, start, stop, source.page_bars)
            if len(page) > 10 * source.page_bars:
                raise TooLarge(
                    f"{market.symbol}: the source sent {len(page):,} bars where {source.page_bars:,} were asked for"
                )
            rows = [row for row in page if start <= row[0] and row[0] + self._length <= stop]
            if not rows and (page or source.empty_is_end):
                return
            start = rows[-1][0] + self._length if rows else start + source.page_bars * self._length
            yield rows, min(start, stop)

    def _tell(self, n_bars: int, way_ms: int) -> None:
        self._n_bars += n_bars
        self._say(Progress(self._n_bars, min(1.0, (self._behind + way_ms) / self._total)))


def _store(store: MarketStore, market: Market, rows: list[Row]) -> int:
    report = store.import_rows(rows, symbol=market.symbol, timeframe=market.timeframe, venue=market.venue)
    return report.n_new


def _say_nothing(progress: Progress) -> None:
    """Nobody looks."""
