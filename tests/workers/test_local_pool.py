"""What only processes can do: die, be killed, be replaced, and leave nothing behind."""

from __future__ import annotations

import asyncio
import errno
import os
import pickle
import signal
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tunesmith.errors import Draining, Invalid
from tunesmith.workers.executor import Chunk, ChunkFailed, ChunkTimeout, Limits, MemoryExceeded, WorkerDied
from tunesmith.workers.local_pool import LocalPool
from tunesmith.workers.processes import ForkServer
from tunesmith.workers.worker import Program
from workers.pool_chunks import BIG
from workers.pool_scenes import Hold, is_gone, on_loop, until

CHUNKS = "workers.pool_chunks"
PROGRAM = Program(table=CHUNKS)


@asynccontextmanager
async def opened(
    n_workers: int = 1,
    program: Program = PROGRAM,
    limits: Limits | None = None,
    *,
    warm_up: str = "",
    wait: bool = True,
) -> AsyncIterator[LocalPool]:
    server = ForkServer(program)
    pool = LocalPool(n_workers, server, warm_up=warm_up, limits=limits)
    pool.start()
    try:
        if wait:
            await pool.wait_ready()
        yield pool
        pids = pool.pids()
    finally:
        await pool.close()
        await server.close()
    assert pids
    assert all(is_gone(pid) for pid in pids)
    assert pool.stats()[1:4] == (0, 0, 0)


@on_loop
async def test_a_fork_server_that_hangs_is_told_of_and_replaced() -> None:
    server = ForkServer(PROGRAM, answer_s=0.6)
    pool = LocalPool(1, server, limits=Limits(first_backoff_s=0.01))
    pool.start()
    await pool.wait_ready()
    hung, worker = pool.pids()
    os.kill(hung, signal.SIGSTOP)
    os.kill(worker, signal.SIGKILL)
    await until(lambda: pool.stats()[:3] == (1, 0, 0))
    assert pool.stats().last_failure == "what workers are forked from does not answer"
    assert await pool.run(Chunk("echo", 1)) == 1
    assert is_gone(hung)
    assert hung not in pool.pids()
    await pool.close()
    await server.close()


async def worker_pids(pool: LocalPool) -> set[int]:
    """The pids of all workers that are wanted, when they are ready."""
    await pool.wait_ready()
    return set(pool.pids()[1:])


def n_open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@on_loop
async def test_a_worker_killed_in_the_middle_costs_a_repeat_and_no_more(tmp_path: Path) -> None:
    async with opened(2) as pool:
        hold = Hold(pool, tmp_path / "killed", task_id="a")
        other = Hold(pool, tmp_path / "other", task_id="b")
        victim, witness = await hold.running(), await other.running()
        (hold.folder / "running").unlink()
        os.kill(victim, signal.SIGKILL)
        assert await hold.running() != victim
        assert not other.task.done()
        hold.let_go()
        other.let_go()
        assert [await hold.task, await other.task] == ["let go", "let go"]
        assert witness in await worker_pids(pool)
        assert pool.stats().restarts == 1


@on_loop
async def test_a_repeated_chunk_comes_before_what_is_queued(tmp_path: Path) -> None:
    async with opened() as pool:
        order: list[str] = []
        hold = Hold(pool, tmp_path)
        pid = await hold.running()
        queued = [asyncio.create_task(pool.run(Chunk("echo", str(k)))) for k in range(3)]
        await until(lambda: pool.stats().queued == 3)
        for task in (hold.task, *queued):
            task.add_done_callback(lambda done: order.append(done.result()))
        os.kill(pid, signal.SIGKILL)
        hold.let_go()
        await asyncio.gather(hold.task, *queued)
        assert order == ["let go", "0", "1", "2"]


@on_loop
async def test_a_chunk_that_always_kills_its_worker_fails_with_the_reason() -> None:
    async with opened(limits=Limits(attempts=2)) as pool:
        with pytest.raises(WorkerDied, match=r"segfault: its worker died 2 times: killed by SIGSEGV, peak memory \d+"):
            await pool.run(Chunk("segfault", None))
        assert await pool.run(Chunk("echo", 1)) == 1
        assert pool.stats().restarts == 2


@on_loop
async def test_a_kernel_over_its_time_is_killed_and_others_are_not(tmp_path: Path) -> None:
    async with opened(2) as pool:
        stuck = Hold(pool, tmp_path / "stuck", "stick", timeout_s=1.0)
        other = Hold(pool, tmp_path / "other")
        stuck_pid, other_pid = await stuck.running(), await other.running()
        with pytest.raises(ChunkTimeout):
            await stuck.task
        await until(lambda: is_gone(stuck_pid) and pool.stats().restarts == 1)
        other.let_go()
        assert await other.task == "let go"
        assert other_pid in await worker_pids(pool)


@on_loop
async def test_a_chunk_over_its_memory_is_killed_and_others_are_not(tmp_path: Path) -> None:
    async with opened(2) as pool:
        other = Hold(pool, tmp_path, memory_mb=100)
        other_pid = await other.running()
        with pytest.raises(MemoryExceeded, match="eat took more than 100 MB"):
            await pool.run(Chunk("eat", 300), memory_mb=100)
        other.let_go()
        assert await other.task == "let go"
        assert other_pid in await worker_pids(pool)


