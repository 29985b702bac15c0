"""Messages about tasks: every piece of long work, whatever its kind."""

from __future__ import annotations

from typing import Any

from tunesmith.domain.names import Id
from tunesmith.protocol.envelope import Limit, Offset, Reply, Request, TaskStatus


class ListTasks(Request, frozen=True, kw_only=True):
    """`task.list`: newest first."""

    status: TaskStatus | None = None
    kind: Id | None = None
    limit: Limit = 50
    offset: Offset = 0


class CancelTask(Request, frozen=True, kw_only=True):
    """`task.cancel`: a task of any kind; what it has stored is kept."""

    task_id: Id


class TaskSummary(Reply, frozen=True, kw_only=True):
    """One task; `label` is what its user called it."""

    task_id: str
    kind: str
    status: TaskStatus
    progress: float
    user: str
    client: str | None
    created_at: str
    started_at: str | None
    completed_at: str | None
    eta_s: float | None = None
    error: dict[str, Any] | None = None
    label: str | None = None


class TaskList(Reply, frozen=True, kw_only=True):
    tasks: list[TaskSummary]
    total: int


class TaskLogs(Request, frozen=True, kw_only=True):
    """`task.logs`: log lines with a number above `after`, oldest first."""

    task_id: Id
    after: Offset = 0
    limit: Limit = 200


class LogLine(Reply, frozen=True, kw_only=True):
    n: int
    time: str
    level: str
    message: str


class TaskLogsReply(Reply, frozen=True, kw_only=True):
    task_id: str
    status: TaskStatus
    lines: list[LogLine]
