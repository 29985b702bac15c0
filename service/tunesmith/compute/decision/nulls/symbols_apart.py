"""What points are worth on each of several symbols alone, on the draws on which they are the best of all searches."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from tunesmith.compute.decision.nulls.counted_search import CountedSearch, Ground
from tunesmith.compute.decision.nulls.shuffled_ground import shuffled_markets, statistics_of_points
from tunesmith.domain.array_types import Floats


def values_by_symbol(ground: Ground, asked: Iterable[tuple[int, CountedSearch, Floats]]) -> dict[str, Floats]:
    """t of each point float64[p] of a search on its own draw, on each symbol alone: symbol → float64[n], NaN undefined.

    `asked` are the number of a draw, a search and its point. All searches are on one timeframe.
    """
    found: dict[str, list[float]] = {}
    for number, search, point in asked:
        for market in shuffled_markets(ground, search.timeframe, number):
            one = statistics_of_points(search.rule, [market], search.execution, point[np.newaxis], ground.aggregate)
            found.setdefault(market.symbol, []).append(float(one.t[0]))
    return {symbol: np.array(values) for symbol, values in found.items()}