@on_loop
async def test_a_worker_out_of_memory_is_replaced() -> None:
    async with opened() as pool:
        before = await worker_pids(pool)
        with pytest.raises(MemoryExceeded):
            await pool.run(Chunk("use_up_memory", None))
        assert await pool.run(Chunk("pid", None)) not in before
        assert pool.stats().recycled == 1


@on_loop
async def test_a_cancelled_kernel_is_killed_after_the_grace(tmp_path: Path) -> None:
    async with opened(limits=Limits(cancel_grace_s=0.05)) as pool:
        stuck = Hold(pool, tmp_path, "stick")
        pid = await stuck.running()
        stuck.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await stuck.task
        assert await pool.run(Chunk("pid", None)) != pid
        await until(lambda: is_gone(pid))
        assert pool.stats().restarts == 1


@on_loop
async def test_workers_are_recycled_by_their_size() -> None:
    async with opened(limits=Limits(recycle_mb=3)) as pool:
        first = await pool.run(Chunk("pid", None))
        assert await pool.run(Chunk("pid", None)) == first
        await pool.run(Chunk("keep", 5))
        assert await pool.run(Chunk("pid", None)) != first
        assert (pool.stats().recycled, pool.stats().restarts) == (1, 0)


@on_loop
async def test_workers_are_recycled_before_compiled_rules_fill_their_memory() -> None:
    async with opened(limits=Limits(recycle_rules=3)) as pool:
        first = await pool.run(Chunk("pid", None))
        await pool.run(Chunk("load", 2))
        assert await pool.run(Chunk("pid", None)) == first
        await pool.run(Chunk("load", 3))
        second = await pool.run(Chunk("pid", None))
        assert second != first
        with pytest.raises(Invalid, match="load_and_refuse"):
            await pool.run(Chunk("load_and_refuse", 4))
        assert await pool.run(Chunk("pid", None)) not in (first, second)
        assert (pool.stats().recycled, pool.stats().restarts) == (2, 0)


@on_loop
async def test_workers_warm_up_before_their_first_chunk() -> None:
    async with opened(warm_up=f"{CHUNKS}:warm_up", wait=False) as pool:
        assert pool.stats().ready == 0
        assert await pool.run(Chunk("warm", None)) is True
        assert pool.stats().ready == 1


@on_loop
async def test_what_is_preloaded_is_imported_before_the_fork() -> None:
    async with opened(program=Program(table=CHUNKS, preload=(CHUNKS,))) as pool:
        server, worker = pool.pids()
        assert await pool.run(Chunk("importer", None)) == server != worker


@on_loop
async def test_what_is_prepared_is_there_in_every_pool_of_the_server_and_leaves_no_thread() -> None:
    server = ForkServer(Program(table=CHUNKS, prepare=f"{CHUNKS}:warm_up"))
    pools = [LocalPool(1, server), LocalPool(2, server)]
    try:
        for pool in pools:
            pool.start()
        for pool in pools:
            await pool.wait_ready()
            assert await pool.run(Chunk("warm", None)) is True
        one, other = (pool.pids() for pool in pools)
        assert (one[0], len({*one, *other})) == (other[0], 4)
        assert len(list(Path(f"/proc/{server.pid}/task").iterdir())) == 1
        await pools[0].close()
        assert await pools[1].run(Chunk("echo", 1)) == 1, "the other pool goes on"
    finally:
        for pool in pools:
            await pool.close()
        await server.close()
    assert all(is_gone(pid) for pid in (*one, *other))


@on_loop
async def test_what_cannot_be_prepared_is_left_to_the_workers(capfd: pytest.CaptureFixture[str]) -> None:
    async with opened(program=Program(table=CHUNKS, prepare=f"{CHUNKS}:broken_warm_up")) as pool:
        assert await pool.run(Chunk("echo", 1)) == 1
    assert "RuntimeError: no such kernel" in capfd.readouterr().err


@on_loop
async def test_a_start_that_fails_backs_off_says_why_and_recovers(tmp_path: Path, monkeypatch: Any) -> None:
    allowed = tmp_path / "allowed"
    monkeypatch.setenv("POOL_TEST_FOLDER", str(tmp_path))
    limits = Limits(first_backoff_s=0.1, longest_backoff_s=0.3)
    async with opened(2, limits=limits, warm_up=f"{CHUNKS}:warm_up_when_allowed", wait=False) as pool:
        began = time.monotonic()
        await until(lambda: pool.stats().start_failures >= 4)
        assert time.monotonic() - began >= 0.1 + 0.2 + 0.3
        n_failed, n_tried = pool.stats().start_failures, len((tmp_path / "tried").read_text())
        assert n_tried <= 2 + n_failed, "after the first failure one worker at a time tries"
        await until(lambda: str(pool.stats().last_failure).startswith("a worker died at its start: exit code 7"))
        assert pool.stats().ready == 0
        allowed.touch()
        assert await pool.run(Chunk("echo", 1)) == 1
        await pool.wait_ready()
        assert (pool.stats().start_failures, pool.stats().last_failure) == (0, None)


