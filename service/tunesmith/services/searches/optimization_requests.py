"""Optimizations: a search of a strategy's parameters on the in-sample part of one market or of several."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from tunesmith.compute.search.objective.objective import Objective
from tunesmith.domain.metrics import METRICS, TARGET_ALIASES
from tunesmith.domain.space.space import encode_points
from tunesmith.errors import Conflict, Forbidden, Internal, Invalid, NotFound
from tunesmith.protocol.catalog import Call
from tunesmith.protocol.messages.optimizations import (
    CancelOptimization,
    OptimizationResults,
    OptimizationResultsReply,
    OptimizationStarted,
    OptimizationStatus,
    OptimizationStatusReply,
    ResumeOptimization,
    StartOptimization,
    Trial,
)
from tunesmith.services.backtests.report_requests import Origin, make_report
from tunesmith.services.market.payload_building import Assignment, prepared, work_of
from tunesmith.services.requests.idempotency import Change
from tunesmith.services.runtime.context import Context
from tunesmith.services.runtime.task_runner import Job
from tunesmith.services.searches.search_driver import Driver, Shape
from tunesmith.services.searches.search_tasks import (
    KIND,
    OptimizationTask,
    assignments,
    best_first,
    computed_metrics,
    insert_search,
    make_search,
)
from tunesmith.services.strategies import strategy_requests
from tunesmith.services.tasks import task_requests
from tunesmith.services.verdicts.verdict_tasks import check_verdict_quota, insert_follow_up, make_task
from tunesmith.storage.sqlite.connections import Connection, Source
from tunesmith.storage.tables import optimization_table, report_table, trial_table
from tunesmith.storage.tables import task_table as task_rows
from tunesmith.storage.tables.optimization_table import OptimizationRow
from tunesmith.storage.tables.task_table import TaskRow
from tunesmith.workers.chunks.payloads import BestTrial, OnePoint, Prepared, SearchSpec, Trials, Work

_RESUMABLE = ("cancelled", "failed")


async def start(context: Context, request: StartOptimization, call: Call) -> Change:
    """Store the task and answer its id.

    `not_found` for symbol or strategy, `invalid` for ranges, target, dates and more trials than the settings allow.
    """
    if request.approve is not None and call.role != "operator":
        raise Forbidden(f"approve needs the role operator; {call.user} is a {call.role}", path="/data/approve")
    await task_requests.check_quota(context, call)
    made = await make_search(context, request)
    if request.approve is not None:
        await check_verdict_quota(context, made.task, call)
    task_id = task_requests.new_id("opt")
    stored: list[TaskRow] = []

    async def apply(conn: Connection) -> OptimizationStarted:
        await task_requests.check_quota(context, call, conn)
        stored.append(await insert_search(conn, call.user, call.client, task_id, made))
        return OptimizationStarted(
            optimization_id=task_id,
            status="pending",
            progress=0.0,
            method=made.task.plan.method,
            n_trials=made.task.plan.n_trials,
            chosen_because=made.chosen_because,
            withheld_from=made.task.window.withheld_from,
        )

    return Change(apply, after=lambda: context.tasks.start(stored[-1]))


async def status(context: Context, request: OptimizationStatus, call: Call) -> OptimizationStatusReply:
    """Where the search stands. `not_found`."""
    row = await task_requests.load(context, request.optimization_id, KIND, "/data/optimization_id")
    return await _reply(context, row)


async def results(context: Context, request: OptimizationResults, call: Call) -> OptimizationResultsReply:
    """Trials, sorted. `not_found`, `invalid` for a metric that does not exist or that this search did not compute."""
    row = await task_requests.load(context, request.optimization_id, KIND, "/data/optimization_id")
    task = task_requests.request_of(row, OptimizationTask)
    computed = computed_metrics(task.plan)
    if request.front:
        page, total = await _front(context, row, request)
    else:
        sort = TARGET_ALIASES.get(request.sort or "score", request.sort or "score")
        if sort in METRICS and sort not in computed:
            raise Invalid(
                f"this search did not compute {sort}: its target and its constraints do not read it", path="/data/sort"
            )
        descending = request.descending
        if descending is None:
            descending = best_first(sort, task.plan.target)
        page = await trial_table.page(
            context.database, row.id, sort=sort, descending=descending, limit=request.limit, offset=request.offset
        )
        total = await trial_table.count(context.database, row.id)
    best = await _best(context, context.database, row, task)
    return OptimizationResultsReply(
        optimization_id=row.id,
        status=row.status,
        optimization_target=task.plan.target,
        best_params=best[0] if best else None,
        best_score=best[1] if best else None,
        total=total,
        trials=[_trial(t, computed) for t in page],
    )


async def cancel(context: Context, request: CancelOptimization, call: Call) -> Change:
    """Cancel a search; its trials are kept. `not_found`, `conflict` when it has come to its own end."""
    row = await task_requests.cancel_one(context, call, request.optimization_id, KIND, "/data/optimization_id")
    reply = await _reply(context, row)

    async def apply(conn: Connection) -> OptimizationStatusReply:
        return reply

    return Change(apply)


async def resume(context: Context, request: ResumeOptimization, call: Call) -> Change:
    """Go on with a search that was cancelled or failed. `not_found`, `forbidden`, `conflict` for any other."""
    path = "/data/optimization_id"
    row = await task_requests.load(context, request.optimization_id, KIND, path)
    if row.user != call.user and call.role != "operator":
        raise Forbidden("the task is another user's", path=path)
    if row.status not in _RESUMABLE:
        raise Conflict(f"the search is {row.status}; only one that was cancelled or failed can go on", path=path)
    await task_requests.check_quota(context, call)
    stored: list[TaskRow] = []

    async def apply(conn: Connection) -> OptimizationStatusReply:
        await task_requests.check_quota(context, call, conn)
        if request.retry_failed:
            await trial_table.delete_failed(conn, row.id)
        again = await task_rows.restart(conn, row.id, forget="ended")
        stored.append(again)
        return await _reply(context, again, conn)

    return Change(apply, after=lambda: context.tasks.start(stored[-1]))


async def run(context: Context, job: Job) -> None:
    """Drive a search: cut the windows, make the trials that are missing, report the best, go on to a verdict."""
    task = job.decode(OptimizationTask)
    parts = assignments(task)
    data = [await prepared(context, job, part.window, slot=f"prepared/{i}") for i, part in enumerate(parts)]
    works = [work_of(context, part, cut) for part, cut in zip(parts, data, strict=True)]
    name, symbols = f"{job.id} {job.row.attempts}", [part.window.symbol for part in parts]
    spec = SearchSpec(id=name, plan=task.plan, works=works, symbols=symbols)
    objective = Objective.parse(task.plan.target)
    job.best = await _best_stored(context.database, job.id, task)
    shape = _shape(task, objective, sum(cut.n_in_sample for cut in data))
    ended = await Driver(context, job, spec, shape, on_trials=lambda f: _keep_best(job, f)).run()
    best, front = await _winner(context, job, task, objective)
    if best is None:
        job.log("no trial kept the constraints", "warning")
        await job.complete(_without_winner)
        return
    winner = _Winner(best, front, ended.stopped_by)
    await _finish(context, job, task, winner, list(zip(parts, data, works, strict=True)))


class _Winner(msgspec.Struct, frozen=True):
    best: BestTrial
    front: list[int] | None
    stopped_by: str | None


async def _finish(
    context: Context, job: Job, task: OptimizationTask, winner: _Winner, parts: list[tuple[Assignment, Prepared, Work]]
) -> None:
    """A report of the best trial on each symbol, then everything in one transaction, with the verdict's task."""
    params = msgspec.json.decode(winner.best.params)
    made = []
    for assignment, data, work in parts:
        report = await job.run("backtest", OnePoint(work=work, params=params))
        if report["disagreements"]:
            raise Internal(f"vectorbt computes other numbers: {'; '.join(report['disagreements'])}")
        origin = Origin(
            report_id=task_requests.new_id("rp"), task_id=job.id, optimization_id=job.id, used_holdout=False
        )
        made.append(make_report(origin, assignment, data, report))
    verdict = None
    if task.approve is not None:
        verdict = await make_task(
            context, task, params=params, report_id=made[0].id, optimization_id=job.id, criteria=task.approve
        )
    follow_up: list[TaskRow] = []

    async def apply(conn: Connection) -> dict[str, Any]:
        for report in made:
            await report_table.create(conn, report)
        found = optimization_table.Best(params, winner.best.score, winner.best.index)
        await optimization_table.set_result(conn, job.id, found, winner.front, winner.stopped_by)
        await optimization_table.link(conn, job.id, report_id=made[0].id)
        result = {"best_params": params, "best_score": winner.best.score, "report_id": made[0].id, "verdict_id": None}
        if verdict is not None:
            row = await insert_follow_up(conn, job.row, verdict)
            await optimization_table.link(conn, job.id, verdict_id=row.id)
            follow_up.append(row)
            result["verdict_id"] = row.id
        return result

    await job.complete(apply)
    for row in follow_up:
        context.tasks.start(row)


