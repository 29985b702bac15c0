"""What every executor does: threads, worker processes, and one made outside of the package."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog

from contracts.executor_elsewhere import Elsewhere
from tunesmith.errors import DeadlineExceeded, Draining, Internal, Invalid
from tunesmith.workers.executor import Chunk, ChunkFailed, ChunkTimeout, Executor, MemoryExceeded, OnMessage
from tunesmith.workers.inline import Inline
from tunesmith.workers.local_pool import LocalPool
from tunesmith.workers.processes import ForkServer
from tunesmith.workers.worker import Program
from workers.pool_scenes import Hold, on_loop, until

Open = Callable[..., AbstractAsyncContextManager[Executor]]


@asynccontextmanager
async def inline(n_workers: int = 1, on_message: OnMessage | None = None) -> AsyncIterator[Executor]:
    executor = Inline("workers.pool_chunks", n_workers=n_workers, on_message=on_message)
    yield executor
    await executor.close()


@asynccontextmanager
async def processes(n_workers: int = 1, on_message: OnMessage | None = None) -> AsyncIterator[Executor]:
    server = ForkServer(Program(table="workers.pool_chunks"))
    pool = LocalPool(n_workers, server, on_message=on_message)
    pool.start()
    await pool.wait_ready()
    yield pool
    await pool.close()
    await server.close()


@asynccontextmanager
async def elsewhere(n_workers: int = 1, on_message: OnMessage | None = None) -> AsyncIterator[Executor]:
    executor = Elsewhere("workers.pool_chunks", n_workers, on_message)
    yield executor
    await executor.close()


@pytest.fixture(params=[inline, processes, elsewhere])
def executor(request: pytest.FixtureRequest) -> Any:
    return request.param


@on_loop
async def test_results_belong_to_their_calls(executor: Open) -> None:
    async with executor(n_workers=2) as pool:
        assert await asyncio.gather(*(pool.run(Chunk("echo", {"n": n})) for n in range(50))) == [
            {"n": n} for n in range(50)
        ]
        assert pool.stats()[:5] == (2, 2, 2, 0, 0)


@on_loop
async def test_priority_zero_comes_first(executor: Open, tmp_path: Path) -> None:
    async with executor() as pool:
        hold, order = Hold(pool, tmp_path), []
        await hold.running()

        async def run(priority: int) -> None:
            order.append(await pool.run(Chunk("echo", priority), priority=priority))

        waiting = [asyncio.create_task(run(priority)) for priority in (5, 9, 0, 5, 1)]
        await until(lambda: pool.stats().queued == 5)
        hold.let_go()
        await asyncio.gather(hold.task, *waiting)
        assert order == [0, 1, 5, 5, 9]


@on_loop
async def test_a_long_task_does_not_keep_others_waiting(executor: Open, tmp_path: Path) -> None:
    async with executor() as pool:
        hold, order = Hold(pool, tmp_path), []
        await hold.running()

        async def run(user: str, task: str) -> None:
            order.append(await pool.run(Chunk("echo", (user, task)), user=user, task_id=task))

        places = [("ann", "long")] * 200 + [("ann", "short"), ("bob", "other")]
        waiting = [asyncio.create_task(run(*place)) for place in places]
        await until(lambda: pool.stats().queued == 202)
        hold.let_go()
        await asyncio.gather(hold.task, *waiting)
        assert order[:4] == [("ann", "long"), ("bob", "other"), ("ann", "short"), ("ann", "long")]


@on_loop
async def test_our_errors_pass_as_they_are(executor: Open) -> None:
    async with executor() as pool:
        with pytest.raises(Invalid) as caught:
            await pool.run(Chunk("refuse", None))
        assert (caught.value.message, caught.value.path) == ("too small", "/data/n")


@on_loop
async def test_foreign_errors_show_their_text_to_the_log_alone(executor: Open) -> None:
    async with executor() as pool:
        with pytest.raises(ChunkFailed) as caught:
            await pool.run(Chunk("fail", "s3cret"))
        assert caught.value.problem()["detail"] == "fail failed: KeyError"
        assert "KeyError: 's3cret'" in caught.value.traceback
        with pytest.raises(ChunkFailed, match="SystemExit"):
            await pool.run(Chunk("leave", None))
        assert await pool.run(Chunk("echo", 1)) == 1


@on_loop
async def test_a_memory_error_fails_its_chunk_alone(executor: Open) -> None:
    async with executor() as pool:
        with pytest.raises(MemoryExceeded, match="use_up_memory"):
            await pool.run(Chunk("use_up_memory", None))
        assert await pool.run(Chunk("echo", 1)) == 1


@on_loop
async def test_a_cancel_of_a_call_whose_chunk_was_just_handed_out_gives_its_place_back(executor: Open) -> None:
    async with executor() as pool:
        for n in range(20):
            first, second = (asyncio.create_task(pool.run(Chunk("echo", k))) for k in range(2))
            for _ in range(n):
                await asyncio.sleep(0)
            second.cancel()
            assert await first == 0
            await asyncio.gather(second, return_exceptions=True)
        assert await pool.run(Chunk("echo", 1)) == 1
        await until(lambda: pool.stats()[3:5] == (0, 0))


@on_loop
async def test_an_unknown_function_is_our_fault(executor: Open) -> None:
    async with executor() as pool:
        with pytest.raises(Internal, match="no chunk function 'nothing'"):
            await pool.run(Chunk("nothing", None))


@on_loop
async def test_what_a_chunk_says_comes_in_order_and_before_its_result(executor: Open) -> None:
    said: list[tuple[Any, ...]] = []
    async with executor(on_message=lambda *message: said.append(message)) as pool:
        assert await pool.run(Chunk("talk", 3), task_id="t1") == "done"
        assert said == [("t1", "doing", f"step {k}") for k in range(3)]


@on_loop
async def test_ids_are_bound_while_a_chunk_runs(executor: Open) -> None:
    async with executor() as pool:
        with structlog.contextvars.bound_contextvars(request_id="r1"):
            assert await pool.run(Chunk("context", None), task_id="t1") == {"request_id": "r1", "task_id": "t1"}
        assert await pool.run(Chunk("context", None)) == {}


@on_loop
async def test_a_chunk_over_its_time_fails_alone(executor: Open, tmp_path: Path) -> None:
    async with executor(n_workers=2) as pool:
        slow = Hold(pool, tmp_path / "slow", timeout_s=0.1)
        other = Hold(pool, tmp_path / "other")
        with pytest.raises(ChunkTimeout, match=r"hold took longer than 0\.1 s") as caught:
            await slow.task
        assert isinstance(caught.value, DeadlineExceeded)
        assert not other.task.done()
        other.let_go()
        assert await other.task == "let go"


@on_loop
async def test_a_queued_chunk_is_cancelled_at_once(executor: Open, tmp_path: Path) -> None:
    async with executor() as pool:
        hold = Hold(pool, tmp_path / "first")
        await hold.running()
        queued = Hold(pool, tmp_path / "second")
        await until(lambda: pool.stats().queued == 1)
        queued.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await queued.task
        assert pool.stats().queued == 0
        hold.let_go()
        assert await hold.task == "let go"
        assert await pool.run(Chunk("echo", 1)) == 1
        assert not (queued.folder / "running").exists()


@on_loop
async def test_a_running_chunk_that_heeds_its_cancel_gives_its_worker_back(executor: Open, tmp_path: Path) -> None:
    async with executor() as pool:
        hold = Hold(pool, tmp_path)
        worker_pid = await hold.running()
        hold.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await hold.task
        await until(lambda: pool.stats().busy == 0)
        assert await pool.run(Chunk("pid", None)) == worker_pid
        assert pool.stats().restarts == 0


@on_loop
async def test_resize_changes_how_many_run_at_a_time(executor: Open, tmp_path: Path) -> None:
    async with executor() as pool:
        holds = [Hold(pool, tmp_path / str(k)) for k in range(3)]
        await holds[0].running()
        assert pool.stats().queued == 2
        await pool.resize(3)
        for hold in holds:
            await hold.running()
        await pool.resize(1)
        for hold in holds:
            assert not hold.task.done()
            hold.let_go()
        assert [await hold.task for hold in holds] == ["let go"] * 3
        await until(lambda: pool.stats().alive == 1)
        assert await pool.run(Chunk("echo", 1)) == 1


@on_loop
async def test_close_drops_what_is_queued_and_lets_what_runs_finish(executor: Open, tmp_path: Path) -> None:
    async with executor() as pool:
        hold = Hold(pool, tmp_path)
        await hold.running()
        queued = asyncio.create_task(pool.run(Chunk("echo", 1)))
        await until(lambda: pool.stats().queued == 1)
        closing = asyncio.create_task(pool.close(drain_s=20.0))
        with pytest.raises(Draining):
            await queued
        with pytest.raises(Draining):
            await pool.run(Chunk("echo", 1))
        hold.let_go()
        assert await hold.task == "let go"
        await closing
        await pool.close()
