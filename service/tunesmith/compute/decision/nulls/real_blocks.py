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
        n_blocks, start_ms, end_ms = _stretches(market, other)
        if n_blocks > 0:
            bars = market.bars.slice(0, market.bars.index_at(end_ms))
            sums = evaluate_blocks(rule, bars, points, execution, n_blocks, start=bars.index_at(start_ms))
            found.append(np.nan_to_num(sums.timing, nan=0.0))
    return np.concatenate([np.empty((len(points), 0)), *found], axis=1)


def _stretches(market: Market, other: Market) -> tuple[int, int, int]:
    """How many stretches both markets have bars of, and the time from where to where, UTC milliseconds.

    They are of equally many bars of the longer timeframe, the last one ends where the bars end. Of the shorter one
    equally many bars are in each as well, up to gaps.
    """
    firsts = [int(each.bars.timestamp[min(each.first, len(each.bars) - 1)]) for each in (market, other)]
    start_ms, end_ms = max(firsts), min(market.bars.end_ms, other.bars.end_ms)
    spans = [each.bars.timestamp[each.bars.index_at(start_ms) : each.bars.index_at(end_ms)] for each in (market, other)]
    longer = min(spans, key=len)
    length = max(_LEAST_BARS, -(-len(longer) // _MOST_BLOCKS))
    n_blocks = len(longer) // length
    return n_blocks, int(longer[len(longer) - n_blocks * length]) if n_blocks else start_ms, end_ms
