"""What the tests of executors share: an event loop with a time limit, waiting for conditions, a chunk that holds on."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from tunesmith.workers.executor import Chunk, Executor

LIMIT_S = 90.0


def on_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run an async test on a loop of its own, for `LIMIT_S` seconds at most."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        asyncio.run(asyncio.wait_for(test(*args, **kwargs), LIMIT_S))

    return run


async def until(condition: Callable[[], object]) -> None:
    """Return as soon as the condition holds; `on_loop` bounds the wait."""
    while not condition():
        await asyncio.sleep(0.002)


def is_gone(pid: int) -> bool:
    """Whether a process has ended, be it that nobody has asked for its exit code yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


def wait_until(condition: Callable[[], object]) -> None:
    """`until` without a loop; fails after `LIMIT_S` seconds."""
    deadline = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < deadline, "the condition never came true"
        time.sleep(0.005)


class Hold:
    """A chunk that is at work until `let_go`."""

    def __init__(self, executor: Executor, folder: Path, function: str = "hold", **options: Any) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self.task = asyncio.create_task(executor.run(Chunk(function, str(folder)), **options))

    async def running(self) -> int:
        """Its worker's pid, once it is at work."""
        path = self.folder / "running"
        await until(lambda: path.exists() and path.read_text())
        return int(path.read_text())

    def let_go(self) -> None:
        (self.folder / "let_go").touch()
