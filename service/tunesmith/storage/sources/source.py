"""What a source of candles is."""

from __future__ import annotations

from typing import NamedTuple, Protocol

Row = tuple[int, float, float, float, float, float]
"""One bar: its open in UTC milliseconds; open, high, low, close, volume."""


class Market(NamedTuple):
    """A venue's symbol and the length of its bars."""

    venue: str
    symbol: str
    timeframe: str


class Source(Protocol):
    """Candles somewhere else, a page at a time. Calls block: they are for workers and the command line."""

    page_bars: int
    """Bars that one page may hold."""

    empty_is_end: bool
    """Whether an empty page means that nothing follows, and not just a hole as long as the page."""

    def fetch(self, market: Market, start_ms: int, end_ms: int, limit: int) -> list[Row]:
        """The first `limit` bars that open in [start_ms, end_ms), oldest first, as far as the source has them.

        Raises `NotFound` for a market and `Invalid` for a timeframe that it does not have, `Internal` when it does not
        answer or answers nonsense.
        """
        ...
