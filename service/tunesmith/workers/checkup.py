"""A worker like the daemon's, started to see that it works. Run as a process by `tunesmith doctor`.

python -m tunesmith.workers.checkup PACKAGE …

prints one JSON object: `ready_s`, the seconds until the worker was ready, and what `checkup_chunks.look` found in it;
or `failure`, with the reason why there is no worker.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

from tunesmith.config import Log
from tunesmith.workers.executor import Chunk
from tunesmith.workers.local_pool import LocalPool
from tunesmith.workers.processes import ForkServer
from tunesmith.workers.worker import Program

TIMEOUT_S = 180.0
_POLL_S = 0.05
_CHUNKS = "tunesmith.workers.chunks.checkup_chunks"


async def check(packages: list[str]) -> dict[str, Any]:
    """What one worker process with the daemon's chunks found."""
    server = ForkServer(Program(table=_CHUNKS, log=Log(level="error")))
    pool = LocalPool(1, server, warm_up=f"{_CHUNKS}:warm_up")
    began = time.monotonic()
    pool.start()
    try:
        while not pool.stats().ready:
            stats = pool.stats()
            if stats.start_failures or time.monotonic() - began > TIMEOUT_S:
                return {"failure": stats.last_failure or f"no worker was ready after {TIMEOUT_S:g} s"}
            await asyncio.sleep(_POLL_S)
        ready_s = time.monotonic() - began
        found: dict[str, Any] = await pool.run(Chunk("look", packages), timeout_s=TIMEOUT_S)
        return {"ready_s": ready_s, **found}
    finally:
        await pool.close()
        await server.close()


if __name__ == "__main__":
    print(json.dumps(asyncio.run(check(sys.argv[1:]))))  # noqa: T201 - its answer
