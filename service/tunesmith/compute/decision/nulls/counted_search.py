"""A search that was made, as its null needs it: which points stand for its trials, and on which markets they are tried.

The maximum over a search's trials is taken whatever its target was, as users sort results by any metric and ask for the
verdict on what stands first. A method that learns is replaced by every point of its ranges where these can be listed:
whatever it tries is among them, so that the null is never too small, whichever target, seed or stop rule it had. Where
they cannot be listed, the method is made again on each shuffled market (see `remade_search`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from tunesmith.compute.decision.nulls.frame import Uses, uses_of_points
from tunesmith.compute.rules.strategy import Strategy
from tunesmith.compute.search.feasible_space import Region
from tunesmith.compute.search.problem import problem_of, region_of
from tunesmith.compute.search.samplers import SAMPLERS, make_sampler
from tunesmith.compute.search.search import Market
from tunesmith.compute.simulation.execution import Execution
from tunesmith.domain.array_types import Flags, Floats
from tunesmith.domain.dimension import Dimension
from tunesmith.domain.metrics import Aggregation
from tunesmith.domain.search.search_plan import SearchPlan
from tunesmith.domain.trading import OWN_ENGINE

REAL = -1
"""Number of the draw that is none: the bars in their own order."""

REACH = 20_000
"""A learning method whose ranges hold at most so many points is replaced by all of them."""

_FAR_REACH = 200_000
"""One whose ranges hold up to so many is as well, where that costs less than to make its trials again."""

_AGAIN = 20
"""A trial that is made again costs about as much as so many points that are listed."""


@dataclass(frozen=True, eq=False)
class Ground:
    """The market or markets that the verdict is about, in sample: by timeframe, as searches of several may count.

    `aggregate` makes one number of several markets. `key` and `boundary_ms`, where the hold-out begins, decide about
    the order of the bars in every draw. The execution of the markets is not looked at: each search has its own.
    """

    markets: Mapping[str, tuple[Market, ...]]
    aggregate: Aggregation
    key: bytes
    boundary_ms: int


def trials_that_count(n_planned: int, n_made: int, *, by_clock: bool) -> int:
    """How many trials of a search count: all that were planned, unless its time budget ended it (`by_clock`).

    Whoever ends a search when it looks best, by hand or by a rule that reads its results (`target`, `patience`), takes
    the best of every number of trials up to the last. A time budget is no such choice: the trials that were made count.
    """
    return n_made if by_clock else max(n_made, n_planned)


def is_listed(region: Region, n_made: int) -> bool:
    """Whether all points of a learning method's ranges stand for its `n_made` trials."""
    most = max(REACH, min(_FAR_REACH, _AGAIN * n_made))
    return region.is_discrete and region.size.exact and region.size.n <= most


def n_listed(rule: Strategy, plan: SearchPlan, n_made: int) -> int:
    """How many points stand for a search on one shuffled market, or cost as much as what is made again."""
    if not SAMPLERS[plan.method].learns:
        return n_made
    region = region_of(rule, plan)
    return region.size.n if is_listed(region, n_made) else _AGAIN * n_made


@dataclass(frozen=True)
class Family:
    """Searches of one text, execution and timeframe: a point of one is worth the same in all of them."""

    text: str
    execution: Execution
    timeframe: str


@dataclass(frozen=True, eq=False)
class CountedSearch:
    """A search of `n_made` trials, as `trials_that_count` has them.

    `listed` float64[n, p] are single backtests that count together; they have no `plan`. `seen` are the searches, of
    any text, whose results its owner could see when it began. With `draws_only_p` it is another user's: it raises the
    p-value of what it may have found before, and is nothing that a search of the owner followed.
    """

    search_id: str
    rule: Strategy
    plan: SearchPlan | None
    execution: Execution
    timeframe: str
    n_made: int
    listed: Floats | None = None
    seen: frozenset[str] = frozenset()
    draws_only_p: bool = False
    era_ms: int = 0
    """Where the hold-out began when the search was first counted; see `record_clock`."""

    @cached_property
    def text(self) -> str:
        """What searches share of which one follows another: a hash of the strategy's kind and code."""
        return hashlib.sha256(f"{self.rule.kind}\0{self.rule.code}".encode()).hexdigest()

    @cached_property
    def family(self) -> Family:
        """What a point's statistic depends on beside the point and the bars."""
        return Family(self.text, replace(self.execution, engine=OWN_ENGINE), self.timeframe)

    @cached_property
    def region(self) -> Region | None:
        """Where it searched; None for listed points."""
        return None if self.plan is None else region_of(self.rule, self.plan)

    @cached_property
    def points(self) -> Floats | None:
        """The distinct points that stand for its trials, float64[n, p]; None where the method is made again."""
        none = np.empty((0, len(self.rule.parameters)))
        if self.plan is None or self.region is None:
            return none if self.listed is None else np.unique(self.listed, axis=0)
        if not self.n_made:
            return none
        if not SAMPLERS[self.plan.method].learns:
            sampler = make_sampler(self.plan.method, problem_of(self.rule, self.plan, self.region, 1))
            return np.unique(sampler.ask(0, min(self.n_made, sampler.n_trials)), axis=0)
        if is_listed(self.region, self.n_made):
            return np.unique(self.region.points_at(np.arange(self.region.n_cells)), axis=0)
        return None

    @cached_property
    def uses(self) -> Uses:
        """The values of each parameter that it used or could have used."""
        if self.region is None:
            points = np.empty((0, len(self.rule.parameters))) if self.listed is None else self.listed
            return uses_of_points(self.rule.parameters, points)
        space = self.region.space
        searched = {dimension.name: dimension for dimension in space.dimensions}
        return tuple(
            searched.get(parameter.name)
            or Dimension(parameter, space.fixed[parameter.name], space.fixed[parameter.name])
            for parameter in space.parameters
        )

    @property
    def price(self) -> float:
        """How many points one draw evaluates, about."""
        return float(_AGAIN * self.n_made if self.points is None else len(self.points))

    def allows(self, points: Floats) -> Flags:
        """Which of `points` float64[n, p] keep the conditions under which it searched; bool[n]."""
        return self.rule.valid(points) if self.region is None else self.region.valid(points)
