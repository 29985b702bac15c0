"""The daemon's worker processes: as many as the settings say that search, and the keeper."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

from tunesmith.config import Settings
from tunesmith.services.jobs.lanes import Lanes
from tunesmith.services.jobs.pool import Limits, ProcessPool
from tunesmith.services.jobs.worker import Program

_CHUNKS = "tunesmith.services.jobs.chunks"

Hear = Callable[[str, str, Any], None]
"""Called with a task's id, and the kind and payload of what a worker says of it."""


async def start_pools(settings: Settings, stack: AsyncExitStack, hear: Hear) -> Lanes:
    """Start both pools, to be closed by `stack`; they warm up behind what comes next."""
    searchers = _make_pool(settings, settings.n_workers, "warm_up", hear)
    keeper = _make_pool(settings, 1, "warm_up_keeper", hear)
    await searchers.start()
    stack.push_async_callback(searchers.close)
    await keeper.start()
    lanes = Lanes(searchers, keeper)
    stack.push_async_callback(lanes.close)
    return lanes


def _make_pool(settings: Settings, n_workers: int, warm_up: str, hear: Hear) -> ProcessPool:
    program = Program(table=_CHUNKS, warm_up=warm_up, preload=(_CHUNKS,), log=settings.log)

    def on_message(task_id: str | None, kind: str, payload: Any) -> None:
        if task_id is not None:
            hear(task_id, kind, payload)

    limits = Limits(attempts=settings.workers.attempts, recycle_rules=settings.workers.loaded_rules)
    return ProcessPool(n_workers, program, limits=limits, on_message=on_message)
