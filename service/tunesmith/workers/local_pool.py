"""Worker processes on this machine, for asyncio: `LocalPool`.

Why our own: one dead worker breaks a whole `concurrent.futures` pool, and pebble, which does kill single workers, has a
fixed number of them, one queue without priorities, and a channel shared by all that brings back results alone.
multiprocessing's fork server is not used either: it imports the daemon's `__main__` into every worker (195 ms measured
with FastAPI and pyzmq, where ours take a chunk after 8 ms), and asking it for a process blocks.

    run() → FairQueue → an idle worker → result
              ↑                  └→ dead? the chunk goes first in the queue, up to `attempts` times; a new worker starts

At most one chunk is out at each worker, so that what is queued can be cancelled at once and its order is kept. A worker
is killed with its children, and replaced, when its chunk is over its time or memory, or was cancelled and goes on for
`cancel_grace_s`; the last is no death of a worker in the metrics, and does not fire the alert on those.

Memory is watched from here, by private resident pages of the worker and its children every 0.2 s. A limit in the
kernel does not do: RLIMIT_AS counts what is only reserved, twice of what numba has in use, and near RLIMIT_DATA numba's
compiler does not raise MemoryError: it was seen to abort, to raise SystemError, and to spin for ten minutes.
"""

from __future__ import annotations

import asyncio
import itertools
import pickle
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

import structlog

from tunesmith import telemetry
from tunesmith.errors import Draining, TunesmithError
from tunesmith.workers.executor import (
    Chunk,
    ChunkFailed,
    ChunkTimeout,
    Limits,
    MemoryExceeded,
    OnMessage,
    Stats,
    WorkerDied,
)
from tunesmith.workers.fair_queue import FairQueue, Place
from tunesmith.workers.processes import Exit, ForkServer, GroupMemory, State, WorkerProcess

logger = structlog.get_logger(__name__)

_WATCH_INTERVAL_S = 0.2
_EXIT_WAIT_S = 1.0
_STOP_WAIT_S = 5.0


@dataclass(eq=False, slots=True, kw_only=True)
class _Job:
    id: int
    function: str
    payload: bytes
    place: Place
    timeout_s: float | None
    memory_mb: int | None
    context: dict[str, Any]
    result: asyncio.Future[Any]
    timer: asyncio.TimerHandle | None = None
    lost_with: list[WorkerProcess] = field(default_factory=list)

    def fail(self, error: TunesmithError) -> None:
        if not self.result.done():
            self.result.set_exception(error)

    def spare(self) -> None:
        if self.timer is not None:
            self.timer.cancel()


