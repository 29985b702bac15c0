"""Optimizations: a search of a strategy's parameters on the in-sample part of a market."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from tunesmith import telemetry
from tunesmith.compute.conditions import required
from tunesmith.compute.engines import check_engine
from tunesmith.compute.region import Region
from tunesmith.compute.samplers import SAMPLERS, choose_method
from tunesmith.compute.samplers.sampler import Problem
from tunesmith.compute.selection import target_metric
from tunesmith.domain.criteria import bounds, keeps, merge, search_floor
from tunesmith.domain.messages.catalog import Call
from tunesmith.domain.messages.optimizations import (
    CancelOptimization,
    OptimizationResults,
    OptimizationResultsReply,
    OptimizationStarted,
    OptimizationStatus,
    OptimizationStatusReply,
    StartOptimization,
    Trial,
)
from tunesmith.domain.messages.verdicts import ApprovalCriteria
from tunesmith.domain.methods import MethodOptions
from tunesmith.domain.metrics import ACCOUNT_METRICS, METRICS, search_metrics
from tunesmith.domain.space import build_space
from tunesmith.domain.trading import Costs
from tunesmith.errors import Forbidden, Internal, Invalid, NotFound
from tunesmith.services import strategies, tasks
from tunesmith.services.context import Context
from tunesmith.services.jobs.payloads import BestTrial, OnePoint, Search, Trials
from tunesmith.services.jobs.tasks import Job
from tunesmith.services.markets import window_of
from tunesmith.services.once import Change
from tunesmith.services.reports import Origin, make_report
from tunesmith.services.verdicts import default_criteria, insert_follow_up, make_task
from tunesmith.services.work import Assignment, assign, prepared, work_of
from tunesmith.storage import optimizations, reports, trials
from tunesmith.storage import tasks as task_rows
from tunesmith.storage.clock import iso
from tunesmith.storage.connections import Connection
from tunesmith.storage.optimizations import NewOptimization, OptimizationRow
from tunesmith.storage.tasks import TaskRow

KIND = "optimization"
_SLOWER = 20
"""vectorbt's chunks have fewer trials, so that progress and cancelling stay as prompt as with our engine."""


class OptimizationTask(Assignment, frozen=True, kw_only=True):
    """The stored request of a search: everything that its trials depend on."""

    ranges: dict[str, Any]
    target: str
    method: str
    max_iterations: int
    seed: int
    n_trials: int
    constraints: ApprovalCriteria
    approve: ApprovalCriteria | None


async def start(context: Context, request: StartOptimization, call: Call) -> Change:
    """Store the task and answer its id.

    `not_found` for symbol or strategy, `invalid` for ranges, target, dates and a grid above the budget.
    """
    if request.approve is not None and call.role != "operator":
        raise Forbidden(f"approve needs the role operator; {call.user} is a {call.role}", path="/data/approve")
    row = await strategies.load(context, request.strategy_id, request.strategy_version, path="/data/strategy_id")
    parsed = strategies.parse(row)
    check_engine(parsed, request.engine, request.costs or Costs(), request.direction, "/data")
    target_metric(request.optimization_target)
    ranges: dict[str, Any] = dict(request.param_ranges)
    if ranges:
        ranges = {**row.default_params, **ranges}
    space = build_space(parsed.parameters, ranges)
    method = choose_method(space, request.method, request.max_iterations)
    warm = np.empty((0, len(parsed.parameters)))
    problem = Problem(Region(space, required(parsed)), request.max_iterations, request.seed, MethodOptions(), 1, warm)
    n_trials = SAMPLERS[method](problem).n_trials
    limit = context.settings.limits.grid_points
    if n_trials > limit:
        raise Invalid(
            f"{method} means {n_trials:,} trials; the limit is {limit:,}: narrow the ranges, widen the steps, or use "
            "random with max_iterations",
            path="/data/param_ranges" if method == "grid" else "/data/max_iterations",
        )
    window = await window_of(context, request, request.symbol)
    await tasks.check_quota(context, call)
    assignment = assign(row, window)
    task = OptimizationTask(
        strategy=assignment.strategy,
        window=window,
        ranges=msgspec.to_builtins(ranges),
        target=request.optimization_target,
        method=method,
        max_iterations=request.max_iterations,
        seed=request.seed,
        n_trials=n_trials,
        constraints=merge(request.constraints, search_floor(default_criteria(context.settings))),
        approve=request.approve,
    )
    task_id = tasks.new_id("opt")
    data_hash = context.market.find(window.symbol, window.timeframe, window.venue).data_hash
    stored: list[TaskRow] = []

    async def apply(conn: Connection) -> OptimizationStarted:
        stored.append(await tasks.insert(conn, call, task_id, KIND, task, request.priority))
        await optimizations.create(conn, _new_row(task_id, task, data_hash))
        return OptimizationStarted(
            optimization_id=task_id,
            status="pending",
            progress=0.0,
            method=method,
            n_trials=n_trials,
            withheld_from=window.withheld_from,
        )

    return Change(apply, after=lambda: context.tasks.start(stored[-1]))


