"""Tasks over real worker processes: what the processes die of is the task's reason, and the others go on."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from services.recorder import Recorder
from services.runtime.test_task_runner import insert
from tunesmith.config import Settings, Workers
from tunesmith.protocol.catalog import Call
from tunesmith.services.runtime.task_runner import Driver, Job, Tasks
from tunesmith.storage.sqlite.database import Database
from tunesmith.storage.tables import task_table
from tunesmith.workers.executor import Limits
from tunesmith.workers.local_pool import LocalPool
from tunesmith.workers.processes import ForkServer
from tunesmith.workers.worker import Program
from workers.pool_scenes import on_loop, until

CALL = Call("x", "1", "ann", "operator", "requests", 0.0, "bot")
TABLE = "workers.pool_chunks"


@on_loop
async def test_a_task_says_what_its_workers_died_of_and_others_go_on(tmp_path: Path) -> None:
    async def eat(job: Job) -> None:
        await job.run("eat", 300)

    async def hold(job: Job) -> None:
        (tmp_path / job.id).mkdir(exist_ok=True)
        await job.run("hold", str(tmp_path / job.id))
        await job.complete(_nothing)

    async def _nothing(conn: object) -> dict[str, int]:
        return {}

    drivers: dict[str, Driver] = {"eat": eat, "hold": hold}
    server = ForkServer(Program(table=TABLE, preload=(TABLE,)))
    pool = LocalPool(2, server, limits=Limits(attempts=2))
    pool.start()
    database = await Database.open(tmp_path / "t.db")
    running = Tasks(Settings(workers=Workers(memory_mb=100)), database, pool, Recorder())
    running.drivers = drivers

    async def ended(task_id: str) -> tuple[str, str]:
        assert await running.wait(task_id, 20.0)
        row = await task_table.get(database, task_id)
        assert row is not None
        return row.status, (row.error or {}).get("detail", "")

    try:
        for task_id, kind in (("other", "hold"), ("hungry", "eat")):
            running.start(await database.write(lambda conn, i=task_id, k=kind: insert(conn, CALL, i, k, None, 5)))  # type: ignore[misc]
        assert await ended("hungry") == ("failed", "eat took more than 100 MB of memory")
        running.start(await database.write(lambda conn: insert(conn, CALL, "killed", "hold", None, 5)))
        for _ in range(2):
            file = tmp_path / "killed" / "running"
            await until(lambda file=file: file.exists() and file.read_text())  # type: ignore[misc]
            pid = int(file.read_text())
            file.unlink()
            os.kill(pid, signal.SIGKILL)
        status, reason = await ended("killed")
        assert status == "failed"
        assert reason.startswith("hold: its worker died 2 times: killed by SIGKILL, peak memory")
        (tmp_path / "other" / "let_go").touch()
        assert await ended("other") == ("completed", "")
    finally:
        await running.close()
        await server.close()
        await database.close()
