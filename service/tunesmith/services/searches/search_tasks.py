"""From a request for a search to its task: strategy, windows, plan, how many trials there are, and what they cost.

The cost is told before a search starts: points times bars times what one point takes on one bar. The last factor is
measured while searches run, for each strategy's code and engine; until then it is assumed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from tunesmith.compute.engines.engine_table import check_engine
from tunesmith.compute.rules.strategy import Strategy
from tunesmith.compute.search.objective.objective import Objective
from tunesmith.compute.search.problem import problem_of, region_of
from tunesmith.compute.search.samplers import choose_method, make_sampler
from tunesmith.compute.search.stopping import check_stop
from tunesmith.config import Settings
from tunesmith.domain.approval import ApprovalCriteria, VerdictWish
from tunesmith.domain.criteria import trial_bounds
from tunesmith.domain.metrics import METRICS, search_metrics
from tunesmith.domain.records import build
from tunesmith.domain.search.search_plan import SearchPlan
from tunesmith.domain.search.stop_rules import StopRules
from tunesmith.domain.trading import Costs
from tunesmith.errors import Invalid, NotFound
from tunesmith.protocol.messages.optimizations import StartOptimization
from tunesmith.protocol.task_types import OPTIMIZATION
from tunesmith.services.market.market_windows import Assignment, Window, assign, window_of
from tunesmith.services.runtime.context import Context
from tunesmith.services.strategies import strategy_requests
from tunesmith.services.tasks.task_kinds import load, request_of
from tunesmith.storage.market.series import Series
from tunesmith.storage.sqlite.connections import Connection
from tunesmith.storage.tables import optimization_table, trial_table
from tunesmith.storage.tables.optimization_table import NewOptimization
from tunesmith.storage.timestamps import iso

_WARM = 50


class OptimizationTask(Assignment, frozen=True, kw_only=True):
    """The stored request of a search: everything that its trials depend on. `others`: windows of further symbols."""

    plan: SearchPlan
    others: list[Window] = []
    stop: StopRules | None = None
    parallel: int | None = None
    approve: VerdictWish | None = None


class NewSearch(msgspec.Struct, frozen=True, kw_only=True):
    """A search that can be stored. `chosen_because` says why `auto` chose its method, `seconds` what it may take."""

    task: OptimizationTask
    data_hash: str
    priority: int
    label: str | None
    chosen_because: str | None
    seconds: float


async def make_search(context: Context, request: StartOptimization) -> NewSearch:
    """The search that a request asks for.

    `not_found` for symbol, strategy or the search to start from, `invalid` with the field's path for what cannot be.
    """
    row = await strategy_requests.load(context, request.strategy_id, request.strategy_version, path="/data/strategy_id")
    rule = strategy_requests.parse(row)
    direction = rule.direction(request.direction)
    rule.check_levels(direction, "/data/direction")
    check_engine(rule, request.engine, request.costs or Costs(), direction, "/data")
    objective = Objective.parse(request.optimization_target)
    check_stop(request.stop, objective.n_targets, "/data/stop")
    ranges: dict[str, Any] = msgspec.to_builtins(request.param_ranges)
    plan = build(
        SearchPlan,
        request,
        target=msgspec.to_builtins(request.optimization_target),
        method="random",
        n_trials=request.max_iterations,
        ranges={**row.default_params, **ranges} if ranges else {},
        bounds=trial_bounds(request.constraints, default_criteria(context.settings)),
        warm=await _warm(context, request),
        lossless_keeps=True,
        whole_logs=True,
        first_loss_counts=True,
    )
    limit, asked = context.settings.limits.grid_points, plan
    plan, because = await context.aside.run(lambda: sized(rule, asked, request.method, objective, limit))
    windows = [await window_of(context, request, symbol, direction) for symbol in _symbols(request)]
    series = [context.market.find(window.symbol, window.timeframe, window.venue) for window in windows]
    if request.approve is not None:
        check_lengths(windows, "/data/approve")
    assignment = assign(row, windows[0])
    n_bars = sum(map(n_bars_of, series, windows))
    path = "/data/param_ranges" if plan.method == "grid" else "/data/max_iterations"
    seconds = check_search(context, assignment, plan.n_trials, n_bars, request.stop, path=path)
    return NewSearch(
        task=build(OptimizationTask, assignment, request, others=windows[1:], plan=plan),
        data_hash=series[0].data_hash,
        priority=request.priority,
        label=None if request.label is msgspec.UNSET else request.label,
        chosen_because=because,
        seconds=seconds,
    )


def check_lengths(windows: Sequence[Window], path: str) -> None:
    """Raise `Invalid` at `path` for markets that no verdict can be on together: with bars of several lengths."""
    if len({window.timeframe for window in windows}) > 1:
        told = ", ".join(f"{window.symbol} {window.timeframe}" for window in windows)
        raise Invalid(f"a verdict is on bars of one length, and these are {told}", path=path)


def sized(
    rule: Strategy, plan: SearchPlan, method: str, objective: Objective, limit: int
) -> tuple[SearchPlan, str | None]:
    """The plan with its method chosen and its trials counted, and why `auto` chose it; at most `limit` trials."""
    region = region_of(rule, plan)
    chosen, because = choose_method(region, method, plan.n_trials, objective.n_targets)
    plan = msgspec.structs.replace(plan, method=chosen)
    n_trials = make_sampler(chosen, problem_of(rule, plan, region, objective.n_targets)).n_trials
    if n_trials > limit:
        raise Invalid(
            f"{chosen} means {n_trials:,} trials; the limit is {limit:,}: narrow the ranges, widen the steps, or use "
            "another method with max_iterations",
            path="/data/param_ranges" if chosen == "grid" else "/data/max_iterations",
        )
    return msgspec.structs.replace(plan, n_trials=n_trials), because


async def store_search(conn: Connection, task_id: str, made: NewSearch) -> None:
    """Store what a search has beside its task, in the transaction that stored the task."""
    task, window = made.task, made.task.window
    await optimization_table.create(
        conn,
        build(
            NewOptimization,
            window,
            task.plan,
            made,
            id=task_id,
            strategy_id=task.strategy.id,
            strategy_version=task.strategy.version,
            param_ranges=task.plan.ranges,
            optimization_target=Objective.parse(task.plan.target).labels[0],
            start_date=iso(window.start_ms),
            end_date=iso(window.end_ms),
            details={"plan": task.plan, "costs": window.costs, "fill": window.fill, "engine": window.engine},
        ),
    )


def assignments(task: OptimizationTask) -> list[Assignment]:
    """The strategy on each of the task's markets."""
    return [Assignment(strategy=task.strategy, window=window) for window in (task.window, *task.others)]