def _shape(task: OptimizationTask, objective: Objective, n_bars: int) -> Shape:
    parameters = strategy_requests.parse_ref(task.strategy).parameters
    n = len(parameters)

    def encode(params: list[str]) -> np.ndarray[Any, np.dtype[np.float64]]:
        rows = [encode_points(parameters, msgspec.json.decode(text)) for text in params]
        return np.concatenate(rows) if rows else np.empty((0, n))

    sign = objective.signed(np.ones((1, objective.n_targets)))[0]
    return Shape(objective.n_targets, n, encode, sign, task.stop, task.parallel, n_bars)


async def _winner(
    context: Context, job: Job, task: OptimizationTask, objective: Objective
) -> tuple[BestTrial | None, list[int] | None]:
    """The best trial; of a search for several targets the knee of the Pareto front, and the front."""
    if objective.n_targets == 1:
        return await _best_stored(context.database, job.id, task), None
    n = await trial_table.count(context.database, job.id)
    rows = await trial_table.told(context.database, job.id, n, objective.n_targets)
    found = await job.run("front", (objective.signed(rows.scores), rows.eligible))
    if not found.front:
        return None, None
    score = float(rows.scores[found.knee, 0])
    best = BestTrial(index=found.knee, rank=score, score=score, params=rows.params[found.knee])
    return best, found.front


