"""The reply cache: a reply about tasks that have all ended is made once and kept, instead of read from the database.

A task that has not ended is never answered from here. Whether one has ended is asked of the database again after every
write: a task that was cancelled or failed may begin again or be deleted, and a kept reply holds for one end alone.
Only a message whose reply cannot change once its tasks have ended may be handled here (`Route.settled_by`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence

import msgspec

from tunesmith.errors import TunesmithError
from tunesmith.protocol.catalog import MESSAGES, Call, Handler, Written, finished
from tunesmith.protocol.envelope import Reply, Request
from tunesmith.services.requests.lookups import Lookups
from tunesmith.services.requests.program_version import program_version
from tunesmith.services.requests.single_flight import UnderWay
from tunesmith.services.requests.value_cache import count, key_of, recall, remember
from tunesmith.services.runtime.context import Context
from tunesmith.storage.cache.caches import MemoryCache
from tunesmith.storage.sqlite.connections import Connection
from tunesmith.storage.tables import task_table

_LEFT_ALONE = 4
"""Replies that are made to their end, at most, although nobody waits for them any more."""

_SETTLED_BYTES = 2**20


def settled_replies(context: Context, handle: Handler, fields: Sequence[str]) -> Handler:
    """A handler that calls `handle` once for each request about ended tasks, which `fields` of the request name.

    Concurrent identical requests share one computation. One whose deadline passed runs to its end, so that whoever asks
    again gets its reply, unless too many such are at work.
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
        for field in fields:
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

    def answer(request: Request, call: Call) -> Written | Awaitable[Reply]:
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
    return await finished(handle(context, request, call))
