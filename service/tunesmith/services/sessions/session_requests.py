"""Sessions: every strategy on every symbol, generated, executed, watched and read as one.

A session is stored with one `optimization.start` for each of its searches. Executing it is a task with the session's
id, which starts the searches one after the other (each uses every worker) and waits for them; what is done is done, so
that it can be cancelled and resumed at any time.
"""

from __future__ import annotations

import secrets
import time
from datetime import UTC, datetime

import msgspec

from tunesmith.domain.metrics import TARGET_ALIASES
from tunesmith.domain.records import build
from tunesmith.domain.search.methods import Method, MethodOptions
from tunesmith.errors import Conflict, Forbidden, Invalid, NotFound, TunesmithError
from tunesmith.protocol.catalog import Call
from tunesmith.protocol.messages.optimizations import StartOptimization
from tunesmith.protocol.messages.sessions import (
    CancelSession,
    CleanSessions,
    ExecuteSession,
    GenerateSession,
    ListSessions,
    SessionList,
    SessionReply,
    SessionRequest,
    SessionResults,
    SessionResultsReply,
    SessionsCleaned,
    SessionStatus,
)
from tunesmith.protocol.task_types import SESSION
from tunesmith.services.requests.handlers import Route
from tunesmith.services.requests.idempotency import Change, Started
from tunesmith.services.runtime.context import Context
from tunesmith.services.searches.search_tasks import NewSearch, best_first, check_session, make_search
from tunesmith.services.sessions.session_runs import SessionTask, reopen, run
from tunesmith.services.sessions.session_views import n_failed, reply_of, trial_of
from tunesmith.services.tasks.task_kinds import NewTask, TaskKind, cancel_one, check_quota, insert_task, register
from tunesmith.storage.sqlite.connections import Connection, Source
from tunesmith.storage.tables import session_table, task_table, trial_table
from tunesmith.storage.tables.session_table import ItemRow, SessionRow
from tunesmith.storage.tables.task_table import TaskRow
from tunesmith.storage.timestamps import iso, now

_ALL_POINTS = 100_000_000
_DAY_S = 86_400
_METHODS: dict[str, Method] = {
    "exhaustive": "grid",
    "grid": "grid",
    "random": "random",
    "latin_hypercube": "latin_hypercube",
    "sobol": "sobol",
}


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """One search of a session before it is stored."""

    request: StartOptimization
    made: NewSearch


