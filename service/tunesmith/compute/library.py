"""The library face: the daemon's work in a notebook, with the same functions and so the same numbers.

evaluate   many points of a strategy on one market → a table of metrics
optimize   search a parameter space on the in-sample part → a study
judge      a study → a verdict, from the hold-out that the search never saw
backtest   one point in full → orders, trades, equity and vectorbt's report
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Generator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from tunesmith.compute.conditions import required
from tunesmith.compute.engines import check_engine, check_given
from tunesmith.compute.evaluate import Execution, evaluate_points
from tunesmith.compute.judgement import Answer, Ask, Decision, Segments, decide
from tunesmith.compute.region import Region
from tunesmith.compute.replay import confirm, full_report
from tunesmith.compute.rules.strategy import Strategy
from tunesmith.compute.samplers import SAMPLERS, choose_method
from tunesmith.compute.samplers.sampler import Problem, Sampler
from tunesmith.compute.selection import best_trial, eligible, target_metric
from tunesmith.compute.split import Split, annualized, default_boundary, split_at
from tunesmith.compute.strategies import BUILTIN_IDS, builtin
from tunesmith.compute.strategies.installed import installed
from tunesmith.compute.trace import trace
from tunesmith.domain.bars import Bars
from tunesmith.domain.criteria import DEFAULT_CRITERIA, HOLDOUT_SHARE, MIN_BARS, bounds, merge, search_floor
from tunesmith.domain.declared import as_declared, one_of
from tunesmith.domain.messages.verdicts import ApprovalCriteria, Check
from tunesmith.domain.methods import MethodOptions
from tunesmith.domain.metrics import METRICS, TARGET_ALIASES, search_metrics
from tunesmith.domain.parameters import Scalar
from tunesmith.domain.space import Space, build_space, decode, decode_point, encode_points
from tunesmith.domain.trading import Costs, Direction, Engine, Fill
from tunesmith.errors import Invalid

if TYPE_CHECKING:
    import pandas as pd

_CHUNK = 8192
MAX_POINTS = 1_000_000
"""Trials that `optimize` makes at most where the caller does not say; the daemon's settings have the same default."""

_Count = Annotated[int, Meta(ge=1, le=2**53)]
_Index = Annotated[int, Meta(ge=0, le=2**53)]
_Share = Annotated[float, Meta(gt=0.0, lt=1.0)]


@dataclass(frozen=True)
class Table:
    """Metrics of n points: `metrics` maps names of the metrics table to float64[n], NaN where undefined."""

    parameters: Mapping[str, NDArray[Any]]
    metrics: Mapping[str, NDArray[np.float64]]

    def __len__(self) -> int:
        return len(next(iter(self.metrics.values())))

    def to_frame(self) -> pd.DataFrame:
        """One row a point: its parameters, then its metrics."""
        import pandas as pd

        return pd.DataFrame({**self.parameters, **self.metrics})


@dataclass(frozen=True)
class Study:
    """A finished search over the in-sample part of `bars`; `points` float64[n, p] holds its trials' codes."""

    strategy: Strategy
    bars: Bars
    split: Split
    space: Space
    execution: Execution
    target: str
    constraints: ApprovalCriteria
    method: str
    seed: int
    points: NDArray[np.float64]
    table: Table
    best_index: int | None

    @property
    def best_params(self) -> dict[str, Scalar] | None:
        """The best eligible trial's parameters; None when no trial was eligible."""
        if self.best_index is None:
            return None
        return decode_point(self.strategy.parameters, self.points[self.best_index])

    @property
    def best_score(self) -> float | None:
        """The target's own value at the best trial."""
        if self.best_index is None:
            return None
        return float(self.table.metrics[target_metric(self.target)][self.best_index])

    @cached_property
    def trials(self) -> pd.DataFrame:
        """One row a trial in the order of the search: parameters, metrics, and whether it kept the constraints."""
        frame = self.table.to_frame()
        frame["eligible"] = eligible(self.table.metrics, self.constraints)
        return frame


