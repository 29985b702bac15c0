"""Answers that were made before: a repeated backtest takes them from the cache instead of a worker, and who asks about
a task that has ended gets them instead of the database's rows.

Tasks that have not ended are never answered from here. Whether a task has ended is for the database to say, again after
everything that is written: a task that was cancelled or failed may begin again, may be deleted, and what is kept of one
end is for that end alone.
What is answered about a task that has ended must not change any more, or the message may not stand in `ABOUT_TASKS`.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

import msgspec

from tunesmith.domain.parameters import Scalar
from tunesmith.errors import Internal, TunesmithError
from tunesmith.protocol.catalog import MESSAGES, Call, Handler
from tunesmith.protocol.envelope import Reply, Request
from tunesmith.services.market.payload_building import Assignment, work_of
from tunesmith.services.market.window_snapshots import cut_window, known_window
from tunesmith.services.requests.lookups import Lookups
from tunesmith.services.requests.program_version import engine_version, program_version
from tunesmith.services.requests.single_flight import UnderWay
from tunesmith.services.requests.value_cache import count, key_of, recall, remember
from tunesmith.services.runtime.context import Context
from tunesmith.services.runtime.task_runner import Job
from tunesmith.storage.cache.caches import MemoryCache
from tunesmith.storage.sqlite.connections import Connection
from tunesmith.storage.tables import task_table
from tunesmith.workers.chunks.payloads import OnePoint, Prepared

ABOUT_TASKS: dict[str, tuple[str, ...]] = {
    "backtest.status": ("task_id",),
    "optimization.status": ("optimization_id",),
    "optimization.results": ("optimization_id",),
    "optimization.analyze": ("optimization_id",),
    "optimization.compare": ("a", "b"),
}
"""Message type → the fields of its request that name tasks."""

_LEFT_ALONE = 4
"""Answers that are made to their end, at most, although nobody waits for them any more."""

_SETTLED_BYTES = 2**20


class Made(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the `backtest` chunk makes; `equity` holds pairs of UTC milliseconds and equity."""

    params: dict[str, Scalar]
    metrics: dict[str, float | None]
    stats: dict[str, Any]
    trades: list[dict[str, Any]]
    equity: list[tuple[int, float]]


async def backtest(
    context: Context, job: Job, task: Assignment, params: dict[str, Scalar]
) -> tuple[Prepared, dict[str, Any]]:
    """The bars of a backtest and what the `backtest` chunk makes of them, from the cache or from a worker.

    Raises `Internal` when vectorbt computes other numbers; such a result is not kept.
    """
    known = await known_window(context, job, task.window)
    made = await recall(context, _backtest_key(task, params, known), Made) if known else None
    if known is not None and made is not None:
        data = known
    else:
        data = await cut_window(context, job, task.window, known)
        if data != known:
            made = await recall(context, _backtest_key(task, params, data), Made)
    count("backtest", hit=made is not None)
    job.advance(1, 3)
    if made is not None:
        job.log("the same backtest was computed before; the result is from the cache")
        return data, msgspec.structs.asdict(made)
    kind = "backtest_holdout" if data.end_ms > task.window.boundary_ms else "backtest"
    found = await job.run(kind, OnePoint(work=work_of(context, task, data), params=params))
    if found["disagreements"]:
        raise Internal(f"vectorbt computes other numbers: {'; '.join(found['disagreements'])}")
    kept = Made(**{name: found[name] for name in Made.__struct_fields__})
    await remember(context, _backtest_key(task, params, data), kept)
    return data, found


def about_tasks(context: Context, handle: Handler) -> Handler:
    """The handler of a message in `ABOUT_TASKS` that answers what it answered before, once the tasks have ended.

    An answer that is asked for again while it is made is made once. One whose deadline passed is made to its end, so
    that who asks again gets it, unless too many are.
    """
    settled = MemoryCache(_SETTLED_BYTES)
    under_way: UnderWay[Reply] = UnderWay(_LEFT_ALONE)
    lookups = Lookups(context.database)

    async def make(key: str, request: Request, call: Call) -> Reply:
        reply = await _reply(handle, context, request, call)
        await remember(context, key, reply)
        return reply

    async def look(request: Request, call: Call) -> Reply:
        n_commits = lookups.n_commits
        ends = []
        for field in ABOUT_TASKS[call.type]:
            end = await _end_of(context, getattr(request, field), settled)
            if end is None:
                return await _reply(handle, context, request, call)
            ends.append(end)
        of = [program_version(), context.database.epoch, ends, call.type, msgspec.to_builtins(request)]
        key = key_of("task", of)
        kept: Reply | None = await recall(context, key, MESSAGES[call.type].reply)
        count("task", hit=kept is not None)
        if kept is not None:
            lookups.keep(request, kept, n_commits)
            return kept
        return await under_way.get(key, lambda: make(key, request, call))

    def answer(request: Request, call: Call) -> Reply | Awaitable[Reply]:
        found = lookups.find(request)
        if found is None:
            return look(request, call)
        count("task", hit=True)
        return found

    return answer


async def _end_of(context: Context, task_id: str, settled: MemoryCache) -> str | None:
    """What tells this end of the task from any other; None for one that has not ended, or that is not there."""
    if task_id in context.tasks.jobs:
        return None
    found = await task_table.end_of(context.database, task_id)
    if found is None or task_id in context.tasks.jobs:
        return None
    end, status = found
    if status != "completed" and await settled.get(f"{task_id} {end}") is None:
        if not await _settled(context):
            return None
        await settled.set(f"{task_id} {end}", b"")
    return end


async def _settled(context: Context) -> bool:
    """Wait for what was on its way to the database when a task was cut short; False when nothing can be written."""
    try:
        await context.database.write(_nothing)
    except TunesmithError:
        return False
    return True


async def _nothing(conn: Connection) -> None:
    """A write that only waits for its turn."""


async def _reply(handle: Handler, context: Context, request: Request, call: Call) -> Reply:
    reply = handle(context, request, call)
    return await reply if isinstance(reply, Awaitable) else reply


def _backtest_key(task: Assignment, params: dict[str, Scalar], data: Prepared) -> str:
    window, strategy = task.window, task.strategy
    return key_of(
        "backtest",
        {
            "engine": engine_version(),
            "strategy": [strategy.kind, strategy.id if strategy.kind == "kernel" else "", strategy.code_hash],
            "params": params,
            "bars": data.snapshot,
            "first": data.first,
            "costs": msgspec.to_builtins(window.costs),
            "fill": window.fill,
            "direction": window.direction,
            "initial_cash": window.initial_cash,
            "evaluated_by": window.engine,
        },
    )
