"""Related markets: their daily returns go with a market's own, so that what is found on one says much of the other.

Measured (tests/simulations/decision, §10.5): the best rule of a search on one market, asked for on another as one
point, is approved too often from a correlation of about .7 on.
"""

from __future__ import annotations

import asyncio
import functools

from tunesmith.domain.market.daily_closes import daily_correlation
from tunesmith.domain.market.timeframes import UNIT_MS
from tunesmith.services.market.market_windows import File, Name, closes_of
from tunesmith.services.runtime.context import Context
from tunesmith.storage.market.market_store import MarketStore

RELATED = 0.7
"""The least size of a correlation of daily returns, of either sign, that makes two markets related."""


async def related_to(context: Context, venue: str, symbol: str, boundary_ms: int) -> list[Name]:
    """Every other stored market whose daily returns before `boundary_ms` correlate with the market's own.

    The market under other names is among them. The hold-out is not looked at.
    """
    return await asyncio.to_thread(_related, context.market, (venue, symbol), boundary_ms)


def _related(market: MarketStore, own: Name, boundary_ms: int) -> list[Name]:
    files = [((series.venue, series.symbol), (series.venue, series.symbol, series.file)) for series in market.list()]
    ours = [file for name, file in files if name == own]
    found: dict[Name, None] = {}
    for name, file in files:
        if name != own and name not in found and any(_go_together(market, each, file, boundary_ms) for each in ours):
            found[name] = None
    return list(found)


def _go_together(market: MarketStore, one: File, other: File, boundary_ms: int) -> bool:
    first, second = sorted((one, other))
    try:
        return abs(_correlation(market, first, second, boundary_ms)) >= RELATED
    except FileNotFoundError:
        return False


@functools.lru_cache(maxsize=100_000)
def _correlation(market: MarketStore, one: File, other: File, boundary_ms: int) -> float:
    """By the files' names, which are those of their content. Raises `FileNotFoundError` where closes were not kept."""
    until_day = boundary_ms // UNIT_MS["d"]  # the day within which the hold-out begins ends in it
    return daily_correlation(closes_of(market, one), closes_of(market, other), until_day)
