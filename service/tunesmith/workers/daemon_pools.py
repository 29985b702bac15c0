"""The daemon's worker processes, by lane."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

from tunesmith.config import Settings
from tunesmith.workers.chunks.chunk_table import LANE_OF, modules_of
from tunesmith.workers.executor import Limits
from tunesmith.workers.lanes import LaneRouter
from tunesmith.workers.local_pool import LocalPool
from tunesmith.workers.processes import ForkServer
from tunesmith.workers.worker import Program

_CHUNKS = "tunesmith.workers.chunks.chunk_table"
_WARM_UPS = "tunesmith.workers.chunks.warm_ups"
_N_DOWNLOADS = 4

Hear = Callable[[str, str, Any], None]
"""Called with a task's id, and the kind and payload of what a chunk of it says."""


def start_pools(settings: Settings, stack: AsyncExitStack, hear: Hear) -> LaneRouter:
    """Start the workers that search and the one that reads hold-outs, to be closed by `stack`; they warm up later.

    These are forked from a process that has loaded numba and vectorbt, 250 MB that they share. Workers of the other
    lanes need neither: they are forked from a lighter process, and all of that begins with the first such chunk.
    """
    compute = ForkServer(
        Program(
            table=_CHUNKS,
            preload=modules_of("search", "holdout"),
            prepare=f"{_WARM_UPS}:load_vectorbt",
            log=settings.log,
            niceness=settings.workers.niceness,
        )
    )
    light = ForkServer(
        Program(
            table=_CHUNKS,
            preload=modules_of("network", "subprocess"),
            log=settings.log,
            niceness=settings.workers.niceness,
        )
    )
    for server in (compute, light):
        stack.push_async_callback(server.close)
    limits = Limits(attempts=settings.workers.attempts, recycle_rules=settings.workers.loaded_rules)

    def on_message(task_id: str | None, kind: str, payload: Any) -> None:
        if task_id is not None:
            hear(task_id, kind, payload)

    search = LocalPool(
        settings.n_workers, compute, warm_up=f"{_WARM_UPS}:load_kernels", limits=limits, on_message=on_message
    )
    holdout = LocalPool(1, compute, limits=limits, on_message=on_message)
    network = LocalPool(_N_DOWNLOADS, light, limits=limits, on_message=on_message)
    foreign = LocalPool(settings.n_workers, light, limits=limits, on_message=on_message)
    router = LaneRouter({"search": search, "holdout": holdout, "network": network, "subprocess": foreign}, LANE_OF)
    stack.push_async_callback(router.close)
    search.start()
    holdout.start()
    return router
