"""What a decision asks for, worked out: on the in-sample part by whoever searches, on the hold-out by its keeper.

The statistic of every permutation test is the winner's timing Sharpe ratio. On permuted in-sample bars the winner is
whoever the same search finds there; on permuted hold-outs the parameters stay.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunesmith.compute.block_sums import evaluate_blocks
from tunesmith.compute.evaluate import evaluate_points
from tunesmith.compute.library import confirm_segment
from tunesmith.compute.rules.strategy import Strategy
from tunesmith.compute.search import Market, Search, run_whole
from tunesmith.compute.selection import best_of
from tunesmith.compute.split import Split
from tunesmith.compute.statistics.permutation import draw_order, permuted
from tunesmith.compute.statistics.reality_check import reality_check
from tunesmith.domain.bars import Bars
from tunesmith.domain.metrics import METRICS
from tunesmith.domain.search_plan import SearchPlan
from tunesmith.domain.stop_rules import StopRules
from tunesmith.domain.trading import Costs

Point = NDArray[np.float64]

STATISTIC = "timing_sharpe"


@dataclass(frozen=True, eq=False)
class Subject:
    """A winner on its market: the strategy, the plan that found it, and its encoded parameters float64[p]."""

    rule: Strategy
    plan: SearchPlan
    point: Point
    market: Market


def metrics_on(subject: Subject, market: Market) -> dict[str, float]:
    """Every metric of the winner on a market."""
    found = evaluate_points(
        subject.rule,
        market.bars,
        subject.point[np.newaxis],
        market.execution,
        start=market.first,
        metrics=tuple(METRICS),
    )
    return {name: float(values[0]) for name, values in found.items()}


def at_costs(market: Market, factor: float) -> Market:
    """The market with `factor` times its costs."""
    costs = market.execution.costs
    dearer = Costs(
        fee_rate=costs.fee_rate * factor,
        slippage_rate=costs.slippage_rate * factor,
        fixed_fee=costs.fixed_fee * factor,
    )
    return replace(market, execution=replace(market.execution, costs=dearer))


def neighbours(subject: Subject) -> dict[str, Any]:
    """The median statistic of the sets one step beside the winner, and how many there are."""
    search = Search(subject.rule, subject.plan)
    points = search.region.neighbours(subject.point)
    if not len(points):
        return {"n": 0, "median": None}
    market = subject.market
    values = evaluate_points(
        subject.rule, market.bars, points, market.execution, start=market.first, metrics=(STATISTIC,)
    )[STATISTIC]
    return {"n": len(points), "median": float(np.median(np.where(np.isnan(values), -math.inf, values)))}


def check_reality(subject: Subject, points: Point, n_blocks: int, n_draws: int, seed: int) -> dict[str, Any]:
    """The Reality Check over the trials `points` float64[n, p], of which each distinct one counts once."""
    distinct = np.unique(points, axis=0)
    market = subject.market
    sums = evaluate_blocks(subject.rule, market.bars, distinct, market.execution, n_blocks, start=market.first)
    kept = ~np.isnan(sums.returns).any(axis=1)
    p = reality_check(sums.timing[kept], sums.timing_squares[kept], sums.length, n_draws=n_draws, seed=seed)
    return {"p": p, "n_trials": int(kept.sum()), "n_draws": n_draws, "n_blocks": n_blocks}


def search_again(
    subject: Subject, *, seed: int, start: int, stop: int, rules: StopRules | None, frozen_at: int | None
) -> list[float]:
    """The statistic of the winner on the permuted markets `start` to `stop` (exclusive); NaN where there is none.

    The same search, budget, rules and ties; one that time ended makes the number of trials that it made.
    """
    reused = Search(subject.rule, subject.plan)
    found = []
    for index in range(start, stop):
        market = subject.market
        bars = permuted(market.bars, draw_order(len(market.bars), seed, index))
        shuffled = replace(market, bars=bars)
        search = Search(subject.rule, subject.plan) if reused.learns else reused
        outcome = run_whole(search, [shuffled], rules=rules, frozen_at=frozen_at)
        if outcome.best is None:
            found.append(math.nan)
            continue
        winner = replace(subject, point=outcome.found.points[outcome.best])
        found.append(statistic(winner, shuffled))
    return found


def statistic(subject: Subject, market: Market) -> float:
    """The winner's statistic on a market."""
    values = evaluate_points(
        subject.rule,
        market.bars,
        subject.point[np.newaxis],
        market.execution,
        start=market.first,
        metrics=(STATISTIC,),
    )
    return float(values[STATISTIC][0])


def holdout_again(subject: Subject, *, seed: int, start: int, stop: int) -> list[float]:
    """The statistic on the permuted hold-outs `start` to `stop`: bars before the hold-out stay where they are."""
    market = subject.market
    found = []
    for index in range(start, stop):
        order = draw_order(len(market.bars), seed, index, start=market.first)
        found.append(statistic(subject, replace(market, bars=permuted(market.bars, order))))
    return found


def replayed(subject: Subject, bars: Bars, split: Split) -> list[str]:
    """What vectorbt, given the winner's orders on either segment, computes otherwise."""
    return [
        f"{segment}: {line}"
        for segment in ("in_sample", "holdout")
        for line in confirm_segment(subject.rule, bars, subject.point, subject.market.execution, split, segment)
    ]


def best_point(points: Point, scores: NDArray[np.float64], eligible: NDArray[np.bool_]) -> Point | None:
    """The winner among trials; None when none is eligible."""
    at = best_of(scores[:, 0], eligible)
    return None if at is None else points[at]


def faults_of(bars: Bars, names: Sequence[str] = ()) -> list[str]:
    """Irregularities of the bars, in words: gaps that are not the market's own nights."""
    steps = np.diff(bars.timestamp)
    if not len(steps):
        return []
    usual = int(np.median(steps))
    n_gaps = int((steps > 3 * usual).sum())
    around_the_clock = np.mean(steps == usual) > 0.99
    if around_the_clock and n_gaps:
        return [f"{n_gaps} gaps of more than three bars in a market that trades around the clock"]
    return []
