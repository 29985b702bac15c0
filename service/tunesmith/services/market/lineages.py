"""Lineages: one market under all the names that its candles were stored under.

What was looked at under one name was seen under every other: the ledger and the hold-out's boundary count for all.
"""

from __future__ import annotations

import asyncio
import functools

from tunesmith.domain.market.daily_closes import DailyCloses, same_candles
from tunesmith.services.runtime.context import Context
from tunesmith.storage.market.market_store import MarketStore
from tunesmith.storage.market.series import Series

Name = tuple[str, str]
"""Venue and symbol."""

File = tuple[str, str, str]
"""Venue, symbol, and the name of the file that holds the candles."""


async def lineage_of(context: Context, venue: str, symbol: str) -> list[Name]:
    """The market's own name, and after it every other whose daily closes move as its own do where both have any."""
    return await asyncio.to_thread(_akin, context.market, (venue, symbol))


def _akin(market: MarketStore, own: Name) -> list[Name]:
    stored = market.list()
    ours = [series for series in stored if (series.venue, series.symbol) == own]
    found = {own: None}
    for other in stored:
        name = (other.venue, other.symbol)
        if name not in found and any(_same(market, series, other) for series in ours):
            found[name] = None
    return list(found)


def _same(market: MarketStore, one: Series, other: Series) -> bool:
    if one.end_ms <= other.start_ms or other.end_ms <= one.start_ms:
        return False
    first, second = sorted((each.venue, each.symbol, each.file) for each in (one, other))
    try:
        return _compared(market, first, second)
    except FileNotFoundError:
        return False


@functools.lru_cache(maxsize=100_000)
def _compared(market: MarketStore, one: File, other: File) -> bool:
    """By the files' names, which are those of their content. Raises `FileNotFoundError` where closes were not kept."""
    return same_candles(_closes(market, one), _closes(market, other))


@functools.lru_cache(maxsize=256)
def _closes(market: MarketStore, file: File) -> DailyCloses:
    return market.closes(*file)
