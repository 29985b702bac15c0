"""Task kinds: one record for each, from which everything that handles tasks of any kind derives.

    TaskType (protocol)  its name, the prefix of its ids, its message types; the command line reads the same row
    TaskKind             the stored request, the driver, the status reply, further routes, limits, what it follows on

A feature makes its record with `register`. `routes.py` makes the routes and `app.py` the drivers of all that are
registered; `task.list`, `task.logs` and `task.cancel`, the reply cache and the audit log need nothing else. A record
names no lane: each chunk of work declares its own, and the tasks of one kind may use several.
"""

from __future__ import annotations

import functools
import secrets
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

import msgspec

from tunesmith import telemetry
from tunesmith.config import Settings
from tunesmith.errors import Busy, Conflict, Forbidden, Internal, NotFound
from tunesmith.protocol.catalog import Call
from tunesmith.protocol.envelope import Reply, Request
from tunesmith.protocol.task_types import TaskType
from tunesmith.services.requests.handlers import Route
from tunesmith.services.requests.idempotency import Change, Started, unchanged
from tunesmith.services.runtime.context import Context
from tunesmith.services.runtime.task_runner import Job
from tunesmith.services.tasks.tried import Tried
from tunesmith.storage.sqlite.connections import Connection, Source
from tunesmith.storage.tables import counted_table, task_table
from tunesmith.storage.tables.task_table import NewTaskRow, TaskRow

T = TypeVar("T")

PATIENCE = 0.8
"""Share of the time until a deadline for which a reply waits for its task to end: a busy machine needs the rest."""


class TaskLimits(NamedTuple):
    """`n_unfinished`: of one user's unfinished tasks, at which a new one is refused; `work_s`: of a task's chunks."""

    n_unfinished: int
    work_s: float


def _limits(settings: Settings) -> TaskLimits:
    return TaskLimits(settings.limits.tasks_per_user, settings.workers.task_timeout_s)


class NewTask(NamedTuple):
    """A task before it is stored: `request` is what its driver gets, `priority` 0 comes first."""

    kind: TaskKind
    request: msgspec.Struct
    id: str
    priority: int = 5
    label: str | None = None


class Finished(NamedTuple):
    """What a task that another one follows on has made: its id, its stored request, its best parameters, its report."""

    task_id: str
    request: Any
    params: Mapping[str, Any]
    report_id: str


@dataclass(frozen=True, slots=True)
class FollowUp:
    """How tasks of a kind follow on those of the kind named `after`, for the same user and with the same label.

    `check` refuses before the first of the two is stored; `plan` makes the second from what the first came to.
    """

    after: str
    check: Callable[[Context, Any, Call], Awaitable[None]]
    plan: Callable[[Context, Finished], Awaitable[NewTask]]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskKind:
    """One kind of task.

    `wire` is its row of the protocol's table and `request` the struct that is stored with each task; `drive` does the
    work; `show` makes the reply to the status message, read from the `Source` (within a write: its connection).
    `counts` says by a task's request what it tries out, which later verdicts count; None for a kind that tries nothing
    out itself. `routes` are the use cases of the kind's further messages, and replace those for status and cancel where
    they are named. `settles`: the status reply of a task that has ended never changes, so that it is kept. `began`
    finds the unfinished tasks that a task of this kind has started and that are cancelled with it.
    """

    wire: TaskType
    request: type[msgspec.Struct]
    drive: Callable[[Context, Job], Coroutine[Any, Any, None]]
    show: Callable[[Context, TaskRow, Source], Awaitable[Reply]]
    counts: Callable[[Any], Tried] | None
    routes: Mapping[str, Route] = field(default_factory=dict)
    limits: Callable[[Settings], TaskLimits] = _limits
    follows: FollowUp | None = None
    settles: bool = False
    began: Callable[[Source, str], Awaitable[list[str]]] | None = None

    def new(self, request: msgspec.Struct, *, priority: int = 5, label: Any = None) -> NewTask:
        """A task of this kind with a new id; a `label` that a request left out is none."""
        return NewTask(self, request, new_id(self.wire.prefix), priority, None if label is msgspec.UNSET else label)

    def all_routes(self) -> dict[str, Route]:
        """Message type → use case of every message that is about this kind alone."""
        about = (self.wire.id_field,) if self.settles else ()
        derived = {self.wire.status: Route(functools.partial(_status, self), settled_by=about)}
        if self.wire.cancel is not None and not self.wire.cancel.startswith("task."):
            derived[self.wire.cancel] = Route(functools.partial(_cancel, self))
        return {**derived, **self.routes}


KINDS: dict[str, TaskKind] = {}
"""Every kind by its name, as the features register them."""


def register(kind: TaskKind) -> TaskKind:
    """Make a kind known to all that handles tasks. Raises `Internal` for a name that another kind has."""
    if kind.wire.name in KINDS:
        raise Internal(f"two kinds of task are named {kind.wire.name}")
    KINDS[kind.wire.name] = kind
    return kind


def follow_up_of(name: str) -> FollowUp:
    """How a task of the kind `name` goes on; raises `Internal` where no kind follows on it."""
    found = next((kind.follows for kind in KINDS.values() if kind.follows and kind.follows.after == name), None)
    if found is None:
        raise Internal(f"no kind of task follows on {name}")
    return found


