"""Events: what the daemon tells without being asked, and the topics it tells it on."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from tunesmith.protocol.envelope import Reply, TaskStatus
from tunesmith.protocol.messages.packages import Package


class PackageWithdrawn(Reply, frozen=True, kw_only=True):
    """A package that is no longer in force, and why. `suspended`: it may come into force again, as a new package."""

    package_id: str
    reason: str = ""
    suspended: bool = False


class TaskDone(Reply, frozen=True, kw_only=True):
    """A task that came to its end; `result` names what it made (report_id, verdict_id, …)."""

    task_id: str
    kind: str
    status: TaskStatus
    result: dict[str, Any] | None = None
    error: dict[str, Any] | None = None


class TaskProgress(Reply, frozen=True, kw_only=True):
    """How far a task is, from 0 to 1; `done` of `total` in the task's own unit, `eta_s` in seconds.

    `doing` says what keeps it from its work for a while, such as compiling a rule.
    """

    task_id: str
    progress: float
    done: int | None = None
    total: int | None = None
    eta_s: float | None = None
    doing: str | None = None


class Heartbeat(Reply, frozen=True, kw_only=True):
    """The head of all durable events, and of those about packages."""

    epoch: str
    head: int
    package_head: int


class EventType(NamedTuple):
    """One row: `topic` with its parts in braces; durable events carry `seq` and `prev` and can be replayed."""

    name: str
    topic: str
    data: type[Reply]
    durable: bool
    kind: Literal["pkg", "task", "hb"]


_PACKAGE = "pkg/{symbol}/{timeframe}/{strategy_id}/"
_DONE = "task/{task_id}/done/"

EVENTS: dict[str, EventType] = {
    event.name: event
    for event in (
        EventType("package.approved", _PACKAGE, Package, True, "pkg"),
        EventType("package.revoked", _PACKAGE, PackageWithdrawn, True, "pkg"),
        EventType("package.expired", _PACKAGE, PackageWithdrawn, True, "pkg"),
        EventType("task.completed", _DONE, TaskDone, True, "task"),
        EventType("task.failed", _DONE, TaskDone, True, "task"),
        EventType("task.cancelled", _DONE, TaskDone, True, "task"),
        EventType("task.progress", "task/{task_id}/progress/", TaskProgress, False, "task"),
        EventType("heartbeat", "hb/", Heartbeat, False, "hb"),
    )
}
"""Every event type by its name on the wire."""
