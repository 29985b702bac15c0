"""The executor protocol: tasks hand chunks of work to an executor, which runs them and returns their results.

    Internal                 errors of an executor, beside those that a chunk function raises itself
    ├── ChunkFailed          the function raised something foreign; `traceback` has the text for the log
    ├── MemoryExceeded       the chunk took more memory than it may
    └── WorkerDied           the process died under the chunk, again and again
    DeadlineExceeded
    └── ChunkTimeout         the chunk took longer than it may
    Draining                 the executor was closed before the chunk was done

`LocalPool` (local_pool.py) runs chunks in worker processes of this machine, `Inline` (inline.py) in threads of this
process, and `LaneRouter` (lanes.py) hands each to the executor of its lane. A new executor passes
tests/contracts/test_executors.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Protocol

from tunesmith.errors import DeadlineExceeded, Internal


@dataclass(frozen=True, slots=True)
class Chunk:
    """The unit of scheduling: the name of a chunk function and its one argument."""

    function: str
    payload: Any


class Stats(NamedTuple):
    """An executor now. `ready` workers are past their warm-up (`busy` among them); `queued` chunks wait for one.

    `restarts` counts workers replaced since the start because they died or were killed, `recycled` those replaced for
    their age or size. `start_failures` counts the rounds in a row in which no worker came up, `last_failure` says why.
    `able`: since the start there has been a worker for every kind of chunk that a request waits for.
    """

    target: int
    alive: int
    ready: int
    busy: int
    queued: int
    restarts: int = 0
    recycled: int = 0
    start_failures: int = 0
    last_failure: str | None = None
    able: bool = True


OnMessage = Callable[[str | None, str, Any], None]
"""Called on the loop with a chunk's task id and what it says while it runs: "doing" and what it is busy with."""


class Executor(Protocol):
    """Runs chunks. One instance belongs to one event loop."""

    async def run(
        self,
        chunk: Chunk,
        *,
        priority: int = 5,
        timeout_s: float | None = None,
        memory_mb: int | None = None,
        task_id: str | None = None,
        user: str = "local",
    ) -> Any:
        """The chunk's result.

        Priority 0 comes first, and waiting improves a priority; within one users take turns, and within a user tasks.
        The limits hold for the chunk's time at work, not in the queue; the memory is what the worker takes above its
        start, with the processes that the chunk started. Cancelling the call takes the chunk out of the queue; one at
        work is asked to stop, and stopped where the executor can.

        Raises what the chunk function raised, if that is a `TunesmithError`, else the errors named above.
        """
        ...

    async def resize(self, n: int) -> None:
        """Have `n` workers from now on. Chunks at work are not disturbed."""
        ...

    async def close(self, drain_s: float = 0.0) -> None:
        """Refuse new chunks, drop queued ones, give running ones `drain_s` seconds, then end them. Idempotent."""
        ...

    def stats(self) -> Stats: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a pool of processes allows.

    A chunk whose worker dies is tried `attempts` times. A cancelled chunk has `cancel_grace_s` seconds to return before
    its worker is killed. A worker is replaced when it has `recycle_mb` MB more than at its start, or `recycle_rules`
    compiled rules, which stay in its memory for good. Starts that fail are tried again after `first_backoff_s`, twice
    as long each time, up to `longest_backoff_s`.
    """

    attempts: int = 3
    cancel_grace_s: float = 0.5
    recycle_mb: int | None = 1024
    recycle_rules: int | None = None
    first_backoff_s: float = 0.1
    longest_backoff_s: float = 10.0


class ChunkFailed(Internal):
    """A chunk function raised an exception of no kind of ours; `traceback` is for the log, not for clients."""

    retryable: ClassVar[bool] = False
    traceback: str = ""


class MemoryExceeded(Internal):
    """A chunk took more memory than it may, or its worker could get no more."""

    title, retryable = "Out of memory", False


class WorkerDied(Internal):
    """Worker processes died under a chunk as often as it may be tried."""

    title, retryable = "Worker died", False


class ChunkTimeout(DeadlineExceeded):
    """A chunk took longer than it may."""

    title, retryable = "Time limit exceeded", False
