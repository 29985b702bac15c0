"""The markets of a verdict in the order of one draw, and what points are worth on them.

Orders come from a secret key, so that nobody can know beforehand which shuffled markets a verdict will ask.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from tunesmith.compute.decision.nulls.counted_search import REAL, Ground
from tunesmith.compute.decision.statistics.permuted_markets import orders_of, permuted
from tunesmith.compute.engines.evaluate import evaluate_points
from tunesmith.compute.rules.strategy import Strategy
from tunesmith.compute.search.search import Market
from tunesmith.compute.search.selection import aggregate_values
from tunesmith.compute.simulation.execution import Execution
from tunesmith.domain.array_types import Flags, Floats
from tunesmith.domain.metrics import TIMING_T, Aggregation
from tunesmith.errors import Internal

LEAST_TRADES = 10
"""A trial with fewer trades on a market is no result."""

_PART = 20_000


class Statistics(NamedTuple):
    """t of n points, float64[n], NaN where undefined; and which of them are results, bool[n].

    A result has a defined t and at least `LEAST_TRADES` trades on every market.
    """

    t: Floats
    counts: Flags


def shuffled_markets(ground: Ground, timeframe: str, draw: int) -> tuple[Market, ...]:
    """The markets of a timeframe in the order of draw number `draw`; `REAL` leaves them as they are.

    All markets of a timeframe move together. Bars before a market's first stay. Raises `Internal` for a timeframe that
    the ground has no bars of.
    """
    if timeframe not in ground.markets:
        raise Internal(f"a search on {timeframe} counts, but the verdict was given no bars of {timeframe}")
    markets = ground.markets[timeframe]
    if draw == REAL:
        return markets
    rng = np.random.Generator(np.random.Philox(key=_seed(ground, timeframe, draw)))
    orders = orders_of([market.bars.timestamp for market in markets], rng, [market.first for market in markets])
    moved = zip(markets, orders, strict=True)
    return tuple(replace(market, bars=permuted(market.bars, order)) for market, order in moved)


def statistics_of_points(
    rule: Strategy, markets: Sequence[Market], execution: Execution, points: Floats, how: Aggregation
) -> Statistics:
    """t of `points` float64[n, p]: the timing Sharpe ratio per bar times the root of the number of bars.

    Of several markets it is one number, as `how` says.
    """
    each = [_on(rule, market, execution, points) for market in markets]
    t = each[0].t if len(each) == 1 else aggregate_values(np.stack([one.t for one in each]), how, "maximize")
    counts = np.logical_and.reduce([one.counts for one in each])
    return Statistics(t, counts & ~np.isnan(t))


def _on(rule: Strategy, market: Market, execution: Execution, points: Floats) -> Statistics:
    names = (TIMING_T, "n_trades")
    parts = [
        evaluate_points(rule, market.bars, points[at : at + _PART], execution, start=market.first, metrics=names)
        for at in range(0, max(len(points), 1), _PART)
    ]
    found = {name: np.concatenate([part[name] for part in parts]) for name in names}
    return Statistics(found[TIMING_T], found["n_trades"] >= LEAST_TRADES)


def _seed(ground: Ground, timeframe: str, draw: int) -> int:
    text = f"draw|{timeframe}|{ground.boundary_ms}|{draw}"
    return int.from_bytes(hmac.new(ground.key, text.encode(), hashlib.sha256).digest()[:16])
