"""What becomes of the processes that a chunk starts: they end with their worker, and count in its memory."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tunesmith.errors import Draining
from tunesmith.telemetry import REGISTRY
from tunesmith.workers.executor import Chunk, Limits, MemoryExceeded
from tunesmith.workers.local_pool import LocalPool
from tunesmith.workers.processes import ForkServer, GroupMemory, private_mb
from tunesmith.workers.worker import Program
from workers.pool_scenes import Hold, is_gone, on_loop, until


@asynccontextmanager
async def opened(limits: Limits | None = None) -> AsyncIterator[LocalPool]:
    server = ForkServer(Program(table="workers.pool_chunks"))
    pool = LocalPool(1, server, limits=limits)
    pool.start()
    await pool.wait_ready()
    try:
        yield pool
    finally:
        await pool.close()
        await server.close()


def n_deaths() -> float:
    return REGISTRY.get_sample_value("tunesmith_worker_deaths_total") or 0.0


async def child_of(hold: Hold) -> int:
    """The pid of what the chunk started, once it is at work."""
    path = hold.folder / "child"
    await until(lambda: path.exists() and path.read_text())
    return int(path.read_text())


@on_loop
async def test_the_child_of_a_cancelled_chunk_dies_with_its_worker(tmp_path: Path) -> None:
    async with opened(Limits(cancel_grace_s=0.05)) as pool:
        hold = Hold(pool, tmp_path, "start_child_and_wait")
        child = await child_of(hold)
        assert not is_gone(child)
        hold.task.cancel()
        await until(lambda: is_gone(child))
        assert await pool.run(Chunk("echo", 1)) == 1


@pytest.mark.parametrize("how", ["timeout", "close", "death", "death without a fork server"])
@on_loop
async def test_the_child_dies_however_its_worker_ends(tmp_path: Path, how: str) -> None:
    async with opened(Limits(attempts=1)) as pool:
        hold = Hold(pool, tmp_path, "start_child_and_wait", timeout_s=2.0 if how == "timeout" else None)
        child = await child_of(hold)
        if how == "close":
            await pool.close()
        if how == "death without a fork server":
            os.kill(pool.pids()[0], signal.SIGKILL)
        if how.startswith("death"):
            os.kill(await hold.running(), signal.SIGKILL)
        await until(lambda: is_gone(child))
        await asyncio.gather(hold.task, return_exceptions=True)
        assert hold.task.exception() is not None


@on_loop
async def test_the_child_of_a_worker_that_is_replaced_dies(tmp_path: Path) -> None:
    async with opened(Limits(recycle_rules=1)) as pool:
        child = await pool.run(Chunk("leave_child", None))
        assert not is_gone(child)
        await pool.run(Chunk("load", 1))
        await until(lambda: is_gone(child))
        assert (pool.stats().recycled, pool.stats().restarts) == (1, 0)


@on_loop
async def test_children_have_the_default_of_signals_that_workers_ignore() -> None:
    async with opened() as pool:
        pid = await pool.run(Chunk("pid", None))
        for number in (signal.SIGTERM, signal.SIGINT):
            os.kill(pid, number)
            assert await pool.run(Chunk("end_child", ("exec", number))) == -number
            assert await pool.run(Chunk("end_child", ("fork", number))) == -number
        assert await pool.run(Chunk("pid", None)) == pid


@on_loop
async def test_the_memory_of_children_counts() -> None:
    async with opened() as pool:
        with pytest.raises(MemoryExceeded, match="eat_in_child took more than 100 MB"):
            await pool.run(Chunk("eat_in_child", 200), memory_mb=100)
        assert await pool.run(Chunk("echo", 1)) == 1


@on_loop
async def test_only_members_of_the_groups_that_are_asked_for_are_measured(tmp_path: Path) -> None:
    async with opened() as pool:
        hold = Hold(pool, tmp_path, "start_child_and_wait")
        child, leader = await child_of(hold), await hold.running()
        found = GroupMemory().look({leader, os.getpid()})
        assert set(found) == {leader}
        assert found[leader] == pytest.approx(private_mb(child), abs=1.0)
        hold.task.cancel()


@on_loop
async def test_cancelled_chunks_are_no_deaths_of_workers(tmp_path: Path) -> None:
    before = n_deaths()

    async def cancel(pool: LocalPool, function: str, n: int) -> None:
        hold = Hold(pool, tmp_path / str(n), function)
        await hold.running()
        hold.task.cancel()
        await asyncio.gather(hold.task, return_exceptions=True)
        assert await pool.run(Chunk("echo", n)) == n

    async with opened(Limits(cancel_grace_s=60.0)) as pool:
        await cancel(pool, "hold", 0)
        assert pool.stats().restarts == 0, "the one that heeds its cancel stays"
    async with opened(Limits(cancel_grace_s=0.05, attempts=1)) as pool:
        for n in (1, 2):
            await cancel(pool, "stick", n)
        assert pool.stats().restarts == 2
        assert n_deaths() == before
        hold = Hold(pool, tmp_path / "killed")
        os.kill(await hold.running(), signal.SIGKILL)
        await asyncio.gather(hold.task, return_exceptions=True)
        await until(lambda: n_deaths() == before + 1)


@on_loop
async def test_a_pool_that_was_not_started_starts_with_its_first_chunk() -> None:
    server = ForkServer(Program(table="workers.pool_chunks"))
    pool = LocalPool(2, server)
    try:
        await pool.resize(1)
        assert (server.pid, pool.stats().alive) == (None, 0)
        assert await pool.run(Chunk("echo", 1)) == 1
        assert (server.pid is not None, pool.stats().alive) == (True, 1)
    finally:
        await pool.close()
        await server.close()
    with pytest.raises(Draining):
        await pool.run(Chunk("echo", 1))