class LocalPool:
    """An `Executor` over worker processes that `server` forks; it may serve several pools, and is closed after them.

    `warm_up` names a function ("module:function") that each calls before its first chunk. `on_message` gets what chunks
    say while they run. Without `start`, workers are made when the first chunk comes.
    """

    def __init__(
        self,
        n_workers: int,
        server: ForkServer,
        *,
        warm_up: str = "",
        limits: Limits | None = None,
        on_message: OnMessage | None = None,
    ) -> None:
        self._target = n_workers
        self._limits = limits or Limits()
        self._on_message = on_message
        self._server = server
        self._warm_up = warm_up
        self._queue: FairQueue[_Job] = FairQueue()
        self._workers: list[WorkerProcess] = []
        self._jobs: dict[WorkerProcess, _Job] = {}
        self._numbers = itertools.count(1)
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiting_for_ready: list[asyncio.Future[None]] = []
        self._watch: asyncio.TimerHandle | None = None
        self._children = GroupMemory()
        self._retry: asyncio.TimerHandle | None = None
        self._closed: asyncio.Future[None] | None = None
        self._started = self._able = False
        self._restarts = self._recycled = self._start_failures = 0
        self._last_failure: str | None = None

    def start(self) -> None:
        """Launch the fork server and the workers, without waiting until they are ready."""
        self._started = True
        self._server.start()
        self._refill()

    async def wait_ready(self) -> None:
        """Return when as many workers as wanted are past their warm-up."""
        while self.stats().ready < self._target:
            news: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting_for_ready.append(news)
            await news

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
        """See `Executor.run`. Raises what pickling the payload raises."""
        if self._closed is not None:
            raise Draining("the workers take no work now")
        if not self._started:
            self.start()
        job = _Job(
            id=next(self._numbers),
            function=chunk.function,
            payload=pickle.dumps(chunk.payload, 5),
            place=Place(priority, user, task_id),
            timeout_s=timeout_s,
            memory_mb=memory_mb,
            context={**telemetry.log_context()} | ({} if task_id is None else {"task_id": task_id}),
            result=asyncio.get_running_loop().create_future(),
        )
        idle = None if self._queue.n else self._idle_worker()
        if idle is None:
            self._queue.put(job, job.place)
        else:
            self._assign(idle, job)
        try:
            return await job.result
        finally:
            if job.result.cancelled():
                self._withdraw(job)

    async def resize(self, n: int) -> None:
        """See `Executor.resize`. Surplus workers end: those that start, then the idle, then the busy when done."""
        self._target = n
        if self._started:
            self._refill()
        for state in (State.STARTING, State.IDLE):
            for worker in self._active():
                if worker.state is state and self._surplus():
                    self._stop(worker)

    async def close(self, drain_s: float = 0.0) -> None:
        """See `Executor.close`. When it returns, no worker is left."""
        if self._closed is not None:
            await asyncio.shield(self._closed)
            return
        self._closed = asyncio.get_running_loop().create_future()
        try:
            while self._queue:
                self._queue.take().fail(_stopped())
            running = [job.result for job in self._jobs.values() if not job.result.done()]
            if running and drain_s > 0:
                await asyncio.wait(running, timeout=drain_s)
        finally:
            await self._end()
            self._closed.set_result(None)

    def stats(self) -> Stats:
        silent = self._server.is_silent
        return Stats(
            target=self._target,
            alive=sum(worker.pid is not None for worker in self._workers) if silent else len(self._workers),
            ready=sum(worker.state is not State.STARTING for worker in self._active()),
            busy=len(self._jobs),
            queued=len(self._queue),
            restarts=self._restarts,
            recycled=self._recycled,
            start_failures=self._start_failures,
            last_failure="what workers are forked from does not answer" if silent else self._last_failure,
            able=self._able,
        )

    def pids(self) -> list[int]:
        """Process ids of the fork server and of the workers."""
        known = (self._server.pid, *(worker.pid for worker in self._workers))
        return [pid for pid in known if pid is not None]

    # Chunks: queued, at a worker, done.

    def _hand_out(self) -> None:
        while self._queue.n and (worker := self._idle_worker()) is not None:
            self._assign(worker, self._queue.take())

    def _idle_worker(self) -> WorkerProcess | None:
        return next((worker for worker in self._workers if worker.state is State.IDLE and not worker.doomed), None)

    def _assign(self, worker: WorkerProcess, job: _Job) -> None:
        worker.state = State.BUSY
        self._jobs[worker] = job
        if job.timeout_s is not None:
            job.timer = asyncio.get_running_loop().call_later(job.timeout_s, self._time_out, worker, job)
        worker.send("run", job.id, job.function, job.payload, job.context)
        if self._watch is None:
            self._watch = asyncio.get_running_loop().call_later(_WATCH_INTERVAL_S, self._watch_memory)

    def _time_out(self, worker: WorkerProcess, job: _Job) -> None:
        job.fail(ChunkTimeout(f"{job.function} took longer than {job.timeout_s:g} s"))
        worker.kill()

    def _withdraw(self, job: _Job) -> None:
        if self._queue.discard(job, job.place):
            return
        for worker, at_work in self._jobs.items():
            if at_work is job:
                job.spare()
                worker.send("cancel", job.id)
                worker.kill_after(self._limits.cancel_grace_s, worker.forgive)

    def _watch_memory(self) -> None:
        self._watch = None
        of_children = self._children.look({worker.pid for worker in self._jobs if worker.pid is not None})
        for worker, job in self._jobs.items():
            grown_mb = worker.grown_mb()
            if grown_mb is None or worker.pid is None:
                worker.abandon()  # it is gone, but something holds its socket open
            elif job.memory_mb is not None and grown_mb + of_children.get(worker.pid, 0.0) > job.memory_mb:
                job.fail(MemoryExceeded(f"{job.function} took more than {job.memory_mb} MB of memory"))
                worker.kill()
        if self._jobs:
            self._watch = asyncio.get_running_loop().call_later(_WATCH_INTERVAL_S, self._watch_memory)
        else:
            self._children = GroupMemory()

    def _received(self, worker: WorkerProcess, message: Any) -> None:
        job = self._jobs.get(worker)
        match message:
            case ("said", kind, payload) if job is not None:
                if self._on_message is not None and not job.result.done():
                    asyncio.get_running_loop().call_soon(self._on_message, job.place.task, kind, payload)
            case ("result", value, n_rules) if job is not None:
                worker.n_rules = n_rules or worker.n_rules
                if not job.result.done():
                    job.result.set_result(value)
                self._free(worker)
            case ("failed", error, text, n_rules) if job is not None:
                worker.n_rules = n_rules or worker.n_rules
                if isinstance(error, ChunkFailed):
                    error.traceback = text
                    error.add_note(text)
                job.fail(error)
                self._free(worker, recycle=isinstance(error, MemoryExceeded))
            case ("unreadable", error) if job is not None:
                job.fail(ChunkFailed(f"{job.function}: its result cannot be read: {type(error).__name__}"))
                self._free(worker)
            case ("ready", pid):
                self._greet(worker, pid)
            case ("broken", text):
                worker.failure = text.strip().rpartition("\n")[2]
                logger.error("a worker cannot start", traceback=text)

    def _free(self, worker: WorkerProcess, *, recycle: bool = False) -> None:
        self._jobs.pop(worker).spare()
        worker.state = State.IDLE
        if self._surplus():
            self._stop(worker)
        elif recycle or worker.is_worn(self._limits):
            self._recycled += 1
            self._stop(worker)
            self._refill()
        else:
            worker.spare()
            if self._queue.n:
                self._hand_out()

    # Workers: started, ready, stopped, lost.

    def _active(self) -> list[WorkerProcess]:
        return [worker for worker in self._workers if worker.state is not State.STOPPING]

    def _surplus(self) -> bool:
        return len(self._active()) > self._target

    def _refill(self) -> None:
        if self._closed is not None or self._retry is not None:
            return
        active = self._active()
        missing = self._target - len(active)
        if self._start_failures:  # try one, before all of them fail again
            missing = min(missing, 0 if any(worker.state is State.STARTING for worker in active) else 1)
        for _ in range(missing):
            worker = WorkerProcess(self._received, self._lost)
            self._workers.append(worker)
            self._spawn(worker.connect(self._server, self._warm_up))

    def _retry_start(self) -> None:
        self._retry = None
        self._refill()

    def _greet(self, worker: WorkerProcess, pid: int) -> None:
        worker.pid = pid
        worker.remember_size()
        self._start_failures, self._last_failure, self._able = 0, None, True
        if worker.state is State.STARTING:
            worker.state = State.IDLE
        for news in (each for each in self._waiting_for_ready if not each.done()):
            news.set_result(None)
        self._waiting_for_ready.clear()
        self._refill()
        self._hand_out()

    def _stop(self, worker: WorkerProcess) -> None:
        if worker.state is State.STARTING:
            worker.kill()
        worker.state = State.STOPPING
        worker.send("stop")
        worker.kill_after(_STOP_WAIT_S)

    def _lost(self, worker: WorkerProcess) -> None:
        worker.spare()
        self._workers.remove(worker)
        if worker.state is State.STARTING and self._retry is None:
            limits = self._limits
            delay_s = min(limits.longest_backoff_s, limits.first_backoff_s * 2.0 ** min(self._start_failures, 30))
            self._start_failures += 1
            self._last_failure = worker.failure or "a worker died at its start"
            self._retry = asyncio.get_running_loop().call_later(delay_s, self._retry_start)
        elif worker.state in (State.IDLE, State.BUSY) and self._closed is None:
            self._restarts += 1
        if (job := self._jobs.pop(worker, None)) is not None:
            job.spare()
            if not job.result.done():
                self._repeat(job, worker)
        self._spawn(self._bury(worker))
        self._refill()
        self._hand_out()

    def _repeat(self, job: _Job, worker: WorkerProcess) -> None:
        job.lost_with.append(worker)
        if self._closed is not None:
            job.fail(_stopped())
        elif len(job.lost_with) < self._limits.attempts:
            self._queue.put(job, job.place, first=True)
        else:
            self._spawn(self._give_up(job))

    async def _give_up(self, job: _Job) -> None:
        exits = [str(await worker.exit) for worker in job.lost_with]
        job.fail(WorkerDied(f"{job.function}: its worker died {len(exits)} times: {'; '.join(exits)}"))

    async def _bury(self, worker: WorkerProcess) -> None:
        worker.kill()
        await asyncio.wait((worker.exit,), timeout=_EXIT_WAIT_S)
        worker.exited(Exit())  # unless it is known by now
        if worker.state is State.STARTING and worker.failure is None and self._start_failures:
            self._last_failure = f"a worker died at its start: {worker.exit.result()}"
        if worker.was_cancelled:
            logger.info("a worker was killed with its cancelled chunk")
        elif worker.state is not State.STOPPING and self._closed is None:
            telemetry.WORKER_DEATHS.inc()
            logger.warning("a worker died", state=worker.state.name.lower(), exit=str(worker.exit.result()))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _end(self) -> None:
        for job in self._jobs.values():
            job.fail(_stopped())
        for timer in (self._watch, self._retry):
            if timer is not None:
                timer.cancel()
        await asyncio.gather(*self._tasks)
        workers = list(self._workers)
        for worker in workers:
            worker.abandon()
        while self._tasks:
            await asyncio.gather(*self._tasks)
        await asyncio.gather(*(worker.ended() for worker in workers))


def _stopped() -> Draining:
    return Draining("the daemon stopped before the work was done")
