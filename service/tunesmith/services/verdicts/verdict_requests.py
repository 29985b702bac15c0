"""Verdicts: from an optimization or a backtest to a decision, and from an approval to a published package."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import msgspec

from tunesmith import telemetry
from tunesmith.compute.decision.inputs import Ledger
from tunesmith.domain.approval import Check
from tunesmith.errors import Conflict, Invalid, NotFound
from tunesmith.protocol.catalog import Call
from tunesmith.protocol.envelope import Reply
from tunesmith.protocol.messages.packages import Package
from tunesmith.protocol.messages.verdicts import ApproveStrategy, ListVerdicts, VerdictById, VerdictList, VerdictReply
from tunesmith.services.market.market_windows import Window
from tunesmith.services.market.payload_building import Assignment
from tunesmith.services.packages.package_requests import Approved, Ruling, compose, publish
from tunesmith.services.requests import audit_log
from tunesmith.services.requests.idempotency import Change
from tunesmith.services.runtime.context import Context
from tunesmith.services.runtime.task_runner import Job
from tunesmith.services.searches.approval_criteria import default_thresholds
from tunesmith.services.searches.search_tasks import KIND as SEARCH
from tunesmith.services.searches.search_tasks import OptimizationTask
from tunesmith.services.tasks import task_requests
from tunesmith.services.verdicts import ledger, search_decision
from tunesmith.services.verdicts.criteria_decision import Bounds, rule_by_criteria
from tunesmith.services.verdicts.evidence import explanations_of, not_asked, public_evidence
from tunesmith.services.verdicts.verdict_tasks import KIND, VerdictTask, make_task, shared
from tunesmith.storage.sqlite.connections import Connection
from tunesmith.storage.tables import holdout_table, optimization_table, package_table, report_table, verdict_table
from tunesmith.storage.tables import task_table as task_rows
from tunesmith.storage.tables.task_table import TaskRow
from tunesmith.storage.tables.verdict_table import VerdictRow
from tunesmith.storage.timestamps import now
from tunesmith.workers.chunks.payloads import Prepared


async def approve(context: Context, request: ApproveStrategy, call: Call) -> Change:
    """Store the verdict's task. `not_found`, `invalid` for a subject of another strategy, `conflict`: not done."""
    if (request.optimization_id is None) == (request.backtest_id is None):
        raise Invalid("give either optimization_id or backtest_id", path="/data")
    report_id, path = await _report_of(context, request)
    report = await report_table.summary(context.database, report_id)
    if report is None or report.task_id is None:
        raise NotFound("there is no such backtest", path=path)
    if report.strategy_id != request.strategy_id:
        raise Invalid(f"that is a result of the strategy {report.strategy_id!r}", path="/data/strategy_id")
    origin = await task_requests.load(context, report.task_id)
    asked = task_requests.request_of(origin, OptimizationTask if origin.kind == SEARCH else Assignment)
    task = await make_task(
        context,
        asked,
        params=report.params,
        report_id=report.id,
        optimization_id=request.optimization_id,
        criteria=request.approval_criteria,
        apply=request.apply,
    )
    same = await shared(context.database, task)
    if same is not None:
        return Change(_given(await _reply(context, same)))
    await task_requests.check_quota(context, call)
    if task.optimization_id is not None:
        await ledger.check_quota(context, task.windows, task.until_ms, call.user)
    stored: list[TaskRow] = []

    async def apply(conn: Connection) -> VerdictReply:
        row = await shared(conn, task)
        if row is None:
            await task_requests.check_quota(context, call, conn)
            row = await task_requests.insert(conn, call, task_requests.new_id("vd"), KIND, task)
            stored.append(row)
        return _pending(row, task)

    return Change(apply, after=lambda: _start(context, stored))


async def await_verdict(context: Context, reply: Reply, call: Call) -> Reply:
    """The verdict itself when it is there before the deadline, else the reply that it is under way."""
    if not isinstance(reply, VerdictReply):
        return reply
    await context.tasks.wait(reply.verdict_id, call.remaining() * task_requests.PATIENCE)
    return await _reply(context, await task_requests.load(context, reply.verdict_id))


async def status(context: Context, request: VerdictById, call: Call) -> VerdictReply:
    """The verdict, or how far it is. `not_found`."""
    row = await task_requests.load(context, request.verdict_id, KIND, "/data/verdict_id")
    return await _reply(context, row)


