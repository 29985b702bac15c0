"""The library face of searches: the daemon's searches in a notebook, with the same functions.

optimize   search a parameter space on the in-sample part → a study
analyze    a study → what mattered, where the good trials lie

`notebook.judging` has judge: a study → a verdict, from the hold-out that the search never saw.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec

from tunesmith.compute.analysis.search_report import Report, report
from tunesmith.compute.analysis.trial_set import Trials
from tunesmith.compute.engines.bars_of_rule import check_bars
from tunesmith.compute.rules.strategy import Strategy
from tunesmith.compute.search.objective.objective import Objective
from tunesmith.compute.search.problem import region_of
from tunesmith.compute.search.samplers import SAMPLERS, choose_method
from tunesmith.compute.search.search import Market, Outcome, Search, run_whole
from tunesmith.compute.search.split import Split, annualized, default_boundary, split_at
from tunesmith.compute.search.stopping import check_stop
from tunesmith.compute.simulation.execution import Execution
from tunesmith.domain.approval import ApprovalCriteria
from tunesmith.domain.array_types import Floats
from tunesmith.domain.criteria import (
    DEFAULT_CRITERIA,
    HOLDOUT_SHARE,
    trial_bounds,
)
from tunesmith.domain.declared import as_declared, one_of
from tunesmith.domain.market.bars import Bars
from tunesmith.domain.metrics import METRICS, TARGET_ALIASES
from tunesmith.domain.parameters import ParamValues, decode_point
from tunesmith.domain.search.findings import ImportanceMethod
from tunesmith.domain.search.methods import MethodOptions
from tunesmith.domain.search.search_plan import SearchPlan
from tunesmith.domain.search.stop_rules import StopRules
from tunesmith.domain.trading import MAX_MISSING, OWN_ENGINE, AskedDirection, Costs, Engine, Fill, MissingShare
from tunesmith.errors import Invalid
from tunesmith.notebook.backtesting import Count, Index, Share, Table, columns_of, execution_of, n_cores

if TYPE_CHECKING:
    import pandas as pd

MAX_POINTS = 1_000_000
"""Trials that `optimize` makes at most where the caller does not say; the daemon's settings have the same default."""


@dataclass(frozen=True)
class Study:
    """A finished search over the in-sample part of `bars`: its plan, its trials, and what ended it early."""

    strategy: Strategy
    bars: Bars
    split: Split
    execution: Execution
    search: Search
    outcome: Outcome
    table: Table
    stop: StopRules | None = None

    @property
    def plan(self) -> SearchPlan:
        """What was searched, and how."""
        return self.search.plan

    @property
    def points(self) -> Floats:
        """The codes of the trials, float64[n, p]."""
        return self.outcome.found.points

    @property
    def best_index(self) -> int | None:
        """Number of the best eligible trial, of several targets in the first; None when no trial was eligible."""
        return self.outcome.best

    @property
    def best_params(self) -> ParamValues | None:
        """The best eligible trial's parameters; None when no trial was eligible."""
        if self.best_index is None:
            return None
        return decode_point(self.strategy.parameters, self.points[self.best_index])

    @property
    def best_score(self) -> float | None:
        """The (first) target's own value at the best trial."""
        if self.best_index is None:
            return None
        return float(self.outcome.found.values[self.best_index, 0])

    @cached_property
    def trials(self) -> pd.DataFrame:
        """One row a trial in the order of the search: parameters, metrics, score, and whether it may be the best."""
        frame = self.table.to_frame()
        labels = self.search.objective.labels
        for column, label in enumerate(labels):
            frame["score" if len(labels) == 1 else f"score: {label}"] = self.outcome.found.values[:, column]
        frame["eligible"] = self.outcome.found.eligible
        return frame

    def scored(self, target: int = 0, by: str | None = None) -> Trials:
        """The trials as `compute.analysis` takes them, scored by a target's position or by a metric's name.

        Raises `Invalid` for a target or a metric that the search does not have.
        """
        found, terms = self.outcome.found, self.search.objective.terms
        if by is not None:
            metric = TARGET_ALIASES.get(by, by)
            one_of(metric, found.metrics, "metric of this search", "/by")
            values, minimized = found.metrics[metric], METRICS[metric].direction == "minimize"
        elif 0 <= target < len(terms):
            values, minimized = found.values[:, target], terms[target].direction == "minimize"
        else:
            raise Invalid(f"there is no target {target}; there are {len(terms)}", path="/target")
        scores = 0.0 - values if minimized else values
        return Trials(self.search.region.space, found.points, scores, found.eligible, found.metrics, minimized)