async def status(context: Context, request: OptimizationStatus, call: Call) -> OptimizationStatusReply:
    """Where the search stands. `not_found`."""
    row = await tasks.load(context, request.optimization_id, KIND, "/data/optimization_id")
    return await _reply(context, row)


async def results(context: Context, request: OptimizationResults, call: Call) -> OptimizationResultsReply:
    """Trials, sorted. `not_found`, `invalid` for a metric that does not exist or that this search did not compute."""
    row = await tasks.load(context, request.optimization_id, KIND, "/data/optimization_id")
    task = tasks.request_of(row, OptimizationTask)
    sort = "index" if request.sort == "index" else target_metric(request.sort or task.target, "/data/sort")
    computed = search_metrics((target_metric(task.target), *(bound.metric for bound in bounds(task.constraints))))
    if sort not in ("index", *computed):
        raise Invalid(
            f"this search did not compute {sort}: a search computes {', '.join(ACCOUNT_METRICS)}, and what its target "
            "and constraints read",
            path="/data/sort",
        )
    descending = request.descending
    if descending is None:
        descending = sort != "index" and METRICS[sort].direction == "maximize"
    page = await trials.page(
        context.database, row.id, sort=sort, descending=descending, limit=request.limit, offset=request.offset
    )
    best = await _best(context, row, task)
    return OptimizationResultsReply(
        optimization_id=row.id,
        status=row.status,
        optimization_target=task.target,
        best_params=best[0] if best else None,
        best_score=best[1] if best else None,
        total=await trials.count(context.database, row.id),
        trials=[_trial(t, task, computed) for t in page],
    )


async def cancel(context: Context, request: CancelOptimization, call: Call) -> Change:
    """Cancel a search; its trials are kept. `not_found`, `conflict` when it has come to its own end."""
    row = await tasks.cancel_one(context, call, request.optimization_id, KIND, "/data/optimization_id")
    reply = await _reply(context, row)

    async def apply(conn: Connection) -> OptimizationStatusReply:
        return reply

    return Change(apply)


async def run(context: Context, job: Job) -> None:
    """Drive a search: cut the window, evaluate the trials that are missing, report the best, go on to a verdict."""
    task = job.decode(OptimizationTask)
    data = await prepared(context, job, task.window)
    work = work_of(context, task, data)
    await _search(context, job, task, work)
    best = await _best_stored(context, job.id, task)
    if best is None:
        job.log("no trial kept the constraints", "warning")
        await job.complete(_without_winner)
        return
    params = msgspec.json.decode(best.params)
    made = await job.run("backtest", OnePoint(work=work, params=params))
    if made["disagreements"]:
        raise Internal(f"vectorbt computes other numbers: {'; '.join(made['disagreements'])}")
    origin = Origin(report_id=tasks.new_id("rp"), task_id=job.id, optimization_id=job.id, used_holdout=False)
    report = make_report(origin, task, data, made)
    verdict = None
    if task.approve is not None:
        verdict = make_task(
            context, task, params=params, report_id=report.id, optimization_id=job.id, criteria=task.approve
        )
    follow_up: list[TaskRow] = []

    async def apply(conn: Connection) -> dict[str, Any]:
        await reports.create(conn, report)
        await optimizations.set_result(conn, job.id, params, best.score, best.index)
        await optimizations.link(conn, job.id, report_id=report.id)
        result = {"best_params": params, "best_score": best.score, "report_id": report.id, "verdict_id": None}
        if verdict is not None:
            row = await insert_follow_up(conn, job.row, verdict)
            await optimizations.link(conn, job.id, verdict_id=row.id)
            follow_up.append(row)
            result["verdict_id"] = row.id
        return result

    await job.complete(apply)
    for row in follow_up:
        context.tasks.start(row)