@dataclass(frozen=True)
class Verdict:
    """A decision on a study. Not `guarded`: no ledger counted this look at the hold-out, so it issues no package."""

    status: str
    reason: str
    checks: list[Check]
    guarded: bool = False


@dataclass(frozen=True)
class Report:
    """One point in full: our `metrics`, vectorbt's `stats`, and their `disagreements`, which should be none."""

    params: dict[str, Scalar]
    metrics: dict[str, float]
    stats: dict[str, Any]
    trades: list[dict[str, Any]]
    timestamp: NDArray[np.int64]
    equity: NDArray[np.float64]
    disagreements: list[str]


def strategy(strategy_id: str) -> Strategy:
    """The built-in or installed strategy of that id; raises `NotFound` with the nearest right name."""
    found = None if strategy_id in BUILTIN_IDS else installed().strategies.get(strategy_id)
    return builtin(strategy_id) if found is None else found


def evaluate(
    rule: Strategy,
    bars: Bars,
    params: Mapping[str, Any] | None = None,
    *,
    costs: Costs | None = None,
    fill: Fill = "next_open",
    direction: Direction = "long",
    initial_cash: float = 10_000.0,
    start: int = 0,
    n_threads: int | None = None,
    metrics: Collection[str] | None = None,
    engine: Engine = "tunesmith",
) -> Table:
    """Metrics of every point in `params`: arrays of one length, zipped; scalars repeated; the unnamed take defaults.

    `metrics` names those that are wanted, of `domain.metrics.METRICS`; without it they are the account's, which cost
    the least: one of the path alone needs every bar's equity. `engine` vectorbt gives the same numbers, slowly, and NaN
    where an account's course means something else there (see `compute.vectorbt_engine`).
    Points that break a `require` are NaN rows. Bars before `start` only warm indicators up. Raises `Invalid` with the
    path of the argument for what cannot be.
    """
    points = encode_points(rule.parameters, params or {})
    execution = Execution(Costs() if costs is None else costs, fill, direction, initial_cash, engine)
    check_engine(rule, engine, execution.costs, direction)
    start = _first_bar(bars, start)
    wanted = None if metrics is None else _metric_names(metrics)
    n_threads = n_threads or _n_cores()
    found = evaluate_points(rule, bars, points, execution, start=start, n_threads=n_threads, metrics=wanted)
    return Table(_columns(rule, points), found)


def optimize(
    rule: Strategy,
    bars: Bars,
    param_ranges: Mapping[str, Any] | None = None,
    *,
    target: str = "sharpe",
    method: str | None = None,
    max_iterations: int = 100,
    seed: int = 0,
    costs: Costs | None = None,
    fill: Fill = "next_open",
    direction: Direction = "long",
    initial_cash: float = 10_000.0,
    constraints: ApprovalCriteria | None = None,
    holdout_share: float = HOLDOUT_SHARE,
    max_points: int = MAX_POINTS,
    engine: Engine = "tunesmith",
    progress: Callable[[int, int], None] | None = None,
) -> Study:
    """Search `param_ranges` (empty: what the strategy declares) for the best `target`.

    The last `holdout_share` of the bars is withheld from the search. `progress(done, total)` is called after every
    chunk. Without `method` the grid is taken when it has at most `max_iterations` points, else random. Raises `Invalid`
    with the path of the argument for what cannot be, and for a search of more than `max_points` trials.
    """
    one_of(target, (*METRICS, *TARGET_ALIASES), "metric", "/target")
    execution = Execution(Costs() if costs is None else costs, fill, direction, initial_cash, engine)
    check_engine(rule, engine, execution.costs, direction)
    floor = merge(_criteria(constraints, "/constraints"), search_floor(DEFAULT_CRITERIA))
    space = build_space(rule.parameters, param_ranges, "/param_ranges")
    max_iterations = as_declared(max_iterations, _Count, "/max_iterations")
    method = choose_method(space, method, max_iterations)
    region = Region(space, required(rule, "/param_ranges"))
    sampler = _sampler(region, method, max_iterations, as_declared(seed, _Index, "/seed"), max_points)
    boundary_ms = default_boundary(bars, as_declared(holdout_share, _Share, "/holdout_share"))
    bars = annualized(bars, boundary_ms)
    split = split_at(bars, boundary_ms)
    if not split.n_in_sample:
        raise Invalid(f"{holdout_share:g} of {len(bars)} bars leaves none to search on", path="/holdout_share")
    in_sample = bars.slice(0, split.in_stop)
    wanted = search_metrics((target_metric(target), *(bound.metric for bound in bounds(floor))))
    points, metrics = _search(rule, in_sample, sampler, execution, wanted, progress)
    best = best_trial(metrics, target, floor)
    table = Table(_columns(rule, points), metrics)
    return Study(rule, bars, split, space, execution, target, floor, method, seed, points, table, best)


