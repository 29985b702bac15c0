"""The daemon's worker processes: as many as the settings say that search, and the keeper."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

from tunesmith.config import Settings
from tunesmith.workers.executor import Limits
from tunesmith.workers.lanes import Lanes
from tunesmith.workers.pool import ProcessPool
from tunesmith.workers.processes import ForkServer
from tunesmith.workers.worker import Program

_CHUNKS = "tunesmith.workers.chunks.chunk_table"

Hear = Callable[[str, str, Any], None]
"""Called with a task's id, and the kind and payload of what a worker says of it."""


async def start_pools(settings: Settings, stack: AsyncExitStack, hear: Hear) -> Lanes:
    """Start both pools, to be closed by `stack`; they warm up behind what comes next."""
    server = ForkServer(Program(table=_CHUNKS, preload=(_CHUNKS,), prepare="load_vectorbt", log=settings.log))
    stack.push_async_callback(server.close)
    limits = Limits(attempts=settings.workers.attempts, recycle_rules=settings.workers.loaded_rules)

    def on_message(task_id: str | None, kind: str, payload: Any) -> None:
        if task_id is not None:
            hear(task_id, kind, payload)

    searchers = ProcessPool(settings.n_workers, server, warm_up="load_kernels", limits=limits, on_message=on_message)
    keeper = ProcessPool(1, server, limits=limits, on_message=on_message)
    lanes = Lanes(searchers, keeper)
    stack.push_async_callback(lanes.close)
    await searchers.start()
    await keeper.start()
    return lanes
