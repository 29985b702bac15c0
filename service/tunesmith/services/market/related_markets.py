"""Related markets: their daily returns go with a market's own, so that what is found on one says much of the other.

Measured (tests/simulations/decision, §10.5): the best rule of a search on one market, asked for on another as one
point, is approved too often from a correlation of about .7 on.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tunesmith.domain.market.daily_closes import DailyCloses, daily_correlation
from tunesmith.domain.market.timeframes import UNIT_MS
from tunesmith.services.runtime.context import Context
from tunesmith.storage.tables import market_table
from tunesmith.storage.tables.holdout_table import Name
from tunesmith.storage.tables.market_table import Closes

RELATED = 0.7
"""The least size of a correlation of daily returns, of either sign, that makes two markets related."""

_MOST_KNOWN = 100_000
_known: dict[tuple[frozenset[tuple[str, str]], int], float] = {}
"""Correlations by what was correlated: hashes of content, so that they hold in every database."""


async def related_to(context: Context, venue: str, symbol: str, boundary_ms: int) -> list[Name]:
    """Every other market that was worked on whose daily returns before `boundary_ms` correlate with the market's own.

    Markets whose candles were replaced or removed are among them, and the market under other names. The hold-out is not
    looked at.
    """
    marked = await market_table.closes(context.database)
    return await context.aside.run(lambda: _related(marked, (venue, symbol), boundary_ms))


def _related(marked: Sequence[Closes], own: Name, boundary_ms: int) -> list[Name]:
    until_day = boundary_ms // UNIT_MS["d"]  # the day within which the hold-out begins ends in it
    ours = [each for each in marked if (each.venue, each.symbol) == own]
    found: dict[Name, None] = {}
    for other in marked:
        name = other.venue, other.symbol
        if name != own and name not in found and any(_go_together(each, other, until_day) for each in ours):
            found[name] = None
    return list(found)


def _go_together(one: Closes, other: Closes, until_day: int) -> bool:
    key = frozenset([(one.data_hash, one.timeframe), (other.data_hash, other.timeframe)]), until_day
    if key not in _known:
        if len(_known) >= _MOST_KNOWN:
            _known.clear()
        _known[key] = daily_correlation(_unpacked(one.closes), _unpacked(other.closes), until_day)
    return abs(_known[key]) >= RELATED


def _unpacked(closes: bytes) -> DailyCloses:
    return np.frombuffer(closes, np.float64).reshape(2, -1)
