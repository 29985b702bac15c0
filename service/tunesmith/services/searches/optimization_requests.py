"""Optimizations over the wire: a search of a strategy's parameters is started, watched, read, resumed."""

from __future__ import annotations

from typing import Any

import msgspec

from tunesmith.compute.search.objective.objective import Objective
from tunesmith.domain.metrics import METRICS, TARGET_ALIASES
from tunesmith.domain.records import build
from tunesmith.errors import Conflict, Invalid, NotFound
from tunesmith.protocol.catalog import Call
from tunesmith.protocol.messages.optimizations import (
    OptimizationResults,
    OptimizationResultsReply,
    OptimizationStarted,
    OptimizationStatusReply,
    ResumeOptimization,
    StartOptimization,
    Trial,
)
from tunesmith.protocol.task_types import OPTIMIZATION
from tunesmith.services.requests.handlers import Route
from tunesmith.services.requests.idempotency import Change, Started
from tunesmith.services.runtime.context import Context
from tunesmith.services.searches import analysis_requests, search_driver
from tunesmith.services.searches.search_tasks import (
    NewSearch,
    OptimizationTask,
    best_first,
    computed_metrics,
    make_search,
    store_search,
    warnings_without_report,
)
from tunesmith.services.tasks.task_kinds import (
    TaskKind,
    check_owner,
    check_quota,
    follow_up_of,
    insert_task,
    live_progress,
    load,
    register,
    request_of,
    start_task,
)
from tunesmith.services.tasks.tried import Tried
from tunesmith.storage.sqlite.connections import Connection, Source
from tunesmith.storage.tables import optimization_table, report_table, task_table, trial_table
from tunesmith.storage.tables.task_table import TaskRow

_RESUMABLE = ("cancelled", "failed")


async def start(context: Context, request: StartOptimization, call: Call) -> Change:
    """Store the task and answer its id.

    `not_found` for symbol or strategy, `invalid` for ranges, target, dates and more trials than the settings allow.
    """
    await check_quota(context, call, KIND)
    made = await make_search(context, request)
    if request.approve is not None:
        await follow_up_of(OPTIMIZATION.name).check(context, made.task, call)
    new = KIND.new(made.task, priority=made.priority, label=made.label)

    async def answer(conn: Connection, row: TaskRow) -> OptimizationStarted:
        await store_search(conn, row.id, made)
        return build(
            OptimizationStarted,
            made.task.plan,
            made.task.window,
            made,
            optimization_id=row.id,
            status="pending",
            progress=0.0,
        )

    return start_task(context, call, new, answer)


async def insert_search(conn: Connection, user: str, client: str | None, made: NewSearch) -> TaskRow:
    """Store a search that no request of its own asks for, as a pending task with a new id."""
    new = KIND.new(made.task, priority=made.priority, label=made.label)
    row = await insert_task(conn, new, user, client)
    await store_search(conn, row.id, made)
    return row


async def results(context: Context, request: OptimizationResults, call: Call) -> OptimizationResultsReply:
    """Trials, sorted. `not_found`, `invalid` for a metric that does not exist or that this search did not compute."""
    row = await load(context, request.optimization_id, OPTIMIZATION)
    task = request_of(row, OptimizationTask)
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


async def resume(context: Context, request: ResumeOptimization, call: Call) -> Change:
    """Go on with a search that was cancelled or failed. `not_found`, `forbidden`, `conflict` for any other."""
    path = "/data/optimization_id"
    row = await load(context, request.optimization_id, OPTIMIZATION)
    check_owner(row, call, path)
    if row.status not in _RESUMABLE:
        raise Conflict(f"the search is {row.status}; only one that was cancelled or failed can go on", path=path)
    await check_quota(context, call, KIND)

    async def apply(conn: Connection) -> Started:
        await check_quota(context, call, KIND, conn)
        if request.retry_failed:
            await trial_table.delete_failed(conn, row.id)
        again = await task_table.restart(conn, row.id, forget="ended")
        return Started(await _show(context, again, conn), again)

    return Change(apply)


async def _front(
    context: Context, row: TaskRow, request: OptimizationResults
) -> tuple[list[trial_table.TrialRow], int]:
    stored = await optimization_table.result(context.database, row.id)
    if stored is None or stored.front is None:
        raise Invalid("only a search for several targets that has ended has a Pareto front", path="/data/front")
    chosen = stored.front[request.offset : request.offset + request.limit]
    rows = {trial.index: trial for trial in await trial_table.some(context.database, row.id, chosen)}
    return [rows[index] for index in chosen if index in rows], len(stored.front)


async def _best(
    context: Context, source: Source, row: TaskRow, task: OptimizationTask
) -> tuple[dict[str, Any], float] | None:
    """The best trial: as stored by a finished search, so far of a running one, else among what was kept."""
    stored = await optimization_table.result(source, row.id)
    if stored is not None:
        return stored.best_params, stored.best_score
    job = context.tasks.jobs.get(row.id)
    best = (
        job.best
        if job is not None and job.best is not None
        else await search_driver.best_stored(source, row.id, Objective.parse(task.plan.target))
    )
    return None if best is None else (msgspec.json.decode(best.params), best.score)


def _trial(row: trial_table.TrialRow, computed: tuple[str, ...]) -> Trial:
    return build(Trial, row, metrics={name: row.metrics[name] for name in computed})


async def _show(context: Context, row: TaskRow, source: Source) -> OptimizationStatusReply:
    """Where a search stands."""
    found = await optimization_table.get(source, row.id)
    if found is None:
        raise NotFound(f"there is no optimization {row.id!r}", path="/data/optimization_id")
    task = request_of(row, OptimizationTask)
    progress, eta_s = live_progress(context, row)
    best = await _best(context, source, row, task)
    stored = await optimization_table.result(source, row.id)
    report = await report_table.summary(source, found.report_id) if found.report_id else None
    warnings = report.warnings if report else []
    if report is None and row.status == "completed":
        warnings = warnings_without_report(task)
    return build(
        OptimizationStatusReply,
        row,
        found,
        task.window,
        optimization_id=row.id,
        progress=progress,
        method=task.plan.method,
        stopped_by=stored.stopped_by if stored else None,
        best_params=best[0] if best else None,
        best_score=best[1] if best else None,
        eta_s=eta_s,
        warnings=warnings,
    )


def _tried(task: OptimizationTask) -> Tried:
    return Tried(task.strategy, [task.window, *task.others], plan=task.plan)


KIND = register(
    TaskKind(
        wire=OPTIMIZATION,
        request=OptimizationTask,
        drive=search_driver.run,
        show=_show,
        counts=_tried,
        settles=True,
        routes={
            "optimization.start": Route(start),
            "optimization.results": Route(results, settled_by=("optimization_id",)),
            "optimization.resume": Route(resume),
            "optimization.analyze": Route(analysis_requests.analyze, settled_by=("optimization_id",)),
            "optimization.compare": Route(analysis_requests.compare, settled_by=("a", "b")),
            "optimization.export": Route(analysis_requests.export),
        },
    )
)