def optimize(
    rule: Strategy,
    bars: Bars,
    param_ranges: Mapping[str, Any] | None = None,
    *,
    target: Any = "sharpe",
    method: str | None = None,
    options: MethodOptions | None = None,
    conditions: Sequence[str] = (),
    max_iterations: int = 100,
    seed: int = 0,
    costs: Costs | None = None,
    fill: Fill = "next_open",
    direction: AskedDirection = "auto",
    initial_cash: float = 10_000.0,
    constraints: ApprovalCriteria | Sequence[str] | None = None,
    stop: StopRules | None = None,
    holdout_share: float = HOLDOUT_SHARE,
    max_points: int = MAX_POINTS,
    engine: Engine = OWN_ENGINE,
    max_missing: float = MAX_MISSING,
    progress: Callable[[int, int], None] | None = None,
) -> Study:
    """Search `param_ranges` (empty: what the strategy declares) for the best `target`.

    The last `holdout_share` of the bars is withheld from the search. `target` is a metric, an expression over metrics,
    weights, a loss of freqtrade, or a list of these; `conditions` such as "fast < slow" come on top of the strategy's
    own, and `constraints` such as "n_trades >= 30" bound metrics. Of the bars that the calendar expects, the share
    `max_missing` may be missing. Without `method` it is chosen (`samplers.choose_method`); the direction auto trades
    every side that the rule enters. `progress(done, total)` is called after every part. Raises `Invalid` with the path
    of the argument for what cannot be, and for more than `max_points` trials.
    """
    execution = execution_of(rule, costs, fill, direction, initial_cash, engine)
    if isinstance(constraints, ApprovalCriteria):
        constraints = as_declared(constraints, ApprovalCriteria, "/constraints")
    plan = SearchPlan(
        target=target,
        method=method or "auto",
        n_trials=as_declared(max_iterations, Count, "/max_iterations"),
        seed=as_declared(seed, Index, "/seed"),
        ranges=dict(param_ranges or {}),
        conditions=list(conditions),
        bounds=trial_bounds(constraints, DEFAULT_CRITERIA, "/constraints"),
        options=options or MethodOptions(),
        lossless_keeps=True,
        whole_logs=True,
        first_loss_counts=True,
    )
    search = _search(rule, plan, as_declared(max_points, Count, "/max_points"), stop)
    boundary_ms = default_boundary(bars, as_declared(holdout_share, Share, "/holdout_share"))
    check_bars(bars, 0, as_declared(max_missing, MissingShare, "/max_missing"))
    bars = annualized(bars, boundary_ms)
    split = split_at(bars, boundary_ms)
    if not split.n_in_sample:
        raise Invalid(f"{holdout_share:g} of {len(bars)} bars leaves none to search on", path="/holdout_share")
    market = Market(bars.symbol, bars.slice(0, split.in_stop), execution)
    clock = functools.partial(_seconds_since, time.monotonic())
    outcome = run_whole(search, [market], rules=stop, elapsed_s=clock, n_threads=n_cores(), progress=progress)
    table = Table(columns_of(rule, outcome.found.points), outcome.found.metrics)
    return Study(rule, bars, split, execution, search, outcome, table, stop)


def _seconds_since(began: float) -> float:
    return time.monotonic() - began


def analyze(
    study: Study, *, target: int = 0, by: str | None = None, n: int = 10, method: ImportanceMethod = "fanova"
) -> Report:
    """What a study found, as the daemon's `optimization.analyze` tells it of the same search.

    The score is the target of that position, or the metric `by`; `n` trials from either end are listed. The parts that
    need a choice, such as a heat map, are functions of `study.scored()` in `compute.analysis`.
    """
    return report(study.scored(target, by), as_declared(n, Count, "/n"), method)


def _search(rule: Strategy, plan: SearchPlan, max_points: int, stop: StopRules | None) -> Search:
    objective = Objective.parse(plan.target, "/target")
    check_stop(stop, objective.n_targets, "/stop")
    region = region_of(rule, plan, at="")
    if plan.method != "auto":
        one_of(plan.method, SAMPLERS, "method", "/method")
    method, _ = choose_method(region, plan.method, plan.n_trials, objective.n_targets)
    search = Search(rule, msgspec.structs.replace(plan, method=method), objective, at="")
    n_trials = search.sampler.n_trials
    if n_trials > max_points:
        raise Invalid(
            f"{method} means {n_trials:,} trials; the limit is {max_points:,}: narrow the ranges, widen the "
            "steps, use another method with fewer max_iterations, or raise max_points",
            path="/param_ranges" if method == "grid" else "/max_iterations",
        )
    return search