def judge(study: Study, criteria: ApprovalCriteria | None = None, *, min_bars: int = MIN_BARS) -> Verdict:
    """Decide on the study's best point; see `compute.judgement` for the steps."""
    asked = merge(_criteria(criteria, "/criteria"), DEFAULT_CRITERIA)
    min_bars = as_declared(min_bars, _Count, "/min_bars")
    if study.best_index is None:
        return Verdict("rejected", "no trial kept the constraints, so there is nothing to approve", [])
    point = study.points[study.best_index]
    n_out = len(study.bars) - study.split.out_start
    plan = decide(asked, Segments(study.split.n_in_sample, n_out, min_bars))
    execution = replace(study.execution, engine="tunesmith")
    decision = run_plan(plan, study.strategy, study.bars, point, execution, study.split)
    return Verdict(decision.status, decision.reason, decision.public_checks())


def run_plan(
    plan: Generator[Ask, Answer, Decision],
    rule: Strategy,
    bars: Bars,
    point: NDArray[np.float64],
    execution: Execution,
    split: Split,
) -> Decision:
    """Drive a decision plan here and now, answering each `Ask` in turn."""
    try:
        ask = next(plan)
        while True:
            ask = plan.send(answer_ask(ask, rule, bars, point, execution, split))
    except StopIteration as stop:
        decision: Decision = stop.value
        return decision


def answer_ask(
    ask: Ask, rule: Strategy, bars: Bars, point: NDArray[np.float64], execution: Execution, split: Split
) -> Answer:
    """Do the work that a decision plan asks for."""
    if ask.work == "replay":
        return [
            f"{segment}: {line}"
            for segment in ("in_sample", "holdout")
            for line in confirm_segment(rule, bars, point, execution, split, segment)
        ]
    return segment_metrics(rule, bars, point, execution, split, ask.work)


def segment_metrics(
    rule: Strategy, bars: Bars, point: NDArray[np.float64], execution: Execution, split: Split, segment: str
) -> dict[str, float]:
    """The point's metrics on one segment, in_sample or holdout; the hold-out is warmed up by the bars before it."""
    part, start = _segment(bars, split, segment)
    metrics = evaluate_points(rule, part, point[np.newaxis], execution, start=start, metrics=METRICS)
    return {name: float(values[0]) for name, values in metrics.items()}


def confirm_segment(
    rule: Strategy, bars: Bars, point: NDArray[np.float64], execution: Execution, split: Split, segment: str
) -> list[str]:
    """What vectorbt, given the orders of one segment, computes otherwise; empty when it agrees."""
    part, start = _segment(bars, split, segment)
    metrics = segment_metrics(rule, bars, point, execution, split, segment)
    return confirm(trace(rule, part, point, execution, start=start), metrics, part, execution, start)


def backtest(
    rule: Strategy,
    bars: Bars,
    params: Mapping[str, Any] | None = None,
    *,
    costs: Costs | None = None,
    fill: Fill = "next_open",
    direction: Direction = "long",
    initial_cash: float = 10_000.0,
    start: int = 0,
) -> Report:
    """One point with every order, trade and equity value, replayed and reported by vectorbt.

    Raises `Invalid` with the path of the argument for what cannot be.
    """
    points = encode_points(rule.parameters, params or {})
    if len(points) != 1:
        raise Invalid(f"a backtest takes one point, got {len(points)}; evaluate takes many", path="/params")
    if not rule.valid(points)[0]:
        raise Invalid("these parameters break a require(…) of the strategy", path="/params")
    execution = Execution(Costs() if costs is None else costs, fill, direction, initial_cash)
    return report_point(rule, bars, points[0], execution, _first_bar(bars, start))


