"""What a search that was made finds on a permuted market: one number a draw, the largest t of its eligible trials.

t is the timing Sharpe ratio per bar times √n. The maximum is over all trials, whatever the search's target, as users
sort results by any metric and ask for the verdict on what stands first.

A search that came after visible results of the same strategy follows the winner of the permuted market (see `frame`).
Methods that learn are replaced by every point of their ranges, where these can be listed: whatever a method tries is
among them, so the null is never too small, whichever target, seed or stop rule it had.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tunesmith.compute.decision.nulls.frame import Frame, Point, frame_of
from tunesmith.compute.engines.evaluate import evaluate_points
from tunesmith.compute.rules.strategy import Strategy
from tunesmith.compute.search.feasible_space import Region
from tunesmith.compute.search.problem import region_of
from tunesmith.compute.search.search import Market, Search, run_whole
from tunesmith.compute.search.selection import aggregate, eligible
from tunesmith.domain.search.methods import LEARNING
from tunesmith.domain.search.search_plan import SearchPlan

REACH = 20_000
"""A learning method whose ranges hold at most so many points is replaced by all of them."""

STATISTIC = "timing_sharpe"
_HALVES = (2.0, 4.0)
_PART = 20_000


@dataclass(frozen=True, eq=False)
class CountedSearch:
    """A search that was made, as its null needs it.

    `n_made` trials were made, whatever ended it. `listed` float64[n, p] are single backtests, pooled; of searches the
    points follow from the plan. `seen` are the searches whose results its owner could see when it began, of any
    strategy. `best_point` and `best_t` are its best eligible trial on the real market; None and -inf where none was.
    """

    search_id: str
    rule: Strategy
    plan: SearchPlan
    n_made: int
    listed: Point | None = None
    seen: frozenset[str] = frozenset()
    best_point: Point | None = None
    best_t: float = -math.inf

    @cached_property
    def region(self) -> Region:
        """Where it searched."""
        return region_of(self.rule, self.plan)

    @cached_property
    def points(self) -> Point | None:
        """The points that stand for its trials, float64[n, p]; None where the method must be run again on each draw."""
        if self.listed is not None:
            return self.listed
        if self.plan.method not in LEARNING:
            sampler = Search(self.rule, self.plan).sampler
            return np.unique(sampler.ask(0, min(self.n_made, sampler.n_trials)), axis=0)
        if self.region.is_discrete and self.region.size.exact and self.region.size.n <= REACH:
            return self.region.points_at(np.arange(self.region.n_cells))
        return None

    @property
    def is_same_strategy(self) -> str:
        """What two searches must share for one to follow the other."""
        return self.rule.code

    @property
    def price(self) -> int:
        """How many evaluations one draw takes, roughly."""
        return len(self.points) if self.points is not None else 20 * self.n_made


@dataclass(frozen=True, eq=False)
class Finding:
    """What a search finds on one permuted market: the largest t of its eligible trials, and the point that has it."""

    t: float
    point: Point | None


NOTHING = Finding(-math.inf, None)


@dataclass
class Draw:
    """One permuted market and what the searches of a lineage find on it, each made once.

    `markets` are those that the verdict asks about, with their bars in the order of this draw, for each search's own
    timeframe and execution.
    """

    findings: dict[str, Finding] = field(default_factory=dict)

    def find(self, search: CountedSearch, before: Mapping[str, CountedSearch], markets: Sequence[Market]) -> Finding:
        """The finding of `search`; `before` has every search that it may follow, and their findings must be there."""
        known = self.findings.get(search.search_id)
        if known is None:
            leaders = [before[name] for name in sorted(search.seen) if name in before and _leads(before[name], search)]
            known = self.findings[search.search_id] = find(search, markets, self._lead(search, leaders))
        return known

    def _lead(self, search: CountedSearch, leaders: Sequence[CountedSearch]) -> Lead | None:
        real = max(leaders, key=lambda each: each.best_t, default=None)
        if real is None or real.best_point is None:
            return None
        found = max((self.findings[each.search_id] for each in leaders), key=lambda each: each.t)
        if found.point is None:
            return None
        spaces = [each.region.space for each in (*leaders, search)]
        return Lead(frame_of(search.rule.parameters, spaces), found.point, real.best_point)


@dataclass(frozen=True, eq=False)
class Lead:
    """What a search follows: the best point found so far on this draw, where the real one was `real`."""

    frame: Frame
    found: Point
    real: Point

    def follow(self, points: Point, region: Region) -> Point:
        """`points` moved as the winner moved; rows that would break a condition move half as far, a quarter, or stay."""
        by = self.frame.shift(self.found, self.real, self.frame.box([region.space]))
        moved = self.frame.moved(points, by, self.found, self.real)
        for part in _HALVES:
            broken = ~region.valid(moved)
            if not broken.any():
                return moved
            shorter = np.trunc(by / part)
            moved[broken] = self.frame.moved(points[broken], shorter, self.found, self.real)
        broken = ~region.valid(moved)
        moved[broken] = points[broken]
        return moved


def find(search: CountedSearch, markets: Sequence[Market], lead: Lead | None = None) -> Finding:
    """What `search` finds on these markets; on permuted ones with the `lead` that it follows there, if any."""
    points = search.points
    if points is None:
        return _run_again(search, markets)
    if lead is not None:
        points = np.unique(lead.follow(points, search.region), axis=0)
    t = largest_t(search, markets, points)
    if not len(t) or np.isnan(t).all():
        return NOTHING
    best = int(np.nanargmax(t))
    return Finding(float(t[best]), points[best])


def largest_t(search: CountedSearch, markets: Sequence[Market], points: Point) -> NDArray[np.float64]:
    """t of each of `points` float64[n, p], float64[n]; NaN where it is undefined or a bound is broken."""
    names = (STATISTIC, *dict.fromkeys(bound.metric for bound in search.plan.bounds))
    parts = []
    for start in range(0, len(points), _PART):
        part = points[start : start + _PART]
        each = {
            market.symbol: evaluate_points(
                search.rule, market.bars, part, market.execution, start=market.first, metrics=names
            )
            for market in markets
        }
        metrics = aggregate(each, search.plan.aggregate) if len(each) > 1 else next(iter(each.values()))
        t = metrics[STATISTIC] * scale_of(markets)
        parts.append(np.where(eligible(metrics, search.plan.bounds), t, np.nan))
    return np.concatenate(parts) if parts else np.empty(0)


def scale_of(markets: Sequence[Market]) -> float:
    """What makes t of an annual timing Sharpe ratio: √(bars / bars a year) of the shortest market."""
    return math.sqrt(min((len(m.bars) - m.first) / m.bars.bars_per_year for m in markets))


def _leads(earlier: CountedSearch, search: CountedSearch) -> bool:
    return earlier.is_same_strategy == search.is_same_strategy and earlier.search_id != search.search_id


def _run_again(search: CountedSearch, markets: Sequence[Market]) -> Finding:
    """The method itself on these markets, for as many trials as were made; only where its reach cannot be listed."""
    plan = search.plan
    again = Search(search.rule, plan)
    outcome = run_whole(again, markets, frozen_at=search.n_made)
    made = outcome.found.points[: search.n_made]
    t = largest_t(search, markets, np.unique(made, axis=0)) if len(made) else np.empty(0)
    if not len(t) or np.isnan(t).all():
        return NOTHING
    points = np.unique(made, axis=0)
    best = int(np.nanargmax(t))
    return Finding(float(t[best]), points[best])


def measured(search: CountedSearch, markets: Sequence[Market]) -> CountedSearch:
    """`search` with its best eligible trial on the real markets."""
    found = find(search, markets)
    return replace(search, best_point=found.point, best_t=found.t)
