"""What points earn in the same stretches of time on the real bars: how those of two timeframes are told to be related.

Draws of different timeframes are independent of one another, so that statistics on these cannot tell it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tunesmith.compute.measures.block_sums import evaluate_blocks
from tunesmith.compute.rules.strategy import Strategy
from tunesmith.compute.search.search import Market
from tunesmith.compute.simulation.execution import Execution
from tunesmith.domain.array_types import Floats

_MOST_BLOCKS = 250
_LEAST_BARS = 2


def real_blocks(
    rule: Strategy, execution: Execution, points: Floats, markets: Sequence[Market], beside: Sequence[Market]
) -> Floats:
    """Sums of the timing returns of `points` float64[n, p] over stretches of time, those of all markets in a row.

    float64[n, m]; 0 for points that break a condition. `beside` are the same markets in another timeframe: for both
    there are the same stretches, whichever of them the points are of.
    """
    found = []
    for market, other in zip(markets, beside, strict=True):
        start, end = _common(market, other)
        n_blocks = min(_MOST_BLOCKS, min(_n_between(each, start, end) for each in (market, other)) // _LEAST_BARS)
        if n_blocks > 0:
            bars = market.bars.slice(0, market.bars.index_at(end))
            sums = evaluate_blocks(rule, bars, points, execution, n_blocks, start=bars.index_at(start))
            found.append(np.nan_to_num(sums.timing, nan=0.0))
    return np.concatenate([np.empty((len(points), 0)), *found], axis=1)


def _common(market: Market, other: Market) -> tuple[int, int]:
    """The time, UTC milliseconds, that both markets have bars of."""
    firsts = [int(each.bars.timestamp[min(each.first, len(each.bars) - 1)]) for each in (market, other)]
    return max(firsts), min(market.bars.end_ms, other.bars.end_ms)


def _n_between(market: Market, start_ms: int, end_ms: int) -> int:
    return max(0, market.bars.index_at(end_ms) - market.bars.index_at(start_ms))
