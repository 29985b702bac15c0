"""A search, bound to its strategy: which trials there are, and what each is worth.

The daemon's workers and the library run the same object. A trial's number decides everything about it: its point comes
from the method, is evaluated on every market, the markets' metrics are made one, and the objective scores them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tunesmith.compute.engines.engine_table import engine_named
from tunesmith.compute.engines.evaluate import evaluate_points
from tunesmith.compute.rules.strategy import Strategy
from tunesmith.compute.search.objective.objective import Objective
from tunesmith.compute.search.problem import problem_of, region_of
from tunesmith.compute.search.samplers import SAMPLERS, make_sampler
from tunesmith.compute.search.samplers.sampler import Sampler
from tunesmith.compute.search.selection import aggregate, best_of, eligible
from tunesmith.compute.search.stopping import Watch
from tunesmith.compute.simulation.execution import Execution
from tunesmith.domain.array_types import Flags, Floats
from tunesmith.domain.closed_trades import ClosedTrades
from tunesmith.domain.market.bars import Bars
from tunesmith.domain.metrics import search_metrics
from tunesmith.domain.search.search_plan import SearchPlan
from tunesmith.domain.search.stop_rules import StopRules

Metrics = Mapping[str, Floats]

_PART = 8192


@dataclass(frozen=True, eq=False)
class Market:
    """What a trial trades on: `bars`, of which those before `first` only warm indicators up."""

    symbol: str
    bars: Bars
    execution: Execution
    first: int = 0


@dataclass(frozen=True, eq=False)
class Found:
    """Trials that were evaluated, from number `start` on.

    `points` float64[n, p]; `metrics` name → float64[n]; `values` float64[n, k] the targets as they are read, `scores`
    the same with the sign that makes more better, NaN where undefined; `eligible` bool[n]: every constraint is kept and
    every target defined. `by_symbol` symbol → name → float64[n], where there are several.
    """

    start: int
    points: Floats
    metrics: Metrics
    values: Floats
    scores: Floats
    eligible: Flags
    by_symbol: Mapping[str, Metrics] | None

    def first(self, n: int) -> Found:
        """The first `n` of these trials."""
        by_symbol = self.by_symbol
        return Found(
            start=self.start,
            points=self.points[:n],
            metrics={name: values[:n] for name, values in self.metrics.items()},
            values=self.values[:n],
            scores=self.scores[:n],
            eligible=self.eligible[:n],
            by_symbol=None
            if by_symbol is None
            else {s: {name: values[:n] for name, values in each.items()} for s, each in by_symbol.items()},
        )


class Search:
    """The trials of a plan for a strategy. Raises `Invalid` with the request's path for what cannot be searched."""

    def __init__(
        self, rule: Strategy, plan: SearchPlan, objective: Objective | None = None, *, at: str = "/data"
    ) -> None:
        """`objective` is the plan's, where it is parsed already; paths of errors begin at `at`."""
        self.rule = rule
        self.plan = plan
        self.objective = objective or Objective.parse(plan.target)
        self.region = region_of(rule, plan, at=at)
        problem = problem_of(rule, plan, self.region, self.objective.n_targets)
        self.sampler: Sampler = make_sampler(plan.method, problem, f"{at}/options")
        self.learns = SAMPLERS[plan.method].learns
        self.n_told = 0
        self._metrics = search_metrics({*self.objective.metrics, *(bound.metric for bound in plan.bounds)})

    def tell(self, points: Floats, scores: Floats) -> None:
        """What came of the next trials: `points` float64[m, p], `scores` float64[m, k], NaN where not eligible."""
        self.sampler.tell(points, scores)
        self.n_told += len(points)

    def evaluate(self, markets: Sequence[Market], start: int, stop: int, *, n_threads: int = 1) -> Found:
        """Evaluate the trials start to stop (exclusive) on every market; fewer where the method has no more."""
        points = self.sampler.ask(start, min(stop, self.sampler.ready))
        each = {market.symbol: self._evaluate_on(market, points, n_threads) for market in markets}
        one = next(iter(each.values()))
        metrics = aggregate(each, self.plan.aggregate) if len(each) > 1 else one
        values = self._values(markets, points, each, metrics)
        scores = self.objective.signed(values)
        lossless_keeps = self.plan.lossless_keeps is True
        keep = eligible(metrics, self.plan.bounds, lossless_keeps=lossless_keeps) & ~np.isnan(scores).any(axis=1)
        return Found(start, points, metrics, values, scores, keep, each if len(each) > 1 else None)

    def _evaluate_on(self, market: Market, points: Floats, n_threads: int) -> Metrics:
        return evaluate_points(
            self.rule,
            market.bars,
            points,
            market.execution,
            start=market.first,
            n_threads=n_threads,
            metrics=self._metrics,
        )

    def _values(
        self, markets: Sequence[Market], points: Floats, each: Mapping[str, Metrics], metrics: Metrics
    ) -> Floats:
        if not self.objective.needs_trades:
            return self.objective.values(metrics)
        trades = {market.symbol: self._trades_on(market, points) for market in markets}
        if len(each) > 1:
            return self.objective.values_over(each, trades, self.plan.aggregate)
        return self.objective.values(metrics, next(iter(trades.values())))

    def _trades_on(self, market: Market, points: Floats) -> Sequence[ClosedTrades | None]:
        """The closed trades of `points` float64[n, p] by the engine that evaluates them."""
        find = engine_named(market.execution.engine).closed_trades
        found = find(self.rule, market.bars, points, market.execution, start=market.first)
        if self.plan.first_loss_counts is True:
            return found
        return [None if trades is None else replace(trades, first_loss_counts=False) for trades in found]


