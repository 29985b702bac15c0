"""A kind of task that no file of the package knows: it looks through stars, as many in a chunk as it is told.

Everything that a kind is stands here: two messages, a row of the protocol's table, a stored request, a driver, a reply.
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from tunesmith.domain.names import GivenLabel, Id
from tunesmith.errors import Invalid
from tunesmith.protocol.catalog import MESSAGES, Call, MessageType
from tunesmith.protocol.envelope import Reply, Request, TaskStatus
from tunesmith.protocol.task_types import TASK_TYPES, TaskType
from tunesmith.services.requests.handlers import Route
from tunesmith.services.requests.idempotency import Change
from tunesmith.services.runtime.context import Context
from tunesmith.services.runtime.task_runner import Job
from tunesmith.services.tasks.task_kinds import (
    KINDS,
    TaskKind,
    check_quota,
    live_progress,
    register,
    request_of,
    start_task,
)
from tunesmith.storage.sqlite.connections import Connection, Source
from tunesmith.storage.tables.task_table import TaskRow


class CountStars(Request, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`stars.count`: count the brightest of `n_chunks` pieces of sky."""

    n_chunks: int
    label: GivenLabel = msgspec.UNSET


class StarsById(Request, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`stars.status` and `stars.cancel`."""

    count_id: Id


class StarsReply(Reply, frozen=True, kw_only=True):
    """How many stars are counted so far, and all of them in the end."""

    count_id: str
    status: TaskStatus
    progress: float
    n_found: int | None = None
    label: str | None = None
    error: dict[str, Any] | None = None


STARS = TaskType("stars", "st-", "count_id", "stars.count", "stars.status", "stars.status", "stars.cancel")
ROWS = (
    MessageType("stars.count", CountStars, StarsReply, changes=True),
    MessageType("stars.status", StarsById, StarsReply),
    MessageType("stars.cancel", StarsById, StarsReply, changes=True),
)


class StarsTask(msgspec.Struct, frozen=True, kw_only=True):
    """The stored request of a count."""

    n_chunks: int


async def _start(context: Context, request: CountStars, call: Call) -> Change:
    if request.n_chunks < 1:
        raise Invalid("there is no sky without a piece", path="/data/n_chunks")
    await check_quota(context, call, KIND)

    async def answer(conn: Connection, row: TaskRow) -> StarsReply:
        return await _show(context, row, conn)

    return start_task(context, call, KIND.new(StarsTask(n_chunks=request.n_chunks), label=request.label), answer)


async def _run(context: Context, job: Job) -> None:
    """One chunk for each piece of sky; what is counted is kept, so that a restart does not count it again."""
    n_chunks = job.decode(StarsTask).n_chunks
    for i in range(job.state.get("n_done", 0), n_chunks):
        found = await job.run("front", (np.array([[1.0, 2.0], [2.0, 1.0]]), np.array([True, True])))
        await job.save({"n_done": i + 1, "n_found": job.state.get("n_found", 0) + len(found.front)})
        job.log(f"piece {i + 1} of {n_chunks}")
        job.advance(i + 1, n_chunks)

    async def apply(conn: Connection) -> dict[str, Any]:
        return {"n_found": job.state["n_found"]}

    await job.complete(apply)


async def _show(context: Context, row: TaskRow, source: Source) -> StarsReply:
    progress, _ = live_progress(context, row)
    result = msgspec.json.decode(row.result) if row.result else {}
    assert request_of(row, StarsTask).n_chunks >= 1
    return StarsReply(count_id=row.id, status=row.status, progress=progress, label=row.label, error=row.error, **result)


KIND = TaskKind(
    wire=STARS,
    request=StarsTask,
    drive=_run,
    show=_show,
    counts=None,
    settles=True,
    routes={"stars.count": Route(_start)},
)


def add_stars(patch: pytest.MonkeyPatch) -> None:
    """Add the kind to the daemon's tables until the test is over."""
    for row in ROWS:
        patch.setitem(MESSAGES, row.name, row)
    patch.setitem(TASK_TYPES, STARS.name, STARS)
    patch.setitem(KINDS, STARS.name, KIND)  # taken out again with the others
    del KINDS[STARS.name]
    register(KIND)
