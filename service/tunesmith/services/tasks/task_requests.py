"""Tasks over the wire, whatever their kind: listing, logs, cancelling."""

from __future__ import annotations

from tunesmith.domain.records import build
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
from tunesmith.services.requests.idempotency import Change, unchanged
from tunesmith.services.runtime.context import Context
from tunesmith.services.tasks.task_kinds import cancel_one, live_progress, load
from tunesmith.storage.tables import task_table
from tunesmith.storage.tables.task_table import TaskRow


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
        lines=[build(LogLine, line) for line in lines],
    )


async def cancel(context: Context, request: CancelTask, call: Call) -> Change:
    """Cancel a task of any kind. `not_found`, `forbidden`, `conflict` when it has come to its own end."""
    return unchanged(_summary(context, await cancel_one(context, call, request.task_id)))


def _summary(context: Context, row: TaskRow) -> TaskSummary:
    progress, eta_s = live_progress(context, row)
    return build(TaskSummary, row, task_id=row.id, progress=progress, eta_s=eta_s)