@dataclass(frozen=True, eq=False)
class Outcome:
    """A whole search: its trials in order, the number of the best (None: none is eligible), and what ended it early."""

    found: Found
    best: int | None
    stopped_by: str | None = None


def run_whole(
    search: Search,
    markets: Sequence[Market],
    *,
    rules: StopRules | None = None,
    frozen_at: int | None = None,
    elapsed_s: Callable[[], float] | None = None,
    n_threads: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Outcome:
    """Every trial of a search here and now: the same trials as the daemon makes of the same plan.

    `elapsed_s` tells how long the search has taken; without it no time budget ends it, so that a search which is made
    again does not depend on the machine. `frozen_at` is the number of trials at which time ended the one that this
    repeats. `progress(done, total)` is called after every part.
    """
    n_trials = search.sampler.n_trials
    size = _PART if rules is None else min(_PART, rules.batch)
    sign = float(search.objective.signed(np.ones((1, search.objective.n_targets)))[0, 0])
    watch = (
        None if rules is None else Watch(rules, n_trials, search.objective.n_targets, sign=sign, frozen_at=frozen_at)
    )
    parts: list[Found] = []
    at, stop = 0, None
    while at < n_trials and stop is None:
        part = search.evaluate(markets, at, min(n_trials, at + size), n_threads=n_threads)
        parts.append(part)
        if not len(part.points):
            break
        told = np.where(part.eligible[:, np.newaxis], part.scores, np.nan)
        if search.learns:
            search.tell(part.points, told)
        if watch is not None:
            watch.take(at, told)
            stop = watch.look(0.0 if elapsed_s is None else elapsed_s())
        at += len(part.points)
        if progress is not None:
            progress(at, n_trials)
    found = joined(parts)
    if stop is not None:
        found = found.first(stop.n_trials)
    return Outcome(found, best_of(found.scores[:, 0], found.eligible), None if stop is None else stop.reason)


def joined(parts: Sequence[Found]) -> Found:
    """Parts of a search as one; at least one part."""
    symbols = parts[0].by_symbol
    return Found(
        start=parts[0].start,
        points=np.concatenate([part.points for part in parts]),
        metrics=_stacked([part.metrics for part in parts]),
        values=np.concatenate([part.values for part in parts]),
        scores=np.concatenate([part.scores for part in parts]),
        eligible=np.concatenate([part.eligible for part in parts]),
        by_symbol=None
        if symbols is None
        else {symbol: _stacked([part.by_symbol[symbol] for part in parts if part.by_symbol]) for symbol in symbols},
    )


def _stacked(parts: Sequence[Metrics]) -> dict[str, Floats]:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
