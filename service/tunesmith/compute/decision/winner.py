"""A search's winner on its markets, and what it earns there: the computations that several checks share.

The statistic of every permutation test is the winner's timing Sharpe ratio.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tunesmith.compute.engines.delayed_fills import fill_later
from tunesmith.compute.engines.evaluate import evaluate_points
from tunesmith.compute.engines.trace import trace
from tunesmith.compute.measures.block_sums import BlockSums, evaluate_blocks
from tunesmith.compute.rules.strategy import Strategy
from tunesmith.compute.search.search import Market, Search, run_whole
from tunesmith.compute.search.selection import aggregate
from tunesmith.domain.array_types import Floats
from tunesmith.domain.metrics import METRICS
from tunesmith.domain.search.search_plan import SearchPlan
from tunesmith.domain.search.stop_rules import StopRules
from tunesmith.domain.trading import Costs
from tunesmith.errors import Internal

Points = Floats
MetricArrays = Mapping[str, Floats]

STATISTIC = "timing_sharpe"
POINTS_AT_A_TIME = 20_000


@dataclass(frozen=True, eq=False)
class Winner:
    """The point that a search chose, float64[p], with the strategy, plan and stop rules that found it, on its markets.

    A search over several markets has `others` too; its winner is judged as the search judged it, by the plan's one
    number from all of them. `frozen_at` is the number of trials at which time ended the search; None where it did not.
    """

    rule: Strategy
    plan: SearchPlan
    point: Points
    market: Market
    stop: StopRules | None = None
    frozen_at: int | None = None
    others: tuple[Market, ...] = ()

    @property
    def markets(self) -> tuple[Market, ...]:
        """Every market of the search, in its order."""
        return (self.market, *self.others)

    def on(self, markets: Sequence[Market]) -> Winner:
        """The same winner on other bars of its markets."""
        return replace(self, market=markets[0], others=tuple(markets[1:]))


def metrics_of(winner: Winner) -> dict[str, float]:
    """Every metric of the winner on its market; of several markets one number each, as the search makes it."""
    found = _on_all(winner, winner.point[np.newaxis], tuple(METRICS))
    return {name: float(values[0]) for name, values in found.items()}


def metrics_by_symbol(winner: Winner) -> dict[str, dict[str, float]]:
    """Every metric of the winner on each of its markets alone."""
    return {market.symbol: metrics_of(winner.on([market])) for market in winner.markets}


def metrics_at_costs(winner: Winner, factor: float) -> dict[str, float]:
    """Every metric of the winner at `factor` times the costs."""
    return metrics_of(winner.on([_at_costs(market, factor) for market in winner.markets]))


def metrics_one_bar_later(winner: Winner) -> dict[str, float]:
    """Total return and statistic of the winner where every order fills one bar later; see `delayed_fills`."""
    each = {}
    for market in winner.markets:
        in_time = trace(winner.rule, market.bars, winner.point, market.execution, start=market.first)
        late = fill_later(in_time, market.bars, market.execution)
        each[market.symbol] = {name: np.array([late.metrics[name]]) for name in ("total_return", STATISTIC)}
    return {name: float(values[0]) for name, values in _as_one(winner, each).items()}


def statistic_of(winner: Winner) -> float:
    """The winner's statistic on its markets."""
    return float(statistics_of(winner, winner.point[np.newaxis])[0])


def statistics_of(winner: Winner, points: Points) -> Floats:
    """The statistic of other `points` float64[n, p] on the winner's markets, float64[n]."""
    return _on_all(winner, points, (STATISTIC,))[STATISTIC]


def statistic_by_symbol(winner: Winner) -> tuple[float, dict[str, float]]:
    """The winner's statistic on all markets together, and on each by its symbol."""
    each = _by_symbol(winner, winner.point[np.newaxis], (STATISTIC,))
    together = _as_one(winner, each)[STATISTIC]
    return float(together[0]), {symbol: float(metrics[STATISTIC][0]) for symbol, metrics in each.items()}


def trials_of(winner: Winner) -> Points:
    """The distinct points of the search, float64[n, p], from making it once more.

    Raises `Internal` where its winner is another than the one that is judged.
    """
    again = run_whole(Search(winner.rule, winner.plan), winner.markets, rules=winner.stop, frozen_at=winner.frozen_at)
    if again.best is None or not np.array_equal(again.found.points[again.best], winner.point):
        raise Internal("the search, made once more, finds another winner than the one that was stored")
    return np.unique(again.found.points, axis=0)


def blocks_of(winner: Winner, points: Points, n_blocks: int) -> Iterator[BlockSums]:
    """Block sums of `points` float64[n, p] on the first market, a part of them at a time."""
    market = winner.market
    for start in range(0, len(points), POINTS_AT_A_TIME):
        part = points[start : start + POINTS_AT_A_TIME]
        yield evaluate_blocks(winner.rule, market.bars, part, market.execution, n_blocks, start=market.first)


def _on_all(winner: Winner, points: Points, names: tuple[str, ...]) -> MetricArrays:
    """Metrics of `points` float64[n, p], float64[n] each; of several markets one number, as the search makes it."""
    return _as_one(winner, _by_symbol(winner, points, names))


def _by_symbol(winner: Winner, points: Points, names: tuple[str, ...]) -> dict[str, MetricArrays]:
    return {
        market.symbol: evaluate_points(
            winner.rule, market.bars, points, market.execution, start=market.first, metrics=names
        )
        for market in winner.markets
    }


def _as_one(winner: Winner, each: Mapping[str, MetricArrays]) -> MetricArrays:
    return aggregate(each, winner.plan.aggregate) if len(each) > 1 else next(iter(each.values()))


def _at_costs(market: Market, factor: float) -> Market:
    costs = market.execution.costs
    dearer = Costs(
        fee_rate=costs.fee_rate * factor,
        slippage_rate=costs.slippage_rate * factor,
        fixed_fee=costs.fixed_fee * factor,
    )
    return replace(market, execution=replace(market.execution, costs=dearer))
