"""A pool whose daemon ends, is killed, or is interrupted leaves no process behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tunesmith.workers.local_pool import LocalPool
from tunesmith.workers.processes import ForkServer
from tunesmith.workers.worker import Program
from workers.pool_scenes import is_gone, on_loop, wait_until

DAEMON = """
import asyncio, signal, sys
from workers.pool_scenes import Hold
from tunesmith.workers.local_pool import LocalPool
from tunesmith.workers.processes import ForkServer
from tunesmith.workers.worker import Program
from pathlib import Path

async def main(folder):
    server = ForkServer(Program(table="workers.pool_chunks"))
    pool = LocalPool(2, server)
    pool.start()
    await pool.wait_ready()
    calls = [Hold(pool, folder / name, name) for name in sys.argv[2:]]
    for call in calls:
        await call.running()
    print(*pool.pids(), flush=True)
    try:
        await asyncio.Event().wait()
    finally:
        await pool.close(20)
        await server.close()
        print(*[await call.task for call in calls], pool.stats().restarts, flush=True)

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs start with it ignored
try:
    asyncio.run(main(Path(sys.argv[1])))
except KeyboardInterrupt:
    print("interrupted")
"""


@contextmanager
def daemon(folder: Path, *functions: str) -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    """A process of its own group with a pool of two at work on `functions`, and the pids of the pool's processes."""
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", DAEMON, str(folder), *functions],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    ) as process:
        assert process.stdout is not None
        try:
            yield process, [int(pid) for pid in process.stdout.readline().split()]
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def test_no_process_outlives_a_killed_daemon(tmp_path: Path) -> None:
    with daemon(tmp_path, "stick", "hold") as (process, pids):
        assert len(pids) == 3
        process.kill()
        wait_until(lambda: all(is_gone(pid) for pid in pids))


@pytest.mark.parametrize("death", [signal.SIGKILL, signal.SIGSEGV])
def test_no_worker_outlives_a_daemon_without_its_fork_server(tmp_path: Path, death: signal.Signals) -> None:
    with daemon(tmp_path, "hold") as (process, pids):
        os.kill(pids[0], death)
        process.kill()
        wait_until(lambda: all(is_gone(pid) for pid in pids))


def test_ctrl_c_in_the_terminal_lets_running_chunks_finish(tmp_path: Path) -> None:
    with daemon(tmp_path, "hold") as (process, pids):
        os.killpg(process.pid, signal.SIGINT)
        for pid in pids:
            os.kill(pid, signal.SIGTERM)
        (tmp_path / "hold" / "let_go").touch()
        assert process.communicate(timeout=20) == ("let go 0\ninterrupted\n", "")
        assert all(is_gone(pid) for pid in pids)


@on_loop
async def test_workers_and_their_session_give_way_as_far_as_they_are_told() -> None:
    server = ForkServer(Program(table="workers.pool_chunks", niceness=7))
    pool = LocalPool(1, server)
    pool.start()
    await pool.wait_ready()
    (worker,) = pool.pids()[1:]
    try:
        assert os.getpriority(os.PRIO_PROCESS, worker) == min(os.getpriority(os.PRIO_PROCESS, 0) + 7, 19)
        group = Path(f"/proc/{worker}/autogroup")
        if group.exists() and group.read_text():  # the kernel shares the processor among sessions
            assert group.read_text().split()[-1] == "7"
    finally:
        await pool.close()
        await server.close()


def test_the_daemon_does_not_import_what_its_workers_need() -> None:
    code = "import sys, tunesmith.workers.local_pool; print({'numpy', 'numba', 'pandas'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
