"""What a decision asks for, worked out: on the in-sample part by whoever searches, on the hold-out by its keeper.

The statistic of every permutation test is the winner's timing Sharpe ratio. On permuted in-sample bars the winner is
whoever the same search finds there; on permuted hold-outs the parameters stay.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunesmith.compute.decision.statistics.permuted_markets import draw_orders, permuted
from tunesmith.compute.decision.statistics.reality_check import reality_check
from tunesmith.compute.engines.evaluate import evaluate_points
from tunesmith.compute.measures.block_sums import BlockSums, evaluate_blocks
from tunesmith.compute.rules.strategy import Strategy
from tunesmith.compute.search.search import Market, Search, run_whole
from tunesmith.compute.search.selection import aggregate
from tunesmith.domain.market.bars import Bars
from tunesmith.domain.metrics import METRICS
from tunesmith.domain.search.search_plan import SearchPlan
from tunesmith.domain.search.stop_rules import StopRules
from tunesmith.domain.trading import Costs
from tunesmith.errors import Internal

Point = NDArray[np.float64]
Metrics = Mapping[str, NDArray[np.float64]]

TOGETHER = ""
"""The column of draws that decides: the one number of all markets."""

Draws = dict[str, list[float]]
"""Statistics of permuted markets in their order: in the column `TOGETHER`, and of several markets in one by symbol."""

STATISTIC = "timing_sharpe"
_TILE = 20_000
_SHORT_GAP = 3


@dataclass(frozen=True, eq=False)
class Subject:
    """A winner on a market: the strategy, the plan and the rules that found it, its encoded parameters float64[p].

    A search over several markets has `others` too; its winner is judged as the search judged it, by the plan's one
    number from all of them. `frozen_at` is the number of trials at which time ended the search; None where it did not.
    """

    rule: Strategy
    plan: SearchPlan
    point: Point
    market: Market
    stop: StopRules | None = None
    frozen_at: int | None = None
    others: tuple[Market, ...] = ()

    @property
    def markets(self) -> tuple[Market, ...]:
        """Every market of the search, in its order."""
        return (self.market, *self.others)

    def on(self, markets: Sequence[Market]) -> Subject:
        """The same winner on other bars of its markets."""
        return replace(self, market=markets[0], others=tuple(markets[1:]))


def metrics_of(subject: Subject) -> dict[str, float]:
    """Every metric of the winner on its market; of several markets one number each, as the search makes it."""
    return _evaluated(subject, tuple(METRICS))


def metrics_by_symbol(subject: Subject) -> dict[str, dict[str, float]]:
    """Every metric of the winner on each of its markets alone."""
    return {market.symbol: metrics_of(subject.on([market])) for market in subject.markets}


def metrics_at_costs(subject: Subject, factor: float) -> dict[str, float]:
    """Every metric of the winner at `factor` times the costs."""
    return metrics_of(subject.on([_at_costs(market, factor) for market in subject.markets]))


def neighbours_of(subject: Subject) -> dict[str, Any]:
    """The median statistic of the sets one step beside the winner, and how many there are."""
    points = Search(subject.rule, subject.plan).region.neighbours(subject.point)
    if not len(points):
        return {"n": 0, "median": None}
    values = _statistics(subject, points)
    median = float(np.median(np.where(np.isnan(values), -math.inf, values)))
    return {"n": len(points), "median": median if math.isfinite(median) else None}


def check_reality(subject: Subject, n_blocks: int, n_draws: int, seed: int) -> dict[str, Any]:
    """The Reality Check over the distinct trials of the search, which is made once more.

    Raises `Internal` where its winner is another than the one that is judged.
    """
    points = trials_of(subject)
    p = reality_check(_pooled(subject, points, n_blocks), n_draws=n_draws, seed=seed)
    return {"p": p, "n_trials": len(points), "n_draws": n_draws, "n_blocks": n_blocks, "seed": seed}


def trials_of(subject: Subject) -> Point:
    """The distinct points of the search, float64[n, p], from making it once more."""
    again = run_whole(
        Search(subject.rule, subject.plan), subject.markets, rules=subject.stop, frozen_at=subject.frozen_at
    )
    if again.best is None or not np.array_equal(again.found.points[again.best], subject.point):
        raise Internal("the search, made once more, finds another winner than the one that was stored")
    return np.unique(again.found.points, axis=0)


def blocks_of(subject: Subject, points: Point, n_blocks: int) -> Iterator[BlockSums]:
    """Block sums of `points` float64[n, p] on the first market, a part of them at a time."""
    market = subject.market
    for start in range(0, len(points), _TILE):
        part = points[start : start + _TILE]
        yield evaluate_blocks(subject.rule, market.bars, part, market.execution, n_blocks, start=market.first)


def search_again(subject: Subject, *, seed: int, start: int, stop: int) -> list[float]:
    """What `draw_searches` finds of all markets together."""
    return draw_searches(subject, seed=seed, start=start, stop=stop)[TOGETHER]


def draw_searches(subject: Subject, *, seed: int, start: int, stop: int) -> Draws:
    """The statistics of the winner on the permuted markets `start` to `stop` (exclusive); NaN where there is none.

    The same search, budget, rules and ties; one that time ended makes the number of trials that it made.
    """
    once = Search(subject.rule, subject.plan)
    found = []
    for index in range(start, stop):
        shuffled = _shuffled(subject, seed, index, [1] * len(subject.markets))
        search = Search(subject.rule, subject.plan) if once.learns else once
        outcome = run_whole(search, shuffled.markets, rules=subject.stop, frozen_at=subject.frozen_at)
        if outcome.best is None:
            found.append(dict.fromkeys(_columns(subject), math.nan))
        else:
            found.append(_drawn(replace(shuffled, point=outcome.found.points[outcome.best])))
    return _stacked(subject, found)


def holdout_again(subject: Subject, *, seed: int, start: int, stop: int) -> list[float]:
    """What `draw_holdouts` finds of all markets together."""
    return draw_holdouts(subject, seed=seed, start=start, stop=stop)[TOGETHER]


def draw_holdouts(subject: Subject, *, seed: int, start: int, stop: int) -> Draws:
    """The statistics on the permuted hold-outs `start` to `stop`, with the parameters as they are.

    Bars before the hold-out, where each market's `first` is, stay where they are.
    """
    starts = [market.first for market in subject.markets]
    found = [_drawn(_shuffled(subject, seed, index, starts)) for index in range(start, stop)]
    return _stacked(subject, found)


def statistic_of(subject: Subject) -> float:
    """The winner's statistic on its market."""
    return float(_statistics(subject, subject.point[np.newaxis])[0])


