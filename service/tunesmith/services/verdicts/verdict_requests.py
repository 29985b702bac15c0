"""Verdicts over the wire: one is asked for, awaited, read and listed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from tunesmith.domain.approval import ApprovalCriteria, Check, VerdictWish
from tunesmith.domain.records import build
from tunesmith.errors import Conflict, Invalid, NotFound
from tunesmith.protocol.catalog import Call
from tunesmith.protocol.envelope import Reply
from tunesmith.protocol.messages.verdicts import ApproveStrategy, ListVerdicts, VerdictById, VerdictList, VerdictReply
from tunesmith.protocol.task_types import OPTIMIZATION, VERDICT
from tunesmith.services.market.market_identity import renewed_since
from tunesmith.services.market.market_windows import Assignment
from tunesmith.services.requests.handlers import Route
from tunesmith.services.requests.idempotency import Change, unchanged
from tunesmith.services.runtime.context import Context
from tunesmith.services.searches.search_tasks import OptimizationTask
from tunesmith.services.tasks.task_kinds import (
    PATIENCE,
    Finished,
    FollowUp,
    NewTask,
    TaskKind,
    check_quota,
    live_progress,
    load,
    register,
    request_of,
    start_task,
)
from tunesmith.services.verdicts import ledger, verdict_tasks
from tunesmith.services.verdicts.evidence import explanations_of, not_asked, public_evidence
from tunesmith.services.verdicts.verdict_tasks import VerdictTask, check_verdict_quota, make_task, shared
from tunesmith.storage.sqlite.connections import Connection, Source
from tunesmith.storage.tables import optimization_table, package_table, report_table, task_table, verdict_table
from tunesmith.storage.tables.task_table import TaskRow
from tunesmith.storage.tables.verdict_table import VerdictRow


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
    origin = await load(context, report.task_id)
    asked = request_of(origin, OptimizationTask if origin.kind == OPTIMIZATION.name else Assignment)
    task = await make_task(
        context,
        asked,
        params=report.params,
        report_id=report.id,
        optimization_id=request.optimization_id,
        wish=build(
            VerdictWish, request.approval_criteria or ApprovalCriteria(), accept_old_data=request.accept_old_data
        ),
        apply=request.apply,
    )
    same = await shared(context.database, task)
    if same is not None:
        return unchanged(await _show(context, same, context.database))
    await _refuse_replaced(context, task, origin)
    await check_quota(context, call, KIND)
    if task.optimization_id is not None:
        await ledger.check_quota(context, task.windows, task.until_ms, call.user)

    async def known(conn: Connection) -> TaskRow | None:
        return await shared(conn, task)

    async def answer(conn: Connection, row: TaskRow) -> VerdictReply:
        return _pending(row, task)

    return start_task(context, call, KIND.new(task, label=request.label), answer, known=known)


async def await_verdict(context: Context, reply: Reply, call: Call) -> Reply:
    """The verdict itself when it is there before the deadline, else the reply that it is under way."""
    if not isinstance(reply, VerdictReply):
        return reply
    await context.tasks.wait(reply.verdict_id, call.remaining() * PATIENCE)
    return await _show(context, await load(context, reply.verdict_id), context.database)


async def get(context: Context, request: VerdictById, call: Call) -> VerdictReply:
    """The verdict with the evidence that may be shown. `not_found`."""
    row = await load(context, request.verdict_id, VERDICT)
    reply = await _show(context, row, context.database)
    stored = await verdict_table.get(context.database, row.id) if reply.status == "completed" else None
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
    return VerdictList(verdicts=await _finished(context.database, rows), total=total)


async def _follow(context: Context, finished: Finished) -> NewTask:
    """The verdict that a search goes on to."""
    search: OptimizationTask = finished.request
    task = await make_task(
        context,
        search,
        params=finished.params,
        report_id=finished.report_id,
        optimization_id=finished.task_id,
        wish=search.approve or VerdictWish(),
    )
    await _refuse_replaced(context, task, await load(context, finished.task_id))
    return KIND.new(task)


async def _refuse_replaced(context: Context, task: VerdictTask, origin: TaskRow) -> None:
    """Raise `Conflict` for what was found on bars that were replaced since."""
    for window in task.windows:
        time = await renewed_since(context, (window.venue, window.symbol), origin.created_at)
        if time is not None:
            raise Conflict(
                f"bars of {window.symbol} that it used were replaced on {time[:19]}: what was found on them is no "
                "evidence any more; search again on those of now"
            )


async def _report_of(context: Context, request: ApproveStrategy) -> tuple[str, str]:
    if request.optimization_id is not None:
        path = "/data/optimization_id"
        row = await load(context, request.optimization_id, OPTIMIZATION)
        if row.status != "completed":
            raise Conflict(f"the optimization is {row.status}; a verdict needs a completed one", path=path)
        found = await optimization_table.get(context.database, row.id)
        if found is None or found.report_id is None:
            raise Conflict("the optimization found no trial that kept its constraints", path=path)
        return found.report_id, path
    path = "/data/backtest_id"
    backtest_id = request.backtest_id or ""
    task = await task_table.get(context.database, backtest_id)
    if task is None:
        return backtest_id, path
    if task.status != "completed":
        raise Conflict(f"the backtest is {task.status}; a verdict needs a completed one", path=path)
    report = await report_table.of_task(context.database, task.id)
    return (report.id if report else backtest_id), path


def _pending(row: TaskRow, task: VerdictTask) -> VerdictReply:
    return VerdictReply(
        verdict_id=row.id,
        status=row.status,
        progress=row.progress,
        strategy_id=task.strategy.id,
        optimization_id=task.optimization_id,
        report_id=task.report_id,
        label=row.label,
    )


async def _show(context: Context, row: TaskRow, source: Source) -> VerdictReply:
    """The verdict, or how far it is."""
    if row.status == "completed":
        stored = await verdict_table.get(source, row.id)
        if stored is not None:
            return (await _finished(source, [stored]))[0]
    task = request_of(row, VerdictTask)
    progress, _ = live_progress(context, row)
    return msgspec.structs.replace(_pending(row, task), progress=progress, error=row.error)


async def _finished(source: Source, rows: Sequence[VerdictRow]) -> list[VerdictReply]:
    labels = await task_table.labels(source, [row.id for row in rows])
    replies = []
    for row in rows:
        made = [await package_table.get(source, package_id) for package_id in row.package_ids]
        documents = [package.doc for package in made if package is not None]
        replies.append(_decided(row, documents, labels.get(row.id)))
    return replies


def _decided(row: VerdictRow, documents: list[dict[str, Any]], label: str | None) -> VerdictReply:
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
        label=label,
    )


KIND = register(
    TaskKind(
        wire=VERDICT,
        request=VerdictTask,
        drive=verdict_tasks.run,
        show=_show,
        counts=None,
        follows=FollowUp(OPTIMIZATION.name, check_verdict_quota, _follow),
        routes={
            "strategy.approve": Route(approve, await_verdict),
            "verdict.get": Route(get),
            "verdict.list": Route(list_all),
        },
    )
)
