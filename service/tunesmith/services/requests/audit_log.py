"""The audit log: who asked, who approved, who revoked.

What changes something and is for operators alone is entered in the transaction that makes the change, or that stores
the refusal; so is every verdict, with the user who had asked for it. What was refused before a handler saw it is
entered as well: the first attempt at once, further ones of its kind counted by the second, so that nobody fills the
disk by asking in vain. What commands did to keys and tokens comes from their files (`key_acts`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

import structlog

from tunesmith.domain.records import build
from tunesmith.errors import TunesmithError, Unauthorized
from tunesmith.masking import mask
from tunesmith.protocol.catalog import Call
from tunesmith.protocol.envelope import Reply, Request
from tunesmith.protocol.messages.audit import AuditEntry, AuditList, ListAudit
from tunesmith.protocol.task_types import TASK_TYPES
from tunesmith.services.runtime.context import Context
from tunesmith.services.runtime.dates import parse_date
from tunesmith.storage.sqlite.connections import Connection
from tunesmith.storage.sqlite.database import Database
from tunesmith.storage.tables import audit_table
from tunesmith.storage.tables.audit_table import NewEntry
from tunesmith.storage.tables.task_table import TaskRow
from tunesmith.storage.timestamps import iso, now

logger = structlog.get_logger(__name__)

WINDOW_S = 1.0
_MAX_DETAIL = 500
_ABOUT = ("package_id", "optimization_id", "backtest_id", "schedule_id", "id", "symbol", "count")
"""Fields of requests that say what they are about, the more telling first."""

_MADE = ("schedule_id",)
"""Fields of replies that name what was made, beside the id of a task."""


class Who(NamedTuple):
    """Whom a refused attempt came from, where, and what it was."""

    user: str
    role: str
    door: str
    type: str


async def list_all(context: Context, request: ListAudit, call: Call) -> AuditList:
    """The log, newest first."""
    since = None if request.since is None else iso(parse_date(request.since, "/data/since"))
    rows, total = await audit_table.listing(
        context.database,
        user=request.user,
        type=request.type,
        outcome=request.outcome,
        since=since,
        limit=request.limit,
        offset=request.offset,
    )
    entries = [build(AuditEntry, row) for row in rows]
    return AuditList(entries=entries, total=total)


async def enter_change(conn: Connection, call: Call, request: Request, reply: Reply, rights: Sequence[str]) -> None:
    """Enter what an operator did, with the `rights` of operators that the request used."""
    of_task = [row.id_field for row in TASK_TYPES.values() if row.start == call.type]
    made = next((str(getattr(reply, name)) for name in (*of_task, *_MADE) if getattr(reply, name, None)), "")
    detail = "; ".join(part for part in (getattr(request, "reason", "") or made, *rights) if part)
    await audit_table.append(conn, _entry(call, request, "ok", detail))


async def enter_refusal(conn: Connection, call: Call, request: Request, error: TunesmithError) -> None:
    """Enter what a handler refused to an operator, or as none of the caller's business."""
    await audit_table.append(conn, _entry(call, request, error.code, error.message))


async def enter_verdict(conn: Connection, task: TaskRow, verdict: str, package_id: str | None, reason: str) -> None:
    """Enter what came of a verdict's task: who had asked for it has approved by it."""
    entry = NewEntry(
        time=now(),
        user=task.user,
        role="",
        door="task",
        client=task.client or "",
        type="verdict",
        request_id=task.id,
        target=package_id or "",
        outcome=verdict,
        detail=reason[:_MAX_DETAIL],
    )
    await audit_table.append(conn, entry)


async def enter_opened(conn: Connection, call: Call, task_id: str) -> None:
    """Enter that results of another user's task are delivered to the caller: a verdict of theirs counts it from now."""
    entry = build(
        NewEntry,
        call,
        time=now(),
        client=call.client or "",
        request_id=call.id,
        target=task_id,
        outcome="opened",
        detail="results of another user were delivered",
    )
    await audit_table.append(conn, entry)


class Refusals:
    """Enters attempts that were refused before a handler saw them."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._more: dict[Who, tuple[int, str, str]] = {}
        self._writes: set[asyncio.Task[None]] = set()

    def note_call(self, call: Call, error: TunesmithError) -> None:
        """A request that its sender's role does not allow; to be called on the loop."""
        who = Who(call.user, call.role, call.door, call.type)
        self._note(who, error.code, error.message, call.id, call.client or "")

    def note_stranger(self, what: str) -> None:
        """Somebody over HTTP without a token that is in force; to be called on the loop."""
        self._note(Who("", "", "http", what), Unauthorized.code, "no token, or one that is unknown or revoked")

    def note_key(self, user: str, door: str, what: str) -> None:
        """Somebody over ZeroMQ whose key is unknown (`user` empty) or revoked; to be called on the loop."""
        self._note(Who(user, "", door, ""), Unauthorized.code, what)

    def _note(self, who: Who, outcome: str, detail: str, request_id: str = "", client: str = "") -> None:
        if who in self._more:
            self._more[who] = (self._more[who][0] + 1, outcome, detail)
            return
        self._more[who] = (0, outcome, detail)
        asyncio.get_running_loop().call_later(WINDOW_S, self._close_window, who)
        self._write(_refused(who, outcome, detail, request_id=request_id, client=client))

    async def flushed(self) -> None:
        """Wait until all that was noted stands in the log."""
        for who, (n, outcome, detail) in self._more.items():
            if n:
                self._write(_refused(who, outcome, detail, n=n))
        self._more.clear()
        while self._writes:
            await asyncio.wait(list(self._writes))

    def _close_window(self, who: Who) -> None:
        n, outcome, detail = self._more.pop(who, (0, "", ""))
        if n:
            self._write(_refused(who, outcome, detail, n=n))

    def _write(self, entry: NewEntry) -> None:
        task = asyncio.get_running_loop().create_task(self._enter(entry))
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)

    async def _enter(self, entry: NewEntry) -> None:
        try:
            await self._database.write(lambda conn: audit_table.append(conn, entry))
        except TunesmithError as error:
            logger.error("a refused attempt could not be entered", user=entry.user, reason=error.message)


def _entry(call: Call, request: Request, outcome: str, detail: str) -> NewEntry:
    about = next((str(getattr(request, name)) for name in _ABOUT if getattr(request, name, None) is not None), "")
    return build(
        NewEntry,
        call,
        time=now(),
        client=call.client or "",
        request_id=call.id,
        target=mask(about),
        outcome=outcome,
        detail=mask(detail)[:_MAX_DETAIL],
    )


def _refused(who: Who, outcome: str, detail: str, *, request_id: str = "", client: str = "", n: int = 1) -> NewEntry:
    return build(
        NewEntry,
        who,
        time=now(),
        client=client,
        request_id=request_id,
        target="",
        outcome=outcome,
        detail=mask(detail)[:_MAX_DETAIL],
        n=n,
    )
