"""Walk-forwards: a search for each window, side by side, stitched to one account."""

from __future__ import annotations

from typing import Any

import msgspec

from tunesmith.compute.search.walk_forward.walk_windows import Part, parts_of
from tunesmith.domain.market.bars_used import BarsUsed
from tunesmith.domain.records import build
from tunesmith.domain.search.search_plan import SearchPlan
from tunesmith.domain.trading import OWN_ENGINE
from tunesmith.errors import Invalid
from tunesmith.protocol.catalog import Call
from tunesmith.protocol.messages.optimizations import StartOptimization
from tunesmith.protocol.messages.walkforwards import StartWalkForward, WalkForwardReply, WalkForwardWindow
from tunesmith.protocol.task_types import WALK_FORWARD
from tunesmith.services.market.market_windows import Assignment, prepared, used_of, work_of
from tunesmith.services.requests.handlers import Route
from tunesmith.services.requests.idempotency import Change
from tunesmith.services.runtime.context import Context
from tunesmith.services.runtime.task_runner import Job
from tunesmith.services.searches.search_tasks import check_search, make_search
from tunesmith.services.tasks.task_kinds import (
    TaskKind,
    check_quota,
    live_progress,
    register,
    request_of,
    start_task,
)
from tunesmith.services.tasks.tried import Tried
from tunesmith.storage.sqlite.connections import Connection, Source
from tunesmith.storage.tables.task_table import TaskRow
from tunesmith.workers.chunks.payloads import StitchParts, WalkedPart, WalkPart


class WalkForwardTask(Assignment, frozen=True, kw_only=True):
    """The stored request of a walk-forward."""

    plan: SearchPlan
    n_train: int
    n_test: int
    anchored: bool
    n_windows: int


async def start(context: Context, request: StartWalkForward, call: Call) -> Change:
    """Store the task. `not_found`, `invalid` as for a search, and for windows that leave nothing to trade."""
    await check_quota(context, call, KIND)
    search = await make_search(context, build(StartOptimization, request))
    made = search.task
    window = made.window
    n_bars = (window.end_ms - window.start_ms) // _length(context, made)
    n_windows = len(parts_of(n_bars, request.train_bars, request.test_bars, anchored=request.anchored))
    limit = context.settings.limits.grid_points
    if n_windows * made.plan.n_trials > limit:
        raise Invalid(
            f"{n_windows} windows of {made.plan.n_trials:,} trials are more than the limit of {limit:,}: narrow the "
            "ranges, or take longer windows",
            path="/data/test_bars",
        )
    check_search(context, made, n_windows * made.plan.n_trials, request.train_bars, path="/data/test_bars")
    task = WalkForwardTask(
        strategy=made.strategy,
        window=window,
        plan=made.plan,
        n_train=request.train_bars,
        n_test=request.test_bars,
        anchored=request.anchored,
        n_windows=n_windows,
    )
    new = KIND.new(task, priority=search.priority, label=search.label)

    async def answer(conn: Connection, row: TaskRow) -> WalkForwardReply:
        return await _show(context, row, conn)

    return start_task(context, call, new, answer)


async def run(context: Context, job: Job) -> None:
    """Drive a walk-forward: every window in a worker, side by side, then one account."""
    task = job.decode(WalkForwardTask)
    data = await prepared(context, job, task.window)
    work = msgspec.structs.replace(work_of(context, task, data), engine=OWN_ENGINE)
    parts = parts_of(data.n_bars, task.n_train, task.n_test, anchored=task.anchored, first=data.first)
    walked: dict[int, WalkedPart] = {}

    async def walk(index: int) -> tuple[int, WalkedPart]:
        payload = WalkPart(work=work, plan=task.plan, symbol=task.window.symbol, part=_bounds(parts[index]))
        return index, await job.run("walk", payload)

    job.advance(0, len(parts))
    async for index, found in job.map(walk, range(len(parts))):
        walked[index] = found
        job.advance(len(walked), len(parts))
    in_order = [walked[index] for index in range(len(parts))]
    result: dict[str, Any] = await job.run("stitch", StitchParts(work=work, parts=in_order))
    result["bars"] = msgspec.to_builtins(used_of(data, result.pop("longer")))

    async def apply(conn: Connection) -> dict[str, Any]:
        return result

    await job.complete(apply)


def _bounds(part: Part) -> tuple[int, int, int]:
    return part.start, part.stop, part.end


def _length(context: Context, task: Assignment) -> int:
    from_ms = context.market.find(task.window.symbol, task.window.timeframe, task.window.venue)
    return max(1, (from_ms.end_ms - from_ms.start_ms) // max(1, from_ms.n_bars))


async def _show(context: Context, row: TaskRow, source: Source) -> WalkForwardReply:
    """Where a walk-forward stands, and what came of it."""
    task = request_of(row, WalkForwardTask)
    progress, eta_s = live_progress(context, row)
    found = msgspec.json.decode(row.result) if row.result else {}
    return build(
        WalkForwardReply,
        row,
        task.window,
        walkforward_id=row.id,
        progress=progress,
        n_windows=len(found["windows"]) if found else task.n_windows,
        eta_s=eta_s,
        metrics=found.get("metrics"),
        efficiency=found.get("efficiency"),
        windows=msgspec.convert(found.get("windows", []), list[WalkForwardWindow]),
        equity=[(int(time), float(cash)) for time, cash in found.get("equity", [])],
        cannot_say=found.get("cannot_say"),
        bars=msgspec.convert(found.get("bars"), BarsUsed | None),
    )


def _tried(task: WalkForwardTask) -> Tried:
    """All its windows lie in sample, where their searches together count as one of as many trials."""
    n_trials = task.n_windows * task.plan.n_trials
    return Tried(task.strategy, [task.window], plan=task.plan, n_at_end=n_trials)


KIND = register(
    TaskKind(
        wire=WALK_FORWARD,
        request=WalkForwardTask,
        drive=run,
        show=_show,
        counts=_tried,
        routes={"walkforward.start": Route(start)},
    )
)