def warnings_without_report(task: OptimizationTask) -> list[str]:
    """What a search without a best trial, which has no report, has to say."""
    idle = strategy_requests.parse_ref(task.strategy).never_entered(task.window.direction)
    return [] if idle is None else [idle]


def computed_metrics(plan: SearchPlan) -> tuple[str, ...]:
    """The metrics that the trials of a plan have."""
    return search_metrics({*Objective.parse(plan.target).metrics, *(bound.metric for bound in plan.bounds)})


def best_first(sort: str, target: Any) -> bool:
    """Whether the best of what is sorted by a metric, "score" or "index" comes first in descending order."""
    if sort == "score":
        return Objective.parse(target).directions[0] == "maximize"
    return sort in METRICS and METRICS[sort].direction == "maximize"


def n_bars_of(series: Series, window: Window) -> int:
    """The bars of a window on a series, as far as that is known without reading them."""
    return max(1, series.n_bars_from(window.start_ms) - series.n_bars_from(window.end_ms))


def seconds_of(context: Context, of: Assignment, n_trials: int, n_bars: int, stop: StopRules | None = None) -> float:
    """Seconds of one worker for so many trials on so many bars; a search that ends by time takes no longer."""
    seconds = n_trials * n_bars * context.speeds.ns(of.strategy, of.window.engine) / 1e9
    limit = stop.time_budget_s if stop is not None else None
    return seconds if limit is None else min(seconds, limit)


def check_search(
    context: Context, of: Assignment, n_trials: int, n_bars: int, stop: StopRules | None = None, *, path: str
) -> float:
    """The seconds of one worker that a search needs by estimate; raises `Invalid` when they exceed the budget."""
    seconds, budget_s = seconds_of(context, of, n_trials, n_bars, stop), context.settings.limits.search_budget_s
    if seconds <= budget_s:
        return seconds
    speeds, engine = context.speeds, of.window.engine
    how = "measured" if speeds.is_measured(of.strategy, engine) else "assumed"
    raise Invalid(
        f"{n_trials:,} trials on {n_bars:,} bars need about {seconds:,.0f} s of a worker "
        f"({speeds.ns(of.strategy, engine):.3g} ns for a trial and bar, {how}); the budget is {budget_s:,.0f} s: "
        "narrow the ranges, widen the steps, shorten the dates, or use another method with max_iterations",
        path=path,
    )


def check_session(context: Context, seconds: Sequence[float]) -> None:
    """Raise `Invalid` when the searches of a session together need more than its budget."""
    total, budget_s = sum(seconds), context.settings.limits.session_budget_s
    if total > budget_s:
        raise Invalid(
            f"{len(seconds):,} searches need about {total:,.0f} s of a worker; the budget of a session is "
            f"{budget_s:,.0f} s: make it smaller, or several",
            path="/data/size",
        )


def default_criteria(settings: Settings) -> ApprovalCriteria:
    """The approval criteria of the settings."""
    return build(ApprovalCriteria, settings.decision)


def _symbols(request: StartOptimization) -> list[str]:
    if (request.symbol is None) == (not request.symbols):
        raise Invalid("give either symbol or symbols", path="/data/symbol")
    symbols = [request.symbol] if request.symbol is not None else request.symbols
    for i, symbol in enumerate(symbols):
        if symbol in symbols[:i]:
            raise Invalid(f"{symbol} is there twice", path=f"/data/symbols/{i}")
    return symbols


async def _warm(context: Context, request: StartOptimization) -> list[dict[str, Any]]:
    """The best trials of the search to start from: as many as a quarter of the new search at most."""
    if request.warm_start is None:
        return []
    path = "/data/warm_start"
    row = await load(context, request.warm_start, OPTIMIZATION, path)
    earlier = request_of(row, OptimizationTask)
    if earlier.strategy.id != request.strategy_id:
        raise Invalid(f"that is a search of the strategy {earlier.strategy.id!r}", path=path)
    descending = best_first("score", earlier.plan.target)
    n = max(1, min(_WARM, request.max_iterations // 4))
    best = await trial_table.page(context.database, row.id, sort="score", descending=descending, limit=4 * n, offset=0)
    found = [trial.params for trial in best if trial.eligible][:n]
    if not found:
        raise NotFound(f"the search {row.id!r} has no trial that kept its constraints", path=path)
    return found
