"""Verdicts: from an optimization or a backtest to a decision, and from an approval to a published package."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import msgspec

from tunesmith import telemetry
from tunesmith.compute.proof.case import Ledger
from tunesmith.domain.criteria import merge
from tunesmith.domain.messages.catalog import Call
from tunesmith.domain.messages.envelope import Reply
from tunesmith.domain.messages.verdicts import (
    Apply,
    ApprovalCriteria,
    ApproveStrategy,
    Check,
    ListVerdicts,
    VerdictById,
    VerdictList,
    VerdictReply,
)
from tunesmith.domain.thresholds import Thresholds
from tunesmith.errors import Conflict, Invalid, NotFound
from tunesmith.services import audit, ledger, proofs, tasks
from tunesmith.services.context import Context
from tunesmith.services.criteria import default_criteria, default_thresholds
from tunesmith.services.criteria_rulings import Bounds, rule_by_criteria
from tunesmith.services.evidence import public_evidence
from tunesmith.services.jobs.payloads import Prepared
from tunesmith.services.jobs.tasks import Job
from tunesmith.services.markets import on_newest_holdout
from tunesmith.services.once import Change
from tunesmith.services.packages import Approved, Ruling, compose, publish
from tunesmith.services.work import Assignment
from tunesmith.storage import holdouts, optimizations, packages, reports, verdicts
from tunesmith.storage import tasks as task_rows
from tunesmith.storage.clock import now
from tunesmith.storage.connections import Connection
from tunesmith.storage.tasks import TaskRow
from tunesmith.storage.verdicts import VerdictRow

KIND = "verdict"


class VerdictTask(Assignment, frozen=True, kw_only=True):
    """The stored request of a verdict. `until_ms`: where the data ended when it was asked for."""

    params: dict[str, bool | int | float | str]
    criteria: ApprovalCriteria
    apply: Apply
    until_ms: int
    report_id: str
    optimization_id: str | None
    thresholds: Thresholds | None = None

    @property
    def key(self) -> str:
        """What makes two requests for a verdict the same."""
        return hashlib.sha256(msgspec.json.encode(self)).hexdigest()

    def on_holdout(self, boundary_ms: int) -> VerdictTask:
        """The task with a hold-out that begins at `boundary_ms`."""
        return msgspec.structs.replace(self, window=msgspec.structs.replace(self.window, boundary_ms=boundary_ms))


async def approve(context: Context, request: ApproveStrategy, call: Call) -> Change:
    """Store the verdict's task. `not_found`, `invalid` for a subject of another strategy, `conflict`: not done."""
    if (request.optimization_id is None) == (request.backtest_id is None):
        raise Invalid("give either optimization_id or backtest_id", path="/data")
    report_id, path = await _report_of(context, request)
    report = await reports.summary(context.database, report_id)
    if report is None or report.task_id is None:
        raise NotFound("there is no such backtest", path=path)
    if report.strategy_id != request.strategy_id:
        raise Invalid(f"that is a result of the strategy {report.strategy_id!r}", path="/data/strategy_id")
    origin = await tasks.load(context, report.task_id)
    asked = tasks.request_of(origin, Assignment)
    window = await on_newest_holdout(context, asked.window)
    task = make_task(
        context,
        msgspec.structs.replace(asked, window=window),
        params=report.params,
        report_id=report.id,
        optimization_id=request.optimization_id,
        criteria=request.approval_criteria,
        apply=request.apply,
    )
    known = await verdicts.with_key(context.database, task.key)
    if known is not None:
        return Change(_given(await _finished(context, known)))
    await tasks.check_quota(context, call)
    if task.optimization_id is not None:
        await ledger.check_quota(context, task.window, task.until_ms, call.user)
    stored: list[TaskRow] = []

    async def apply(conn: Connection) -> VerdictReply:
        row = await tasks.insert(conn, call, tasks.new_id("vd"), KIND, task)
        stored.append(row)
        return _pending(row, task)

    return Change(apply, after=lambda: context.tasks.start(stored[-1]))


async def await_verdict(context: Context, reply: Reply, call: Call) -> Reply:
    """The verdict itself when it is there before the deadline, else the reply that it is under way."""
    if not isinstance(reply, VerdictReply):
        return reply
    await context.tasks.wait(reply.verdict_id, call.remaining() * 0.9)
    return await _reply(context, await tasks.load(context, reply.verdict_id))


async def status(context: Context, request: VerdictById, call: Call) -> VerdictReply:
    """The verdict, or how far it is. `not_found`."""
    row = await tasks.load(context, request.verdict_id, KIND, "/data/verdict_id")
    return await _reply(context, row)


async def get(context: Context, request: VerdictById, call: Call) -> VerdictReply:
    """The verdict with the evidence that may be shown. `not_found`."""
    reply = await status(context, request, call)
    stored = await verdicts.get(context.database, request.verdict_id) if reply.status == "completed" else None
    return reply if stored is None else msgspec.structs.replace(reply, evidence=public_evidence(stored))


