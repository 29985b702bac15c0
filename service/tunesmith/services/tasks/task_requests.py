"""Tasks over the wire: submission, listing, logs."""

from __future__ import annotations

import secrets
from typing import Any, TypeVar

import msgspec

from tunesmith.errors import Busy, Conflict, Forbidden, NotFound
from tunesmith.protocol.catalog import Call
from tunesmith.protocol.messages.tasks import (
    CancelTask,
    ListTasks,
    LogLine,
    TaskList,
    TaskLogs,
    TaskLogsReply,
    TaskSummary,
)
from tunesmith.services.requests.idempotency import Change
from tunesmith.services.runtime.context import Context
from tunesmith.storage.sqlite.connections import Connection
from tunesmith.storage.tables import session_table, task_table
from tunesmith.storage.tables.task_table import TaskRow

T = TypeVar("T")

PATIENCE = 0.8
"""Share of the time until a deadline for which a reply waits for its task to end: a busy machine needs the rest."""


def new_id(prefix: str) -> str:
    """A task id that tells its kind: bt-…, opt-…, vd-…."""
    return f"{prefix}-{secrets.token_hex(8)}"


async def check_quota(context: Context, call: Call, conn: Connection | None = None) -> None:
    """Raises `Busy` when the user has as many unfinished tasks as the settings allow.

    To be asked before any work, and again within the write that stores another task (`conn`): several requests may have
    been told that there is room for one.
    """
    limit = context.settings.limits.tasks_per_user
    if await task_table.count_unfinished(conn or context.database, call.user) >= limit:
        raise Busy(f"{limit} of your tasks are unfinished, which is the limit", retry_after_ms=1000)


async def insert(conn: Connection, call: Call, task_id: str, kind: str, request: Any, priority: int = 5) -> TaskRow:
    """Store a pending task, inside the writer's transaction."""
    return await task_table.create(
        conn,
        task_id=task_id,
        kind=kind,
        user=call.user,
        client=call.client,
        priority=priority,
        request=msgspec.json.encode(request).decode(),
    )


async def load(context: Context, task_id: str, kind: str | None = None, path: str = "/data/task_id") -> TaskRow:
    """A stored task, of `kind` where one is named; raises `NotFound`."""
    row = await task_table.get(context.database, task_id)
    if row is None or (kind is not None and row.kind != kind):
        raise NotFound(f"there is no {kind or 'task'} {task_id!r}", path=path)
    return row


async def cancel_one(
    context: Context, call: Call, task_id: str, kind: str | None = None, path: str = "/data/task_id"
) -> TaskRow:
    """Cancel a task; cancelling it again is fine.

    Raises `NotFound`, `Forbidden` for another user's task, and `Conflict` when it has come to its own end.
    """
    row = await load(context, task_id, kind, path)
    if row.user != call.user and call.role != "operator":
        raise Forbidden("the task is another user's", path=path)
    if row.status != "cancelled" and not await context.tasks.cancel(row.id):
        ended = await load(context, row.id)  # by itself, or by another who cancelled it at the same time
        if ended.status != "cancelled":
            raise Conflict(f"the task has {ended.status} already", path=path)
    for search in await session_table.unfinished_searches(context.database, row.id):
        await context.tasks.cancel(search)
    return await load(context, row.id)


async def cancel(context: Context, request: CancelTask, call: Call) -> Change:
    """Cancel a task of any kind. `not_found`, `forbidden`, `conflict` when it has come to its own end."""
    reply = _summary(context, await cancel_one(context, call, request.task_id))

    async def apply(conn: Connection) -> TaskSummary:
        return reply

    return Change(apply)


def live_progress(context: Context, row: TaskRow) -> tuple[float, float | None]:
    """Progress from 0 to 1 and the seconds left, from the running job where there is one."""
    job = context.tasks.jobs.get(row.id)
    if job is not None and row.status == "running":
        return job.progress, job.eta_s
    return (1.0 if row.status == "completed" else row.progress), None


def request_of(row: TaskRow, kind: type[T]) -> T:
    """What was stored with the task when it was asked for."""
    return msgspec.json.decode(row.request, type=kind)


async def list_all(context: Context, request: ListTasks, call: Call) -> TaskList:
    """Tasks, newest first."""
    page = await task_table.listing(
        context.database, status=request.status, kind=request.kind, limit=request.limit, offset=request.offset
    )
    return TaskList(tasks=[_summary(context, row) for row in page.rows], total=page.total)


async def logs(context: Context, request: TaskLogs, call: Call) -> TaskLogsReply:
    """A task's log lines. `not_found`."""
    row = await load(context, request.task_id)
    lines = await task_table.logs(context.database, request.task_id, after=request.after, limit=request.limit)
    return TaskLogsReply(
        task_id=row.id,
        status=row.status,
        lines=[LogLine(n=line.n, time=line.time, level=line.level, message=line.message) for line in lines],
    )


def _summary(context: Context, row: TaskRow) -> TaskSummary:
    progress, eta_s = live_progress(context, row)
    return TaskSummary(
        task_id=row.id,
        kind=row.kind,
        status=row.status,
        progress=progress,
        user=row.user,
        client=row.client,
        created_at=row.created_at,
        started_at=row.started_at,
        completed_at=row.completed_at,
        eta_s=eta_s,
        error=row.error,
    )
