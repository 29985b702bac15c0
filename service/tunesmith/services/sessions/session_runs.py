"""Executing sessions: one task that starts the searches one after the other, each of which uses every worker."""

from __future__ import annotations

from typing import Any

import msgspec

from tunesmith.errors import Conflict, TunesmithError
from tunesmith.protocol.messages.optimizations import StartOptimization
from tunesmith.services.runtime.context import Context
from tunesmith.services.runtime.task_runner import Job
from tunesmith.services.searches.optimization_requests import insert_search
from tunesmith.services.searches.search_tasks import make_search
from tunesmith.services.tasks.task_kinds import load
from tunesmith.storage.sqlite.connections import Connection
from tunesmith.storage.tables import session_table, task_table, trial_table
from tunesmith.storage.tables.session_table import ItemRow, ItemState
from tunesmith.storage.tables.task_table import TaskRow

_POLL_S = 0.5


class SessionTask(msgspec.Struct, frozen=True, kw_only=True):
    """The stored request of an execution."""

    session_id: str
    parallel: int | None


async def run(context: Context, job: Job) -> None:
    """Drive a session: its searches one after the other; one that fails does not keep the others from running."""
    task = job.decode(SessionTask)
    items = await session_table.items(context.database, task.session_id)
    total = sum(item.n_trials for item in items)
    done = 0
    failures = []
    for item in items:
        row = await _begin_item(context, job, task, item)
        if row is None:
            failures.append(item.number)
            continue
        ended = row
        if row.status in ("pending", "running"):
            context.tasks.start(row)
            while not await context.tasks.wait(row.id, _POLL_S):
                child = context.tasks.jobs.get(row.id)
                job.advance(done + int(item.n_trials * (child.progress if child else 0.0)), total)
            job.advance(done + item.n_trials, total)
            ended = await load(context, row.id)
        done += item.n_trials
        if ended.status != "completed":
            failures.append(item.number)
            job.log(f"search {item.number} ({item.symbol}, {item.strategy_id}) is {ended.status}", "warning")
    if len(failures) == len(items):
        raise Conflict("every search of the session failed; see its items")

    async def apply(conn: Connection) -> dict[str, Any]:
        return {"session_id": task.session_id, "n_items": len(items), "failed_items": failures}

    await job.complete(apply)


async def reopen(conn: Connection, state: ItemState, parallel: int | None, *, retry_failed: bool) -> None:
    """Make a search that did not come to its end pending again, or one with trials to try again."""
    if state.optimization_id is None:
        return
    failed = await trial_table.count_failed(conn, [state.optimization_id]) if retry_failed else 0
    if failed:
        await trial_table.delete_failed(conn, state.optimization_id)
    if state.status in ("cancelled", "failed") or failed:
        row = await task_table.get(conn, state.optimization_id)
        request = None if row is None else {**msgspec.json.decode(row.request), "parallel": parallel}
        text = None if request is None else msgspec.json.encode(request).decode()
        await task_table.restart(conn, state.optimization_id, request=text, forget="ended")


async def _begin_item(context: Context, job: Job, task: SessionTask, item: ItemRow) -> TaskRow | None:
    """The task of an item's search: the one that is there, or a new one; None where it cannot be made any more."""
    if item.optimization_id is not None:
        return await load(context, item.optimization_id)
    request = msgspec.convert(item.request, StartOptimization)
    try:
        asked = msgspec.structs.replace(request, parallel=task.parallel, label=job.row.label)
        made = await make_search(context, asked)
    except TunesmithError as error:
        job.log(f"search {item.number} ({item.symbol}, {item.strategy_id}): {error.message}", "error")
        return None

    async def write(conn: Connection) -> TaskRow | None:
        session = await session_table.get(conn, item.session_id)
        if session is None or session.status != "running":
            return None
        row = await insert_search(conn, job.row.user, job.row.client, made)
        await session_table.begin_item(conn, item.session_id, item.number, row.id)
        return row

    return await context.database.write(write)