async def get(context: Context, request: VerdictById, call: Call) -> VerdictReply:
    """The verdict with the evidence that may be shown. `not_found`."""
    reply = await status(context, request, call)
    stored = await verdict_table.get(context.database, request.verdict_id) if reply.status == "completed" else None
    if stored is None:
        return reply
    return msgspec.structs.replace(
        reply,
        evidence=public_evidence(stored),
        explanations=explanations_of(stored),
        not_asked=not_asked(stored),
    )


async def list_all(context: Context, request: ListVerdicts, call: Call) -> VerdictList:
    """Finished verdicts, newest first."""
    rows, total = await verdict_table.listing(
        context.database,
        symbol=request.symbol,
        strategy_id=request.strategy_id,
        limit=request.limit,
        offset=request.offset,
    )
    return VerdictList(verdicts=[await _finished(context, row) for row in rows], total=total)


async def run(context: Context, job: Job) -> None:
    """Drive a verdict; verdict, package and event are stored in one step.

    A search is proven or refused by statistics; a lone backtest can keep the criteria, which uses the hold-out up.
    """
    task = job.decode(VerdictTask)
    by_statistics = task.optimization_id is not None
    ruling = await (_by_proof if by_statistics else _by_criteria)(context, job, task)

    async def apply(conn: Connection) -> dict[str, Any]:
        made: dict[str, Package] = {}
        together = [window.symbol for window in task.windows]
        for window, data in zip(task.windows, (ruling.data, *ruling.others), strict=True):
            if not ruling.approved or (ruling.kept is not None and window.symbol not in ruling.kept):
                continue
            of_now = msgspec.structs.replace(window, boundary_ms=ruling.evidence["boundary_ms"])
            of = Assignment(strategy=task.strategy, window=of_now)
            made[window.symbol] = await compose(conn, Approved(of, data, ruling, together), task.params, task.apply)
        await verdict_table.create(conn, _row(job, task, ruling, made))
        for package in made.values():
            await publish(conn, package, verdict_id=job.id, report_id=task.report_id)
        if made and ruling.grade == "criteria":
            await holdout_table.record_look(conn, *_look(task, ruling.data), job.row.user, "approval", job.id)
        package_ids: list[str | None] = [package.package_id for package in made.values()] or [None]
        for package_id in package_ids:
            await audit_log.enter_verdict(conn, job.row, ruling.status, package_id, ruling.reason)
        return {
            "verdict": ruling.status,
            "reason": ruling.reason,
            "package_id": package_ids[0],
        }

    if await job.complete(apply):
        telemetry.VERDICTS.labels(ruling.status).inc()
        if ruling.approved:
            telemetry.PACKAGES.labels("approved").inc(len(ruling.kept or (task.window.symbol,)))


async def _by_criteria(context: Context, job: Job, task: VerdictTask) -> Ruling:
    async def look(data: Prepared) -> None:
        await _record_look(job, task, data)

    bounds = Bounds(
        params=task.params,
        criteria=task.criteria,
        until_ms=task.until_ms,
        min_bars=context.settings.decision.min_bars,
    )
    return await rule_by_criteria(context, job, task, bounds, look)


async def _by_proof(context: Context, job: Job, task: VerdictTask) -> Ruling:
    limits = task.thresholds or default_thresholds(context.settings)
    while True:
        request = search_decision.Request(
            optimization_id=task.optimization_id or "",
            strategy=task.strategy,
            windows=task.windows,
            params=dict(task.params),
            criteria=task.criteria,
            thresholds=limits,
            until_ms=task.until_ms,
            seed=search_decision.seed_of(job.id),
        )
        ground = await search_decision.prepare(context, job, request)
        asked = ledger.Asked(windows=task.windows, end_ms=task.until_ms, thresholds=limits, sound=ground.sound)
        entry = await ledger.enter(context, job, asked)
        if entry.boundary_ms == request.boundary_ms:
            break
        task = task.on_holdout(entry.boundary_ms)
    standing = [await _incumbent(context, task, window) for window in task.windows]
    decided = await search_decision.decide(context, job, ground, Ledger(entry.look, entry.burnt), standing)
    return search_decision.ruling_of(decided)


async def _incumbent(context: Context, task: VerdictTask, window: Window) -> search_decision.Incumbent | None:
    row = await package_table.standing(
        context.database, window.venue, window.symbol, window.timeframe, task.strategy.id
    )
    if row is None:
        return None
    return search_decision.Incumbent(package_id=row.id, params=row.doc["params"], approved_at=row.created_at)


