"""Windows that were cut before: which snapshot holds the bars of a market for a window.

For backtests alone. A search and a verdict cut theirs each time: whoever can write to a shared cache could hand them
bars of the hold-out.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tunesmith.services.market.market_windows import Window, prepared
from tunesmith.services.requests.program_version import engine_version
from tunesmith.services.requests.value_cache import count, key_of, recall, remember
from tunesmith.services.runtime.context import Context
from tunesmith.services.runtime.task_runner import Job
from tunesmith.storage.market.snapshots import open_snapshots
from tunesmith.workers.chunks.payloads import Prepared


async def known_window(context: Context, job: Job, window: Window) -> Prepared | None:
    """What the window was cut to when the stored bars were what they are now; the snapshot may be gone.

    None for a task that goes on after a restart, and keeps to its snapshot.
    """
    if "prepared" in job.state:
        return None
    return await recall(context, _key(context, window), Prepared)


async def cut_window(context: Context, job: Job, window: Window, known: Prepared | None) -> Prepared:
    """The task's snapshot: the `known` one if it is on this machine, else cut by a worker.

    What was cut is kept unless the stored bars were replaced in between.
    """
    if "prepared" in job.state:
        return await prepared(context, job, window)
    hit = known is not None and open_snapshots(context.settings.data_dir).keep(known.snapshot)
    count("window", hit=hit)
    if known is not None and hit:
        state: dict[str, Any] = {**job.state, "prepared": msgspec.to_builtins(known)}
        await job.save(state)
        return known
    key = _key(context, window)
    data = await prepared(context, job, window)
    if _key(context, window) == key:
        await remember(context, key, data)
    return data


def _key(context: Context, window: Window) -> str:
    market = context.market.find(window.symbol, window.timeframe, window.venue).data_hash
    of = (market, window.venue, window.symbol, window.timeframe, window.start_ms, window.end_ms, window.boundary_ms)
    calendar = "" if isinstance(window.calendar, msgspec.UnsetType) else window.calendar
    return key_of("window", [engine_version(), *of, calendar, window.max_missing])
