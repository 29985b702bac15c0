"""From a stored window and strategy to the payloads of chunks."""

from __future__ import annotations

from typing import Any

import msgspec

from tunesmith.domain.records import build
from tunesmith.errors import Conflict
from tunesmith.services.market.market_windows import Window
from tunesmith.services.runtime.context import Context
from tunesmith.services.runtime.task_runner import Job
from tunesmith.storage.market.snapshots import open_snapshots
from tunesmith.storage.tables.strategy_table import StrategyRow
from tunesmith.workers.chunks.payloads import Prepare, Prepared, StrategyRef, Work


class Assignment(msgspec.Struct, frozen=True, kw_only=True):
    """What a task works on, stored with it: a strategy version and a window of a market."""

    strategy: StrategyRef
    window: Window


def assign(row: StrategyRow, window: Window) -> Assignment:
    ref = build(StrategyRef, row)
    return Assignment(strategy=ref, window=window)


async def prepared(
    context: Context, job: Job, window: Window, *, until_ms: int | None = None, slot: str = "prepared"
) -> Prepared:
    """The task's snapshot: cut once, then remembered, so that a restart works on the same bars.

    A task that ended long ago may have lost it; it is cut again then, and `Conflict` raised where it became another.
    `until_ms` reaches past the window's end, into the hold-out, where a verdict needs it; `slot` tells the windows of
    one task apart.
    """
    known = msgspec.convert(job.state[slot], Prepared) if slot in job.state else None
    if known is not None and open_snapshots(context.settings.data_dir).keep(known.snapshot):
        return known
    done: Prepared = await job.run("prepare", prepare_payload(context, window, until_ms))
    if known is not None and known.snapshot != done.snapshot:
        raise Conflict(f"the bars of {window.symbol} {window.timeframe} are no longer those that the task began with")
    state: dict[str, Any] = {**job.state, slot: msgspec.to_builtins(done)}
    await job.save(state)
    return done


def prepare_payload(context: Context, window: Window, until_ms: int | None = None) -> Prepare:
    """What a worker needs to cut the window."""
    return build(
        Prepare,
        window,
        data_dir=str(context.settings.data_dir),
        market=context.settings.market,
        end_ms=window.end_ms if until_ms is None else until_ms,
        in_sample_end_ms=min(window.end_ms, window.boundary_ms),
    )


def work_of(context: Context, assignment: Assignment, data: Prepared) -> Work:
    """What a worker needs to evaluate the assignment on prepared data."""
    window = assignment.window
    return build(Work, window, assignment, data, data_dir=str(context.settings.data_dir))