def install_drivers(context: Context) -> None:
    """Have the task runner drive every kind, within the kind's limit of work, and operators' tasks before others'."""
    context.tasks.drivers = {name: functools.partial(kind.drive, context) for name, kind in KINDS.items()}
    context.tasks.work_limits = {name: kind.limits(context.settings).work_s for name, kind in KINDS.items()}
    context.tasks.stands_back = lambda user: context.role_of(user) != "operator"
    telemetry.begin_counts(KINDS)


def new_id(prefix: str) -> str:
    """A new id with a prefix that tells what it is of: bt-…, opt-…, vd-…."""
    return f"{prefix}{secrets.token_hex(8)}"


async def check_quota(context: Context, call: Call, kind: TaskKind, conn: Connection | None = None) -> None:
    """Raises `Busy` when the user has as many unfinished tasks as the kind allows.

    To be asked before any work, and again within the write that stores another task (`conn`): several requests may have
    been told that there is room for one.
    """
    limit = kind.limits(context.settings).n_unfinished
    if await task_table.count_unfinished(conn or context.database, call.user) >= limit:
        raise Busy(f"{limit} of your tasks are unfinished, which is the limit", retry_after_ms=1000)


async def insert_task(conn: Connection, new: NewTask, user: str, client: str | None) -> TaskRow:
    """Store a pending task, inside the writer's transaction, and count what it is to try out."""
    row = NewTaskRow(
        id=new.id,
        kind=new.kind.wire.name,
        user=user,
        client=client,
        request=msgspec.json.encode(new.request).decode(),
        priority=new.priority,
        label=new.label,
    )
    stored = await task_table.create(conn, row)
    if new.kind.counts is not None:
        tried = new.kind.counts(new.request)
        await counted_table.insert(conn, row.id, tried.markets, tried.n_at_end)
    return stored


def start_task(
    context: Context,
    call: Call,
    new: NewTask,
    answer: Callable[[Connection, TaskRow], Awaitable[Reply]],
    *,
    known: Callable[[Connection], Awaitable[TaskRow | None]] | None = None,
) -> Change:
    """The change that stores a task within its user's quota, makes the reply by `answer`, and starts the task.

    `answer` runs in the same transaction and may store what belongs to the task. Where `known` finds the task of
    another request that asks for the same, that one is answered and nothing is stored.
    """

    async def apply(conn: Connection) -> Reply | Started:
        same = await known(conn) if known else None
        if same is not None:
            return await answer(conn, same)
        await check_quota(context, call, new.kind, conn)
        row = await insert_task(conn, new, call.user, call.client)
        context.opened.add((call.user, row.id))
        return Started(await answer(conn, row), row)

    return Change(apply)


async def load(context: Context, task_id: str, of: TaskType | None = None, path: str | None = None) -> TaskRow:
    """A stored task, of one kind where it is named; raises `NotFound`."""
    row = await task_table.get(context.database, task_id)
    if row is None or (of is not None and row.kind != of.name):
        field_name = of.id_field if of else "task_id"
        raise NotFound(f"there is no {of.name if of else 'task'} {task_id!r}", path=path or f"/data/{field_name}")
    return row


def check_owner(row: TaskRow, call: Call, path: str) -> None:
    """Raises `Forbidden` for another user's task, unless an operator asks."""
    if row.user != call.user and call.role != "operator":
        raise Forbidden("the task is another user's", path=path)


async def cancel_one(context: Context, call: Call, task_id: str, of: TaskType | None = None) -> TaskRow:
    """Cancel a task; cancelling it again is fine.

    Raises `NotFound`, `Forbidden` for another user's task, and `Conflict` when it has come to its own end.
    """
    path = f"/data/{of.id_field if of else 'task_id'}"
    row = await load(context, task_id, of)
    check_owner(row, call, path)
    if row.status != "cancelled" and not await context.tasks.cancel(row.id):
        ended = await load(context, row.id)  # by itself, or by another who cancelled it at the same time
        if ended.status != "cancelled":
            raise Conflict(f"the task has {ended.status} already", path=path)
    begun = KINDS[row.kind].began if row.kind in KINDS else None
    for each in await begun(context.database, row.id) if begun else ():
        await context.tasks.cancel(each)
    return await load(context, row.id)


def live_progress(context: Context, row: TaskRow) -> tuple[float, float | None]:
    """Progress from 0 to 1 and the seconds left, from the running job where there is one."""
    job = context.tasks.jobs.get(row.id)
    if job is not None and row.status == "running":
        return job.progress, job.eta_s
    return (1.0 if row.status == "completed" else row.progress), None


def request_of(row: TaskRow, kind: type[T]) -> T:
    """What was stored with the task when it was asked for."""
    return msgspec.json.decode(row.request, type=kind)


async def _status(kind: TaskKind, context: Context, request: Request, call: Call) -> Reply:
    """Where a task stands, and what came of it. `not_found`."""
    row = await load(context, getattr(request, kind.wire.id_field), kind.wire)
    return await kind.show(context, row, context.database)


async def _cancel(kind: TaskKind, context: Context, request: Request, call: Call) -> Change:
    """Cancel a task; what it has stored is kept. `not_found`, `forbidden`, `conflict` when it came to its own end."""
    row = await cancel_one(context, call, getattr(request, kind.wire.id_field), kind.wire)
    return unchanged(await kind.show(context, row, context.database))