@on_loop
async def test_a_warm_up_that_raises_is_named() -> None:
    async with opened(limits=Limits(first_backoff_s=0.01), warm_up=f"{CHUNKS}:broken_warm_up", wait=False) as pool:
        await until(lambda: pool.stats().last_failure == "RuntimeError: no such kernel")


@on_loop
async def test_workers_outlive_the_fork_server_and_a_new_one_replaces_it(tmp_path: Path) -> None:
    async with opened(2) as pool:
        server = pool.pids()[0]
        hold = Hold(pool, tmp_path)
        await hold.running()
        os.kill(server, signal.SIGKILL)
        await until(lambda: server not in pool.pids())
        await pool.resize(3)
        await pool.wait_ready()
        hold.let_go()
        assert await hold.task == "let go"
        assert pool.stats().restarts == 0


@on_loop
async def test_a_process_that_cannot_be_made_is_a_failed_start(monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(limits=Limits(first_backoff_s=0.01)) as pool:
        with monkeypatch.context() as patch:
            patch.setattr(socket, "send_fds", refuse)
            await pool.resize(2)
            await until(lambda: pool.stats().start_failures >= 2)
            patch.setattr(socket, "socketpair", refuse)
            await until(lambda: pool.stats().start_failures >= 4)
            assert pool.stats().last_failure == "cannot start a process: [Errno 24] Too many open files"
        await pool.wait_ready()


@on_loop
async def test_libraries_in_workers_use_one_thread() -> None:
    async with opened() as pool:
        names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
        assert [await pool.run(Chunk("environment", name)) for name in names] == ["1", "1", "1"]


@on_loop
async def test_payloads_and_results_that_do_not_travel_fail_their_call_alone() -> None:
    async with opened() as pool:
        with pytest.raises((AttributeError, pickle.PicklingError)):
            await pool.run(Chunk("echo", lambda: 1))
        with pytest.raises(ChunkFailed, match="its result cannot be sent: TypeError"):
            await pool.run(Chunk("unsendable", None))
        with pytest.raises(ChunkFailed, match="its result cannot be read: ValueError"):
            await pool.run(Chunk("unreadable", None))
        with pytest.raises(ChunkFailed, match="echo failed: ValueError"):
            await pool.run(Chunk("echo", UnreadablePayload()))
        assert await pool.run(Chunk("echo", 1)) == 1
        assert pool.stats().restarts == 0


@pytest.mark.parametrize("function", ["big_buffer", "big_bytes"])
@on_loop
async def test_a_large_result_does_not_stall_the_loop(function: str) -> None:
    async def stalls(pool: LocalPool) -> bool:
        longest, finished = 0.0, asyncio.Event()

        async def beat() -> None:
            nonlocal longest
            last = time.perf_counter()
            while not finished.is_set():
                await asyncio.sleep(0)
                longest, last = max(longest, time.perf_counter() - last), time.perf_counter()

        beating, began = asyncio.create_task(beat()), time.perf_counter()
        result = await pool.run(Chunk(function, None))
        total = time.perf_counter() - began
        finished.set()
        await beating
        assert bytes(result) == b"tune" * (BIG // 4)
        return longest >= max(0.25, total / 2)

    async with opened() as pool:
        assert not all([await stalls(pool) for _ in range(3)]), "the machine may stall once, but not each time"


@on_loop
async def test_a_large_payload_arrives_whole() -> None:
    async with opened() as pool:
        payload = os.urandom(5_000_000)
        assert await pool.run(Chunk("echo", payload)) == payload


@on_loop
async def test_no_file_descriptor_leaks_over_chunks_and_deaths() -> None:
    async with opened(2) as pool:
        assert await pool.run(Chunk("echo", 0)) == 0
        before = n_open_files()
        for deaths in range(2, 22, 2):
            for pid in await worker_pids(pool):
                os.kill(pid, signal.SIGKILL)
            assert await asyncio.gather(*(pool.run(Chunk("echo", n)) for n in range(20))) == list(range(20))
            await until(lambda deaths=deaths: pool.stats().restarts == deaths)
        await pool.wait_ready()
        await until(lambda: n_open_files() == before)


@on_loop
async def test_close_kills_what_is_not_done_in_time(tmp_path: Path) -> None:
    async with opened(2) as pool:
        stuck, hold = Hold(pool, tmp_path / "stuck", "stick"), Hold(pool, tmp_path / "hold")
        pids = [await stuck.running(), await hold.running()]
        await pool.close(drain_s=0.05)
        for call in (stuck, hold):
            with pytest.raises(Draining):
                await call.task
        assert all(is_gone(pid) for pid in pids)
        pool.pids = lambda: pids  # type: ignore[method-assign]


@on_loop
async def test_close_while_workers_start_leaves_none() -> None:
    async with opened(4, wait=False) as pool:
        await until(lambda: len(pool.pids()) > 1)


def refuse(*_: Any) -> Any:
    raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


class UnreadablePayload:
    """Pickles, but does not unpickle."""

    def __reduce__(self) -> Any:
        return int, ("not a number",)