def report_point(rule: Strategy, bars: Bars, point: NDArray[np.float64], execution: Execution, start: int) -> Report:
    """`backtest` for an encoded point float64[p]."""
    metrics = evaluate_points(rule, bars, point[np.newaxis], execution, start=start, metrics=METRICS)
    numbers = {name: float(values[0]) for name, values in metrics.items()}
    check_given(execution.engine, numbers)
    traced = trace(rule, bars, point, execution, start=start)
    disagreements = confirm(traced, numbers, bars, execution, start)
    full = full_report(traced, bars, execution, start)
    return Report(
        params=decode_point(rule.parameters, point),
        metrics=numbers,
        stats=full.stats,
        trades=full.trades,
        timestamp=bars.timestamp[start:],
        equity=traced.equity,
        disagreements=disagreements,
    )


def _segment(bars: Bars, split: Split, segment: str) -> tuple[Bars, int]:
    if segment == "holdout":
        return bars, split.out_start
    return bars.slice(0, split.in_stop), split.first


def _sampler(region: Region, method: str, max_iterations: int, seed: int, max_points: int) -> Sampler:
    one_of(method, SAMPLERS, "method", "/method")
    warm = np.empty((0, len(region.space.parameters)))
    sampler = SAMPLERS[method](Problem(region, max_iterations, seed, MethodOptions(), 1, warm))
    if sampler.n_trials > as_declared(max_points, _Count, "/max_points"):
        raise Invalid(
            f"{method} means {sampler.n_trials:,} trials; the limit is {max_points:,}: narrow the ranges, widen the "
            "steps, use random with fewer max_iterations, or raise max_points",
            path="/param_ranges" if method == "grid" else "/max_iterations",
        )
    return sampler


def _first_bar(bars: Bars, start: int) -> int:
    first: int = as_declared(start, _Index, "/start")
    if first >= len(bars):
        raise Invalid(f"trading cannot start at bar {first}: there are {len(bars)}", path="/start")
    return first


def _metric_names(names: Collection[str]) -> tuple[str, ...]:
    if isinstance(names, str) or not names:
        raise Invalid(f"{names!r}: a list of metrics' names is needed, or none at all", path="/metrics")
    for i, name in enumerate(names):
        one_of(name, (*METRICS, *TARGET_ALIASES), "metric", f"/metrics/{i}")
    return tuple(dict.fromkeys(TARGET_ALIASES.get(name, name) for name in names))


def _criteria(given: ApprovalCriteria | None, path: str) -> ApprovalCriteria | None:
    return None if given is None else as_declared(given, ApprovalCriteria, path)


def _search(
    rule: Strategy,
    bars: Bars,
    sampler: Sampler,
    execution: Execution,
    wanted: tuple[str, ...],
    progress: Callable[[int, int], None] | None,
) -> tuple[NDArray[np.float64], dict[str, NDArray[np.float64]]]:
    n = sampler.n_trials
    points = np.empty((n, len(rule.parameters)))
    metrics = {name: np.empty(n) for name in wanted}
    for start in range(0, n, _CHUNK):
        stop = min(n, start + _CHUNK)
        points[start:stop] = sampler.ask(start, stop)
        chunk = evaluate_points(rule, bars, points[start:stop], execution, n_threads=_n_cores(), metrics=wanted)
        for name, values in chunk.items():
            metrics[name][start:stop] = values
        if progress is not None:
            progress(stop, n)
    return points, metrics


def _columns(rule: Strategy, points: NDArray[np.float64]) -> dict[str, NDArray[Any]]:
    return {
        p.name: np.array([decode(p, code) for code in points[:, column].tolist()], object)
        if p.kind == "choice"
        else points[:, column].astype({"int": np.int64, "bool": np.bool_}.get(p.kind, np.float64))
        for column, p in enumerate(rule.parameters)
    }


def _n_cores() -> int:
    return len(os.sched_getaffinity(0))