async def _report_of(context: Context, request: ApproveStrategy) -> tuple[str, str]:
    if request.optimization_id is not None:
        path = "/data/optimization_id"
        row = await task_requests.load(context, request.optimization_id, "optimization", path)
        if row.status != "completed":
            raise Conflict(f"the optimization is {row.status}; a verdict needs a completed one", path=path)
        found = await optimization_table.get(context.database, row.id)
        if found is None or found.report_id is None:
            raise Conflict("the optimization found no trial that kept its constraints", path=path)
        return found.report_id, path
    path = "/data/backtest_id"
    backtest_id = request.backtest_id or ""
    task = await task_rows.get(context.database, backtest_id)
    if task is None:
        return backtest_id, path
    if task.status != "completed":
        raise Conflict(f"the backtest is {task.status}; a verdict needs a completed one", path=path)
    report = await report_table.of_task(context.database, task.id)
    return (report.id if report else backtest_id), path


async def _record_look(job: Job, task: VerdictTask, data: Prepared) -> None:
    """Before the hold-out is looked at: once for each verdict, also when it is driven again after a restart."""
    if job.state.get("looked"):
        return

    async def look(conn: Connection) -> None:
        await holdout_table.record_look(conn, *_look(task, data), job.row.user, "verdict", job.id)

    await job.save({**job.state, "looked": True}, look)


def _start(context: Context, stored: list[TaskRow]) -> None:
    for row in stored:
        context.tasks.start(row)


def _row(job: Job, task: VerdictTask, ruling: Ruling, made: Mapping[str, Package]) -> VerdictRow:
    window = task.window
    package_ids = {symbol: package.package_id for symbol, package in made.items()}
    return VerdictRow(
        id=job.id,
        user=job.row.user,
        strategy_id=task.strategy.id,
        optimization_id=task.optimization_id,
        report_id=task.report_id,
        venue=window.venue,
        symbol=window.symbol,
        timeframe=window.timeframe,
        verdict=ruling.status,
        grade=ruling.grade if ruling.approved else None,
        reason=ruling.reason,
        checks=[msgspec.to_builtins(check) for check in ruling.shown],
        evidence=evidence_of(task, ruling),
        package_id=package_ids.get(window.symbol),
        request_key=job.decode(VerdictTask).key,
        created_at=now(),
        others=[
            {"venue": other.venue, "symbol": other.symbol, "package_id": package_ids.get(other.symbol)}
            for other in task.others
        ],
    )


def evidence_of(task: VerdictTask, ruling: Ruling) -> dict[str, Any]:
    """What is kept of a ruling so that it can be explained and made again."""
    return {
        "criteria": msgspec.to_builtins(task.criteria),
        "data_hash": ruling.data.snapshot,
        "code_hash": task.strategy.code_hash,
        "checks": [msgspec.to_builtins(check) for check in ruling.checks],
        **ruling.evidence,
    }


def _look(task: VerdictTask, data: Prepared) -> tuple[str, str, tuple[int, int]]:
    return task.window.venue, task.window.symbol, (task.window.start_ms, data.end_ms)


def _given(reply: VerdictReply) -> Callable[[Connection], Coroutine[Any, Any, VerdictReply]]:
    async def apply(conn: Connection) -> VerdictReply:
        return reply

    return apply


def _pending(row: TaskRow, task: VerdictTask) -> VerdictReply:
    return VerdictReply(
        verdict_id=row.id,
        status=row.status,
        progress=row.progress,
        strategy_id=task.strategy.id,
        optimization_id=task.optimization_id,
        report_id=task.report_id,
    )


async def _reply(context: Context, row: TaskRow) -> VerdictReply:
    if row.status == "completed":
        stored = await verdict_table.get(context.database, row.id)
        if stored is not None:
            return await _finished(context, stored)
    task = task_requests.request_of(row, VerdictTask)
    progress, _ = task_requests.live_progress(context, row)
    return msgspec.structs.replace(_pending(row, task), progress=progress, error=row.error)


async def _finished(context: Context, row: VerdictRow) -> VerdictReply:
    made = [await package_table.get(context.database, package_id) for package_id in row.package_ids]
    documents = [package.doc for package in made if package is not None]
    return VerdictReply(
        verdict_id=row.id,
        status="completed",
        progress=1.0,
        approved=row.verdict == "approved",
        verdict=row.verdict,
        reason=row.reason,
        grade=row.grade,
        checks=[msgspec.convert(check, Check) for check in row.checks],
        parameter_package=documents[0] if documents else None,
        parameter_packages=documents,
        strategy_id=row.strategy_id,
        optimization_id=row.optimization_id,
        report_id=row.report_id,
    )