async def list_all(context: Context, request: ListVerdicts, call: Call) -> VerdictList:
    """Finished verdicts, newest first."""
    rows, total = await verdicts.listing(
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
    entry = None
    if task.optimization_id is not None:
        limits = task.thresholds or default_thresholds(context.settings)
        entry = await ledger.enter(context, job, task.window, task.until_ms, limits)
        task = task.on_holdout(entry.boundary_ms)
    ruling = await (_by_criteria(context, job, task) if entry is None else _by_proof(context, job, task, entry))

    async def apply(conn: Connection) -> dict[str, Any]:
        package = None
        if ruling.approved:
            package = await compose(conn, Approved(task, ruling.data, ruling), task.params, task.apply)
        await verdicts.create(conn, _row(job, task, ruling, package.package_id if package else None))
        if package is not None:
            await publish(conn, package, verdict_id=job.id, report_id=task.report_id)
            if ruling.grade == "criteria":
                await holdouts.record_look(conn, *_look(task, ruling.data), job.row.user, "approval", job.id)
        await audit.enter_verdict(conn, job.row, ruling.status, package.package_id if package else None, ruling.reason)
        return {
            "verdict": ruling.status,
            "reason": ruling.reason,
            "package_id": package.package_id if package else None,
        }

    if await job.complete(apply):
        telemetry.VERDICTS.labels(ruling.status).inc()
        if ruling.approved:
            telemetry.PACKAGES.labels("approved").inc()


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


async def _by_proof(context: Context, job: Job, task: VerdictTask, entry: ledger.Entry) -> Ruling:
    window = task.window
    standing = await packages.standing(
        context.database, window.venue, window.symbol, window.timeframe, task.strategy.id
    )
    incumbent = None
    if standing is not None:
        incumbent = proofs.Incumbent(
            package_id=standing.id, params=standing.doc["params"], approved_at=standing.created_at
        )
    request = proofs.Request(
        optimization_id=task.optimization_id or "",
        assignment=task,
        params=dict(task.params),
        criteria=task.criteria,
        thresholds=task.thresholds or default_thresholds(context.settings),
        until_ms=task.until_ms,
        ledger=Ledger(entry.look, entry.burnt),
        incumbent=incumbent,
        seed=proofs.seed_of(job.id),
    )
    return proofs.ruling_of(request, await proofs.decide(context, job, request))


def make_task(
    context: Context,
    assignment: Assignment,
    *,
    params: Mapping[str, Any],
    report_id: str,
    optimization_id: str | None,
    criteria: ApprovalCriteria | None,
    apply: Apply = "new_trades",
) -> VerdictTask:
    """The task of a verdict on one set of parameters, with the settings' criteria where the request is silent.

    Our engine evaluates, whichever has searched: vectorbt confirms the orders in any case.
    """
    window = msgspec.structs.replace(assignment.window, engine="tunesmith")
    until = context.market.find(window.symbol, window.timeframe, window.venue).end_ms
    return VerdictTask(
        strategy=assignment.strategy,
        window=window,
        params=dict(params),
        criteria=merge(criteria, default_criteria(context.settings)),
        apply=apply,
        until_ms=until,
        report_id=report_id,
        optimization_id=optimization_id,
        thresholds=default_thresholds(context.settings) if optimization_id is not None else None,
    )


async def _report_of(context: Context, request: ApproveStrategy) -> tuple[str, str]:
    if request.optimization_id is not None:
        path = "/data/optimization_id"
        row = await tasks.load(context, request.optimization_id, "optimization", path)
        if row.status != "completed":
            raise Conflict(f"the optimization is {row.status}; a verdict needs a completed one", path=path)
        found = await optimizations.get(context.database, row.id)
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
    report = await reports.of_task(context.database, task.id)
    return (report.id if report else backtest_id), path


async def _record_look(job: Job, task: VerdictTask, data: Prepared) -> None:
    """Before the hold-out is looked at: once for each verdict, also when it is driven again after a restart."""
    if job.state.get("looked"):
        return

    async def look(conn: Connection) -> None:
        await holdouts.record_look(conn, *_look(task, data), job.row.user, "verdict", job.id)

    await job.save({**job.state, "looked": True}, look)


async def insert_follow_up(conn: Connection, parent: TaskRow, task: VerdictTask) -> TaskRow:
    """Store the verdict that a search goes on to, for the user who asked for the search."""
    return await task_rows.create(
        conn,
        task_id=tasks.new_id("vd"),
        kind=KIND,
        user=parent.user,
        client=parent.client,
        priority=parent.priority,
        request=msgspec.json.encode(task).decode(),
    )


def _row(job: Job, task: VerdictTask, ruling: Ruling, package_id: str | None) -> VerdictRow:
    window = task.window
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
        package_id=package_id,
        request_key=job.decode(VerdictTask).key,
        created_at=now(),
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
        stored = await verdicts.get(context.database, row.id)
        if stored is not None:
            return await _finished(context, stored)
    task = tasks.request_of(row, VerdictTask)
    progress, _ = tasks.live_progress(context, row)
    return msgspec.structs.replace(_pending(row, task), progress=progress, error=row.error)


async def _finished(context: Context, row: VerdictRow) -> VerdictReply:
    package = await packages.get(context.database, row.package_id) if row.package_id else None
    return VerdictReply(
        verdict_id=row.id,
        status="completed",
        progress=1.0,
        approved=row.verdict == "approved",
        verdict=row.verdict,
        reason=row.reason,
        grade=row.grade,
        checks=[msgspec.convert(check, Check) for check in row.checks],
        parameter_package=package.doc if package else None,
        strategy_id=row.strategy_id,
        optimization_id=row.optimization_id,
        report_id=row.report_id,
    )