async def _search(context: Context, job: Job, task: OptimizationTask, work: Any) -> None:
    done = await trials.done_ranges(context.database, job.id)
    size = context.settings.workers.chunk_trials
    if task.window.engine == "vectorbt":
        size = max(1, size // _SLOWER)
    ranges = missing_ranges(done, task.n_trials, size)
    n_done = task.n_trials - sum(stop - start for start, stop in ranges)
    job.log(f"{task.method}: {task.n_trials} trials, {n_done} of them done before")
    job.best = await _best_stored(context, job.id, task) if n_done else None
    job.advance(n_done, task.n_trials)
    searches = (
        Search(
            work=work,
            ranges=task.ranges,
            method=task.method,
            max_iterations=task.max_iterations,
            seed=task.seed,
            target=task.target,
            constraints=task.constraints,
            start=start,
            stop=stop,
        )
        for start, stop in ranges
    )
    async for found in job.map("search", searches):
        n_done += len(found.params)
        await _store(context, job, found, n_done / task.n_trials)
        _keep_best(job, found)
        telemetry.TRIALS.inc(len(found.params))
        job.advance(n_done, task.n_trials)


async def _store(context: Context, job: Job, found: Trials, progress: float) -> None:
    indices = range(found.start, found.start + len(found.params))

    async def write(conn: Connection) -> None:
        await trials.insert_batch(conn, job.id, indices, found.params, found.metrics, found.errors)
        await task_rows.set_progress(conn, job.id, progress, job.eta_s)

    await context.database.write(write)


def missing_ranges(done: list[tuple[int, int]], n_trials: int, size: int) -> list[tuple[int, int]]:
    """The trials 0 to n_trials that lie in no range of `done` (sorted, disjoint), in pieces of at most `size`."""
    missing: list[tuple[int, int]] = []
    at = 0
    for start, stop in [*done, (n_trials, n_trials)]:
        missing.extend((piece, min(piece + size, start)) for piece in range(at, start, size))
        at = stop
    return missing


def _keep_best(job: Job, found: Trials) -> None:
    best, now = job.best, found.best
    if now is not None and (best is None or (now.rank, -now.index) > (best.rank, -best.index)):
        job.best = now


async def _load(context: Context, optimization_id: str) -> OptimizationRow:
    row = await optimizations.get(context.database, optimization_id)
    if row is None:
        raise NotFound(f"there is no optimization {optimization_id!r}", path="/data/optimization_id")
    return row


async def _without_winner(conn: Connection) -> dict[str, Any]:
    return {"best_params": None, "best_score": None, "report_id": None, "verdict_id": None}


def _direction(target: str) -> trials.Direction:
    return METRICS[target_metric(target)].direction


async def _best(context: Context, row: TaskRow, task: OptimizationTask) -> tuple[dict[str, Any], float] | None:
    """The best trial: as stored by a finished search, so far of a running one, else among what was kept."""
    stored = await optimizations.result(context.database, row.id)
    if stored is not None:
        return stored.best_params, stored.best_score
    job = context.tasks.jobs.get(row.id)
    best = job.best if job is not None and job.best is not None else await _best_stored(context, row.id, task)
    return None if best is None else (msgspec.json.decode(best.params), best.score)


async def _best_stored(context: Context, optimization_id: str, task: OptimizationTask) -> BestTrial | None:
    name, direction = target_metric(task.target), _direction(task.target)
    found = await trials.best(context.database, optimization_id, name, direction, _constraints(task))
    if found is None:
        return None
    score = found.metrics[name] or 0.0
    rank = score if direction == "maximize" else -score
    return BestTrial(index=found.index, rank=rank, score=score, params=msgspec.json.encode(found.params).decode())


def _trial(row: trials.TrialRow, task: OptimizationTask, computed: tuple[str, ...]) -> Trial:
    kept = all(keeps(bound, row.metrics.get(bound.metric)) for bound in bounds(task.constraints))
    return Trial(
        index=row.index,
        params=row.params,
        metrics={name: row.metrics[name] for name in computed},
        eligible=kept and row.error is None,
        error=row.error,
    )


def _constraints(task: OptimizationTask) -> list[trials.Constraint]:
    return [(bound.metric, ">=" if bound.at_least else "<=", bound.limit) for bound in bounds(task.constraints)]


def _new_row(task_id: str, task: OptimizationTask, data_hash: str) -> NewOptimization:
    window = task.window
    return NewOptimization(
        id=task_id,
        strategy_id=task.strategy.id,
        strategy_version=task.strategy.version,
        venue=window.venue,
        symbol=window.symbol,
        timeframe=window.timeframe,
        param_ranges=task.ranges,
        optimization_target=task.target,
        method=task.method,
        seed=task.seed,
        n_trials=task.n_trials,
        start_date=iso(window.start_ms),
        end_date=iso(window.end_ms),
        withheld_from=window.withheld_from,
        data_hash=data_hash,
        details={"constraints": task.constraints, "costs": window.costs, "fill": window.fill, "engine": window.engine},
    )


async def _reply(context: Context, row: TaskRow) -> OptimizationStatusReply:
    task = tasks.request_of(row, OptimizationTask)
    found = await _load(context, row.id)
    progress, eta_s = tasks.live_progress(context, row)
    best = await _best(context, row, task)
    return OptimizationStatusReply(
        optimization_id=row.id,
        status=row.status,
        progress=progress,
        method=task.method,
        n_trials=task.n_trials,
        n_done=found.n_done,
        best_params=best[0] if best else None,
        best_score=best[1] if best else None,
        eta_s=eta_s,
        report_id=found.report_id,
        verdict_id=found.verdict_id,
        withheld_from=task.window.withheld_from,
        error=row.error,
    )