def faults_of(bars: Bars, first: int) -> list[str]:
    """Irregularities of the bars from `first` on, in words: gaps in a market that trades around the clock."""
    steps = np.diff(bars.timestamp[first:])
    if not len(steps):
        return []
    usual = int(np.median(steps))
    n_gaps = int((steps > _SHORT_GAP * usual).sum())
    around_the_clock = float(np.mean(steps == usual)) > 0.99
    if around_the_clock and n_gaps:
        return [f"{n_gaps} gaps of more than {_SHORT_GAP} bars in a market that trades around the clock: fill them"]
    return []


def _columns(subject: Subject) -> list[str]:
    return [TOGETHER, *(market.symbol for market in subject.markets if subject.others)]


def _drawn(subject: Subject) -> dict[str, float]:
    """The statistic of one draw, and of several markets that of each."""
    each = _by_symbol(subject, subject.point[np.newaxis], (STATISTIC,))
    together = _as_one(subject, each)[STATISTIC]
    apart = {symbol: float(metrics[STATISTIC][0]) for symbol, metrics in each.items()} if subject.others else {}
    return {TOGETHER: float(together[0]), **apart}


def _stacked(subject: Subject, drawn: Sequence[Mapping[str, float]]) -> Draws:
    return {symbol: [each[symbol] for each in drawn] for symbol in _columns(subject)}


def _shuffled(subject: Subject, seed: int, index: int, starts: Sequence[int]) -> Subject:
    """The winner's markets in permutation `index`; several move together."""
    orders = draw_orders([market.bars.timestamp for market in subject.markets], seed, index, starts)
    moved = zip(subject.markets, orders, strict=True)
    return subject.on([replace(market, bars=permuted(market.bars, order)) for market, order in moved])


def _pooled(
    subject: Subject, points: Point, n_blocks: int
) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64], int]]:
    """Block sums of the timing returns and of their squares, and a block's bars, for the Reality Check.

    Those of several markets are added up, each in units of its market's deviation, so that none drowns the others.
    """
    for start in range(0, len(points), _TILE):
        parts = [
            next(blocks_of(subject.on([market]), points[start : start + _TILE], n_blocks)) for market in subject.markets
        ]
        if len(parts) == 1:
            yield parts[0].timing, parts[0].timing_squares, parts[0].length
            continue
        variances = [part.market_squares.sum() / (part.length * n_blocks) for part in parts]
        units = [1.0 / variance if variance > 0.0 else 0.0 for variance in variances]
        sums = [part.timing * math.sqrt(unit) for part, unit in zip(parts, units, strict=True)]
        squares = [part.timing_squares * unit for part, unit in zip(parts, units, strict=True)]
        yield np.sum(sums, axis=0), np.sum(squares, axis=0), sum(part.length for part in parts)


def _statistics(subject: Subject, points: Point) -> NDArray[np.float64]:
    return _on_all(subject, points, (STATISTIC,))[STATISTIC]


def _evaluated(subject: Subject, names: tuple[str, ...]) -> dict[str, float]:
    found = _on_all(subject, subject.point[np.newaxis], names)
    return {name: float(values[0]) for name, values in found.items()}


def _on_all(subject: Subject, points: Point, names: tuple[str, ...]) -> Metrics:
    """Metrics of `points` float64[n, p], float64[n] each; of several markets one number, as the search makes it."""
    return _as_one(subject, _by_symbol(subject, points, names))


def _by_symbol(subject: Subject, points: Point, names: tuple[str, ...]) -> dict[str, Metrics]:
    return {
        market.symbol: evaluate_points(
            subject.rule, market.bars, points, market.execution, start=market.first, metrics=names
        )
        for market in subject.markets
    }


def _as_one(subject: Subject, each: Mapping[str, Metrics]) -> Metrics:
    return aggregate(each, subject.plan.aggregate) if len(each) > 1 else next(iter(each.values()))


def _at_costs(market: Market, factor: float) -> Market:
    costs = market.execution.costs
    dearer = Costs(
        fee_rate=costs.fee_rate * factor,
        slippage_rate=costs.slippage_rate * factor,
        fixed_fee=costs.fixed_fee * factor,
    )
    return replace(market, execution=replace(market.execution, costs=dearer))
