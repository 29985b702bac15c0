"""Requests that change something happen once, however often they are sent.

The reply is stored in the transaction that makes the change, under the user, the client and the request's id. The same
id with the same body gets the stored reply; with another body it is a conflict. Refusals that a retry cannot mend are
stored as well. Of replies that the same request makes again, refusals among them, the newest of each user are kept, so
that nobody fills the disk by asking in vain. All this survives a restart. A copy that comes while the first is under
way waits for what is stored of it: it must not be refused for what the first has done, let alone have that refusal
stored as the reply to both.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import inspect
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

from tunesmith.domain.records import JsonObject
from tunesmith.errors import Conflict, Forbidden, TunesmithError, from_problem
from tunesmith.protocol.catalog import MESSAGES, Call, Handler
from tunesmith.protocol.envelope import Reply, Request
from tunesmith.services.requests import audit_log
from tunesmith.services.requests.earlier_bodies import CHANGED, earlier_body
from tunesmith.services.requests.operator_rights import (
    needs_operator,
    refuse_former_operator,
    refuse_rights,
    told_rights,
)
from tunesmith.services.runtime.context import Context
from tunesmith.storage.sqlite.connections import Connection
from tunesmith.storage.tables import reply_table
from tunesmith.storage.tables.reply_table import StoredReply
from tunesmith.storage.tables.task_table import TaskRow

ID_PATH = "/id"

Finish = Callable[[Context, Reply, Call], Awaitable[Reply]]


class Started(NamedTuple):
    """What a change made that also started a task: the reply, and the task to drive once it is durable."""

    reply: Reply
    task: TaskRow


class Passing(NamedTuple):
    """A reply that may be forgotten in time: the same request makes it again, and changes nothing more."""

    reply: Reply


@dataclass(frozen=True, slots=True)
class Change:
    """What a handler decided: `apply` makes the reply in the writer's transaction, `after` runs once it is durable."""

    apply: Callable[[Connection], Coroutine[Any, Any, Reply | Started | Passing]]
    after: Callable[[], None] | None = None


def unchanged(reply: Reply) -> Change:
    """The change of a request that is done already: nothing is written but its reply."""

    async def apply(conn: Connection) -> Passing:
        return Passing(reply)

    return Change(apply)


Planner = Callable[[Context, Any, Call], Awaitable[Change] | Change]
"""Decides what to do. A synchronous planner reads no state, so it cannot refuse; every check happens inside `apply`."""


def once(context: Context, plan: Planner, finish: Finish | None = None) -> Handler:
    """A handler that runs `plan` at most once for each request id; `finish` may complete the reply each time.

    An option that is for operators is refused on the spot, so that the router tells of the attempt.
    """

    under_way: dict[tuple[str, str, str], asyncio.Event] = {}
    looks = inspect.iscoroutinefunction(plan)

    def handle(request: Request, call: Call) -> Awaitable[Reply]:
        refuse_rights(request, call)
        return answer(request, call)

    async def answer(request: Request, call: Call) -> Reply:
        print_ = fingerprint(call.type, request)
        key = (call.user, call.client or "", call.id)
        while key in under_way:
            await under_way[key].wait()
        ended = under_way[key] = asyncio.Event()
        try:
            stored = await reply_table.lookup(context.database, *key) if looks else None
            reply = _again(stored, request, call) if stored else await _first(context, plan, request, call, print_)
        finally:
            del under_way[key]
            ended.set()
        return await finish(context, reply, call) if finish else reply

    return handle


def fingerprint(message_type: str, request: Request) -> str:
    """sha256 over the type and the data, the same however the JSON was written.

    Where the data was another to releases before, the print is none that they could make.
    """
    mark = "2 " if isinstance(request, CHANGED) else ""
    return _sha256(f"{mark}{message_type}", request)


def accepted_prints(message_type: str, request: Request) -> list[str]:
    """Every fingerprint under which this program or a release before may have stored its reply to a request."""
    earlier = earlier_body(request)
    return [fingerprint(message_type, request), *([] if earlier is None else [_sha256(message_type, earlier)])]


def _sha256(head: str, data: Request | JsonObject) -> str:
    return hashlib.sha256(head.encode() + b"\0" + msgspec.json.encode(data, order="sorted")).hexdigest()


async def _first(context: Context, plan: Planner, request: Request, call: Call, print_: str) -> Reply:
    try:
        planned = plan(context, request, call)
        change = planned if isinstance(planned, Change) else await planned
        made = await context.database.write(functools.partial(_apply, context, change, request, call, print_))
    except TunesmithError as error:
        if not error.retryable and error.path != ID_PATH:
            await context.database.write(functools.partial(_refuse, error, request, call, print_))
        raise
    if isinstance(made, StoredReply):
        return _again(made, request, call)
    if change.after:
        change.after()
    if isinstance(made, Started):
        context.tasks.start(made.task)
    return made if isinstance(made, Reply) else made.reply


async def _apply(
    context: Context, change: Change, request: Request, call: Call, print_: str, conn: Connection
) -> Reply | Started | Passing | StoredReply:
    """Make the change and store its reply, in one transaction; the stored reply where another request came first."""
    key = (call.user, call.client or "", call.id)
    stored = await reply_table.find(conn, *key)
    if stored:
        return stored
    if needs := needs_operator(call.type, request):
        refuse_former_operator(context, call.user)
    made = await change.apply(conn)
    reply = made if isinstance(made, Reply) else made.reply
    if needs:
        await audit_log.enter_change(conn, call, request, reply, told_rights(request, context.settings))
    text = msgspec.json.encode({"data": reply}).decode()
    await reply_table.store(conn, key, call.type, print_, text, passing=isinstance(made, Passing))
    return made


async def _refuse(error: TunesmithError, request: Request, call: Call, print_: str, conn: Connection) -> None:
    refusal = msgspec.json.encode({"error": error.problem()}).decode()
    key = (call.user, call.client or "", call.id)
    await reply_table.store(conn, key, call.type, print_, refusal, passing=True)
    if needs_operator(call.type, request) or isinstance(error, Forbidden):
        await audit_log.enter_refusal(conn, call, request, error)


def _again(stored: StoredReply, request: Request, call: Call) -> Reply:
    if stored.body_hash not in accepted_prints(call.type, request):
        raise Conflict(f"the id {call.id!r} was used before with another body", path=ID_PATH)
    answer: dict[str, Any] = msgspec.json.decode(stored.reply)
    if "error" in answer:
        raise from_problem(answer["error"])
    return msgspec.convert(answer["data"], MESSAGES[call.type].reply)