def _keep_best(job: Job, found: Trials) -> None:
    scores = found.scores[:, 0]
    if np.isnan(scores).all():
        return
    at = int(np.nanargmax(scores))
    rank, index = float(scores[at]), found.start + at
    best = job.best
    if best is None or (rank, -index) > (best.rank, -best.index):
        job.best = BestTrial(index=index, rank=rank, score=float(found.values[at, 0]), params=found.params[at])


async def _load(source: Source, optimization_id: str) -> OptimizationRow:
    row = await optimization_table.get(source, optimization_id)
    if row is None:
        raise NotFound(f"there is no optimization {optimization_id!r}", path="/data/optimization_id")
    return row


async def _front(
    context: Context, row: TaskRow, request: OptimizationResults
) -> tuple[list[trial_table.TrialRow], int]:
    stored = await optimization_table.result(context.database, row.id)
    if stored is None or stored.front is None:
        raise Invalid("only a search for several targets that has ended has a Pareto front", path="/data/front")
    chosen = stored.front[request.offset : request.offset + request.limit]
    rows = {trial.index: trial for trial in await trial_table.some(context.database, row.id, chosen)}
    return [rows[index] for index in chosen if index in rows], len(stored.front)


async def _without_winner(conn: Connection) -> dict[str, Any]:
    return {"best_params": None, "best_score": None, "report_id": None, "verdict_id": None}


async def _best(
    context: Context, source: Source, row: TaskRow, task: OptimizationTask
) -> tuple[dict[str, Any], float] | None:
    """The best trial: as stored by a finished search, so far of a running one, else among what was kept."""
    stored = await optimization_table.result(source, row.id)
    if stored is not None:
        return stored.best_params, stored.best_score
    job = context.tasks.jobs.get(row.id)
    best = job.best if job is not None and job.best is not None else await _best_stored(source, row.id, task)
    return None if best is None else (msgspec.json.decode(best.params), best.score)


async def _best_stored(source: Source, optimization_id: str, task: OptimizationTask) -> BestTrial | None:
    descending = best_first("score", task.plan.target)
    found = await trial_table.best(source, optimization_id, descending=descending)
    if found is None or found.score is None:
        return None
    rank = found.score if descending else -found.score
    return BestTrial(index=found.index, rank=rank, score=found.score, params=msgspec.json.encode(found.params).decode())


def _trial(row: trial_table.TrialRow, computed: tuple[str, ...]) -> Trial:
    shown: dict[str, Any] = {name: getattr(row, name) for name in Trial.__struct_fields__}
    return Trial(**{**shown, "metrics": {name: row.metrics[name] for name in computed}})


async def _reply(context: Context, row: TaskRow, conn: Connection | None = None) -> OptimizationStatusReply:
    """The status of a search; within a write, what `conn` has of it."""
    source = conn or context.database
    task = task_requests.request_of(row, OptimizationTask)
    found = await _load(source, row.id)
    progress, eta_s = task_requests.live_progress(context, row)
    best = await _best(context, source, row, task)
    stored = await optimization_table.result(source, row.id)
    return OptimizationStatusReply(
        optimization_id=row.id,
        status=row.status,
        progress=progress,
        method=task.plan.method,
        n_trials=found.n_trials,
        n_done=found.n_done,
        n_failed=await trial_table.count_failed(source, row.id),
        stopped_by=stored.stopped_by if stored else None,
        best_params=best[0] if best else None,
        best_score=best[1] if best else None,
        eta_s=eta_s,
        report_id=found.report_id,
        verdict_id=found.verdict_id,
        withheld_from=task.window.withheld_from,
        error=row.error,
    )
