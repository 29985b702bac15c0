"""Tasks: long work that is durable before it is acknowledged, and goes on after a restart.

A task's kind names an async function that drives it: it asks the executor for chunks, stores what comes back and ends
the task in one transaction. Start-up and recovery are one path: whatever is unfinished in the database is started.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import traceback
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from itertools import islice
from typing import Any, Protocol, TypeVar

import msgspec
import structlog

from tunesmith import telemetry
from tunesmith.config import Settings
from tunesmith.domain.topics import done_topic
from tunesmith.errors import DeadlineExceeded, Internal, TunesmithError
from tunesmith.services.jobs.executor import Chunk, Executor
from tunesmith.services.jobs.payloads import BestTrial
from tunesmith.storage import outbox, tasks
from tunesmith.storage.connections import Connection
from tunesmith.storage.database import Database
from tunesmith.storage.tasks import TaskRow

logger = structlog.get_logger(__name__)

T = TypeVar("T")
_FLUSH_S = 0.05
Complete = Callable[[Connection], Coroutine[Any, Any, dict[str, Any]]]


class Announcer(Protocol):
    """Where events that are not durable go out."""

    def progress(self, task_id: str, data: dict[str, Any]) -> None: ...


class Job:
    """One running task, as its driver sees it."""

    def __init__(self, row: TaskRow, owner: Tasks) -> None:
        self.row = row
        self.id = row.id
        self.state: dict[str, Any] = msgspec.json.decode(row.state) if row.state else {}
        self.progress = row.progress
        self.eta_s: float | None = None
        self.best: BestTrial | None = None
        self._owner = owner
        self._began = time.monotonic()
        self._done_at_start: int | None = None

    def decode(self, kind: type[T]) -> T:
        """The stored request as what the driver knows it to be."""
        return msgspec.json.decode(self.row.request, type=kind)

    async def run(self, function: str, payload: Any) -> Any:
        """One chunk of work in a worker."""
        workers = self._owner.settings.workers
        return await self._owner.executor.run(
            Chunk(function, payload),
            priority=self.row.priority,
            timeout_s=workers.task_timeout_s,
            memory_mb=workers.memory_mb,
            task_id=self.id,
            user=self.row.user,
        )

    async def map(self, function: str, payloads: Sequence[Any]) -> AsyncIterator[Any]:
        """Many chunks of work, a few of them out at a time; results in the order in which they come back."""
        n_out = 2 * self._owner.settings.n_workers
        waiting = iter(payloads)
        running = {asyncio.create_task(self.run(function, payload)) for payload in islice(waiting, n_out)}
        try:
            while running:
                done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                running |= {asyncio.create_task(self.run(function, p)) for p in islice(waiting, len(done))}
                for task in done:
                    yield task.result()
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def save(self, state: dict[str, Any]) -> None:
        """Keep what a restart must not compute anew, such as which data the task works on."""
        self.state = state
        text = msgspec.json.encode(state).decode()
        await self._owner.database.write(lambda conn: tasks.set_state(conn, self.id, text))

    def advance(self, done: int, total: int) -> None:
        """Report progress; the time left follows from the speed since this run began."""
        if self._done_at_start is None:
            self._done_at_start, self._began = done, time.monotonic()
        fresh = done - self._done_at_start
        self.progress = done / total if total else 1.0
        self.eta_s = (time.monotonic() - self._began) / fresh * (total - done) if fresh else None
        self._owner.announcer.progress(
            self.id, {"task_id": self.id, "progress": self.progress, "done": done, "total": total, "eta_s": self.eta_s}
        )

    def log(self, message: str, level: str = "info") -> None:
        self._owner.log(self.id, level, message)

    async def complete(self, apply: Complete) -> bool:
        """End the task in one transaction: `apply` stores its results and returns its result and event data.

        False for a task that was cancelled in between: it stays cancelled, and nothing of `apply` is kept.
        """
        return await self._owner.finish(self.row, "completed", apply)


Driver = Callable[[Job], Coroutine[Any, Any, None]]


class Tasks:
    """Starts, resumes and cancels tasks; a bounded number of them run at a time, users take turns."""

    def __init__(self, settings: Settings, database: Database, executor: Executor, announcer: Announcer) -> None:
        self.settings = settings
        self.database = database
        self.executor = executor
        self.announcer = announcer
        self.drivers: Mapping[str, Driver] = {}
        self.jobs: dict[str, Job] = {}
        self._waiting: list[TaskRow] = []
        self._running: dict[str, asyncio.Task[None]] = {}
        self._finished: dict[str, asyncio.Event] = {}
        self._lines: list[tuple[str, str, str]] = []
        self._flusher: asyncio.Task[None] | None = None
        self._closing = False
        self.n_slots = max(8, 4 * settings.n_workers)

    async def recover(self) -> int:
        """Start every unfinished task, oldest first within its priority; how many there were."""
        rows = await tasks.unfinished(self.database)
        for row in rows:
            self.log(row.id, "info", "the daemon started again; the task goes on")
            self.start(row)
        return len(rows)

    def start(self, row: TaskRow) -> None:
        """Run a stored task as soon as a slot is free."""
        self._waiting.append(row)
        self._fill()

    async def cancel(self, task_id: str) -> bool:
        """Cancel a task that is not finished; whether there was one to cancel."""
        cancelled = await self.finish_by_id(task_id, "cancelled")
        if cancelled:
            self._waiting = [row for row in self._waiting if row.id != task_id]
            running = self._running.get(task_id)
            if running:
                running.cancel()
        return cancelled

    async def finish_by_id(self, task_id: str, status: str) -> bool:
        row = await tasks.get(self.database, task_id)
        return row is not None and await self.finish(row, status)

    async def wait(self, task_id: str, timeout_s: float) -> bool:
        """Whether the task ended within `timeout_s` seconds."""
        event = self._finished.setdefault(task_id, asyncio.Event())
        row = await tasks.get(self.database, task_id)
        if row is None or row.is_finished:
            self._finished.pop(task_id, None)
            return True
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(event.wait(), timeout_s)
        return event.is_set()

    async def close(self) -> None:
        """Stop driving; unfinished tasks stay unfinished in the database and go on at the next start."""
        self._closing = True
        running = list(self._running.values())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        if self._flusher:
            await self._flusher
        await self._flush()

    def log(self, task_id: str, level: str, message: str) -> None:
        """Append a line to a task's log; lines are written in batches."""
        self._lines.append((task_id, level, message))
        if self._flusher is None and not self._closing:
            self._flusher = asyncio.create_task(self._flush_soon())

    async def finish(
        self, row: TaskRow, status: str, apply: Complete | None = None, error: dict[str, Any] | None = None
    ) -> bool:
        """End a task with its event in one transaction; False when it had ended before."""

        async def write(conn: Connection) -> bool:
            if not await tasks.finish(conn, row.id, status, error):
                return False
            result = await apply(conn) if apply else None
            if result is not None:
                await tasks.set_result(conn, row.id, msgspec.json.encode(result).decode())
            data = {"task_id": row.id, "kind": row.kind, "status": status, "result": result, "error": error}
            await outbox.append(conn, done_topic(row.id), f"task.{status}", None, data)
            return True

        ended = await self.database.write(write)
        if ended:
            telemetry.TASKS_FINISHED.labels(kind=row.kind, status=status).inc()
            event = self._finished.pop(row.id, None)
            if event:
                event.set()
        return ended

    def _fill(self) -> None:
        while self._waiting and len(self._running) < self.n_slots and not self._closing:
            busy = Counter(job.row.user for job in self.jobs.values())
            row = min(self._waiting, key=lambda r: (r.priority, busy[r.user]))
            self._waiting.remove(row)
            self.jobs[row.id] = Job(row, self)
            self._running[row.id] = asyncio.create_task(self._drive(self.jobs[row.id]))

    async def _drive(self, job: Job) -> None:
        with structlog.contextvars.bound_contextvars(task_id=job.id):
            try:
                if await self.database.write(lambda conn: tasks.set_running(conn, job.id)):
                    job.log(f"{job.row.kind} started")
                    async with asyncio.timeout(self.settings.workers.task_timeout_s):
                        await self.drivers[job.row.kind](job)
            except asyncio.CancelledError:
                if self._closing:
                    raise
                logger.info("task cancelled")
            except TimeoutError:
                limit = self.settings.workers.task_timeout_s
                await self._fail(job, DeadlineExceeded(f"the task took longer than its limit of {limit:g} s"))
            except TunesmithError as error:
                await self._fail(job, error)
            except Exception as error:  # the outer guard of a task, as the router is of a request
                logger.exception("task failed")
                job.log(traceback.format_exc(), "error")
                await self._fail(job, Internal(f"the task failed: {type(error).__name__}"))
            finally:
                del self._running[job.id], self.jobs[job.id]
                self._fill()

    async def _fail(self, job: Job, error: TunesmithError) -> None:
        logger.warning("task failed", code=error.code, reason=error.message)
        job.log(error.message, "error")
        await self.finish(job.row, "failed", error=error.problem(instance=job.id))

    async def _flush_soon(self) -> None:
        while self._lines:
            await asyncio.sleep(0 if self._closing else _FLUSH_S)
            await self._flush()
        self._flusher = None

    async def _flush(self) -> None:
        lines, self._lines = self._lines, []
        if not lines:
            return
        try:
            await self.database.write(lambda conn: tasks.append_logs(conn, lines))
        except TunesmithError as error:
            logger.warning("log lines of tasks were lost", n_lines=len(lines), reason=error.message)