async def plan_items(context: Context, request: SessionRequest) -> list[Planned]:
    """The searches that a request means; `invalid` and `not_found` as for each of them, with the session's paths."""
    unknown = sorted(set(request.param_ranges) - set(request.strategies))
    if unknown:
        raise Invalid(f"{unknown[0]!r} is not among the strategies", path=f"/data/param_ranges/{unknown[0]}")
    if request.size is None and request.mode != "exhaustive":
        raise Invalid(f"the mode {request.mode} needs a size", path="/data/size")
    planned = []
    for i, strategy_id in enumerate(request.strategies):
        for j, symbol in enumerate(request.symbols):
            asked = _search_of(request, symbol, strategy_id)
            try:
                made = await make_search(context, asked)
                if request.mode == "grid" and request.size is not None and made.task.plan.n_trials > request.size:
                    every = -(-made.task.plan.n_trials // request.size)
                    asked = msgspec.structs.replace(asked, options=MethodOptions(every=every))
                    made = await make_search(context, asked)
            except TunesmithError as error:
                raise _placed(error, i, j, strategy_id) from error
            planned.append(Planned(request=asked, made=made))
    return planned


async def generate(context: Context, request: GenerateSession, call: Call) -> Change:
    """Store a session. `not_found`, `invalid` as for its searches."""
    planned = await plan_items(context, request)
    check_session(context, [item.made.seconds for item in planned])
    session_id = new_session_id()
    while await session_table.get(context.database, session_id):
        session_id = new_session_id()
    session = SessionRow(
        id=session_id,
        mode=request.mode,
        user=call.user,
        client=call.client,
        optimization_target=msgspec.json.encode(request.optimization_target).decode(),
        request=msgspec.to_builtins(request),
        n_items=len(planned),
        n_trials=sum(item.made.task.plan.n_trials for item in planned),
        status="created",
        created_at=now(),
    )
    items = [
        ItemRow(
            session_id=session_id,
            number=number,
            symbol=item.made.task.window.symbol,
            strategy_id=item.made.task.strategy.id,
            n_trials=item.made.task.plan.n_trials,
            request=msgspec.to_builtins(item.request),
        )
        for number, item in enumerate(planned)
    ]

    async def apply(conn: Connection) -> SessionReply:
        await session_table.create(conn, session, items)
        return await reply_of(context, session, conn)

    return Change(apply)


async def execute(context: Context, request: ExecuteSession, call: Call) -> Change:
    """Run what is not done. `not_found`, `conflict` for one that runs, is complete, or needs `resume`."""
    session = await _load(context, request.session_id)
    _own(session, call)
    if session.status in ("pending", "running"):
        raise Conflict(f"the session is {session.status}", path="/data/session_id")
    if session.status in ("cancelled", "failed") and not request.resume:
        raise Conflict(f"the session is {session.status}; give resume to go on", path="/data/resume")
    states = await session_table.states(context.database, session.id)
    if session.status == "completed" and not (request.retry_failed and await n_failed(context.database, states)):
        raise Conflict("the session is complete", path="/data/session_id")
    await check_quota(context, call, KIND)
    task = SessionTask(session_id=session.id, parallel=request.parallel)

    async def apply(conn: Connection) -> Started:
        await check_quota(context, call, KIND, conn)
        row = await _begin(conn, session, task)
        for state in states:
            await reopen(conn, state, task.parallel, retry_failed=request.retry_failed)
        return Started(await reply_of(context, await _load(context, session.id, conn), conn), row)

    return Change(apply)


async def _begin(conn: Connection, session: SessionRow, task: SessionTask) -> TaskRow:
    """The pending task of an execution: a new one, or the one before once more."""
    known = await task_table.get(conn, session.id)
    if known is not None:
        return await task_table.restart(conn, session.id, request=msgspec.json.encode(task).decode())
    new = NewTask(KIND, task, session.id, label=session.request.get("label"))
    row = await insert_task(conn, new, session.user, session.client)
    await session_table.set_status(conn, session.id, "pending")
    return row


async def status(context: Context, request: SessionStatus, call: Call) -> SessionReply:
    """Where a session stands; the newest without an id. `not_found`."""
    if request.session_id is None:
        session = await session_table.newest(context.database)
        if session is None:
            raise NotFound("there is no session yet", path="/data/session_id")
    else:
        session = await _load(context, request.session_id)
    return await reply_of(context, session, context.database, detailed=request.detailed)


async def cancel(context: Context, request: CancelSession, call: Call) -> Change:
    """Stop a session; what is done is kept. `not_found`, `forbidden`, `conflict` for one that does not run."""
    session = await _load(context, request.session_id)
    _own(session, call)
    if session.status not in ("pending", "running", "cancelled"):
        raise Conflict(f"the session is {session.status}", path="/data/session_id")
    await cancel_one(context, call, session.id, SESSION)
    session = await _load(context, session.id)

    async def apply(conn: Connection) -> SessionReply:
        return await reply_of(context, session, conn)

    return Change(apply)


async def list_all(context: Context, request: ListSessions, call: Call) -> SessionList:
    """Sessions, newest first."""
    page = await session_table.listing(
        context.database, status=request.status, limit=request.limit, offset=request.offset
    )
    return SessionList(sessions=[await reply_of(context, row, context.database) for row in page.rows], total=page.total)


async def results(context: Context, request: SessionResults, call: Call) -> SessionResultsReply:
    """Trials of all its searches, ranked together. `not_found`, `invalid` for a metric that does not exist."""
    session = await _load(context, request.session_id)
    target = msgspec.json.decode(session.optimization_target)
    sort = TARGET_ALIASES.get(request.sort, request.sort)
    descending = request.descending
    if descending is None:
        descending = best_first(sort, target)
    page, total = await trial_table.page_of_session(
        context.database,
        session.id,
        sort=sort,
        descending=descending,
        eligible_only=not request.all,
        limit=request.limit,
        offset=request.offset,
    )
    return SessionResultsReply(
        session_id=session.id,
        status=session.status,
        optimization_target=target,
        total=total,
        trials=[trial_of(*row) for row in page],
    )


async def clean(context: Context, request: CleanSessions, call: Call) -> Change:
    """Delete a session, or those that ended long ago. `not_found`, `forbidden`, `conflict` for one that runs."""
    if (request.session_id is None) == (request.days is None):
        raise Invalid("give either session_id or days", path="/data")
    if request.session_id is not None:
        chosen = [await _load(context, request.session_id)]
        _own(chosen[0], call)
        if chosen[0].status in ("pending", "running"):
            raise Conflict(f"the session is {chosen[0].status}; cancel it first", path="/data/session_id")
    else:
        chosen = await _ended_before(context, request.days or 0, call)
    searches = {
        row.id: [s.optimization_id for s in await session_table.states(context.database, row.id)] for row in chosen
    }

    async def apply(conn: Connection) -> SessionsCleaned:
        n = 0
        for session_id, found in searches.items():
            n += await session_table.delete(conn, session_id, [each for each in found if each])
        return SessionsCleaned(sessions=list(searches), n_trials=n)

    return Change(apply)


def new_session_id() -> str:
    """session_YYYYMMDD_HHMMSS_XXXX, in UTC."""
    return f"session_{datetime.now(UTC):%Y%m%d_%H%M%S}_{secrets.randbelow(10_000):04d}"


def _search_of(request: SessionRequest, symbol: str, strategy_id: str) -> StartOptimization:
    return build(
        StartOptimization,
        request,
        symbol=symbol,
        symbols=[],
        label=msgspec.UNSET,
        strategy_id=strategy_id,
        param_ranges=request.param_ranges.get(strategy_id, {}),
        max_iterations=request.size or _ALL_POINTS,
        method=_METHODS[request.mode],
    )


def _placed(error: TunesmithError, strategy: int, symbol: int, strategy_id: str) -> TunesmithError:
    """An error of one search with the path that the field has in the session's request."""
    path = error.path or ""
    moved = {
        "/data/strategy_id": f"/data/strategies/{strategy}",
        "/data/symbol": f"/data/symbols/{symbol}",
        "/data/max_iterations": "/data/size",
    }
    if path.startswith("/data/param_ranges"):
        path = path.replace("/data/param_ranges", f"/data/param_ranges/{strategy_id}", 1)
    return type(error)(error.message, path=moved.get(path, path) or None)


async def _load(context: Context, session_id: str, source: Source | None = None) -> SessionRow:
    session = await session_table.get(source or context.database, session_id)
    if session is None:
        raise NotFound(f"there is no session {session_id!r}", path="/data/session_id")
    return session


def _own(session: SessionRow, call: Call) -> None:
    if session.user != call.user and call.role != "operator":
        raise Forbidden("the session is another user's", path="/data/session_id")


async def _ended_before(context: Context, days: int, call: Call) -> list[SessionRow]:
    """The user's sessions that ended so long ago; an operator's are everybody's."""
    before = iso(int((time.time() - days * _DAY_S) * 1000))
    found = await session_table.ended_before(context.database, before)
    return [row for row in found if row.user == call.user or call.role == "operator"]


async def _show(context: Context, row: TaskRow, source: Source) -> SessionReply:
    """Where the session of a task stands."""
    return await reply_of(context, await _load(context, row.id, source), source)


KIND = register(
    TaskKind(
        wire=SESSION,
        request=SessionTask,
        drive=run,
        show=_show,
        counts=None,
        began=session_table.unfinished_searches,
        routes={
            "session.generate": Route(generate),
            "session.execute": Route(execute),
            "session.status": Route(status),
            "session.cancel": Route(cancel),
            "session.list": Route(list_all),
            "session.results": Route(results),
            "session.clean": Route(clean),
        },
    )
)
