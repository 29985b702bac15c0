"""Tasks: long work that is durable before it is acknowledged, and goes on after a restart.

A task's kind names an async function that drives it: it asks the executor for chunks, stores what comes back and ends
the task in one transaction. A driver that waits costs next to nothing, so every unfinished task has one; whose chunk
comes next is the executor's to decide. Start-up and recovery are one path: whatever is unfinished is started.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
import traceback
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable, Mapping
from itertools import islice
from typing import Any, NamedTuple, Protocol, TypeVar

import msgspec
import structlog

from tunesmith import telemetry
from tunesmith.config import Settings
from tunesmith.domain.records import JsonObject
from tunesmith.errors import DeadlineExceeded, Draining, Internal, TunesmithError
from tunesmith.plain_text import escape
from tunesmith.protocol.topics import done_topic
from tunesmith.storage.faults import DiskRefused
from tunesmith.storage.sqlite.connections import Connection
from tunesmith.storage.sqlite.database import Database
from tunesmith.storage.tables import outbox, task_table
from tunesmith.storage.tables.task_table import TaskRow
from tunesmith.workers.chunks.payloads import BestTrial, Timed
from tunesmith.workers.executor import Chunk, ChunkFailed, ChunkTimeout, Executor

logger = structlog.get_logger(__name__)

T = TypeVar("T")
A = TypeVar("A")
B = TypeVar("B")
_FLUSH_S = 0.2
"""Seconds that log lines wait for others, so that they do not cost a commit each; the end of a task writes them too."""
LOCAL = "local"
"""The user of everybody where there are no keys."""
Also = Callable[[Connection], Coroutine[Any, Any, Any]]


class Completed(NamedTuple):
    """What a task came to that goes on with another one: its result, and the task that is started after the commit."""

    result: JsonObject
    following: TaskRow


Complete = Callable[[Connection], Coroutine[Any, Any, JsonObject | Completed]]


class Announcer(Protocol):
    """Where events that are not durable go out."""

    def progress(self, task_id: str, data: JsonObject) -> None: ...


class Job:
    """One running task, as its driver sees it."""

    def __init__(self, row: TaskRow, owner: Tasks) -> None:
        self.row = row
        self.id = row.id
        self.state: JsonObject = msgspec.json.decode(row.state) if row.state else {}
        self.progress = row.progress
        self.eta_s: float | None = None
        self.doing: str | None = None
        self.best: BestTrial | None = None
        self._owner = owner
        self._began = time.monotonic()
        self._done_at_start: int | None = None
        self.worked_s = 0.0  # how long its chunks have been at work since it was started here

    def decode(self, kind: type[T]) -> T:
        """The stored request as what the driver knows it to be."""
        return msgspec.json.decode(self.row.request, type=kind)

    async def run(self, function: str, payload: Any, *, says: str | None = None) -> Any:
        """One chunk of work in a worker; `says` is logged before.

        Raises `DeadlineExceeded` when the task's chunks have worked longer than a task may; waiting does not count.
        """
        if says is not None:
            self.log(says)
        return (await self.timed(function, payload)).value

    async def timed(self, function: str, payload: Any, *, limit_s: float | None = None) -> Timed:
        """As `run`, with the seconds that the chunk was at work, 0 where its function does not tell."""
        workers = self._owner.settings.workers
        work_s = self._owner.work_limits.get(self.row.kind, workers.task_timeout_s)
        left_s = work_s - self.worked_s
        if left_s <= 0:
            raise DeadlineExceeded(f"the task worked longer than its limit of {work_s:g} s")
        allowed_s = left_s if limit_s is None else min(left_s, limit_s)
        try:
            answer = await self._owner.executor.run(
                Chunk(function, payload),
                priority=self.row.priority + self._owner.stands_back(self.row.user),
                timeout_s=allowed_s,
                memory_mb=workers.memory_mb,
                task_id=self.id,
                user=_asker(self.row),
            )
        except ChunkTimeout:
            self.worked_s += allowed_s
            raise
        except Draining:
            await self._owner.stopped()
            raise
        if not isinstance(answer, Timed):
            return Timed(answer, 0.0)
        self.worked_s += answer.seconds
        return answer

    async def map(
        self, work: Callable[[A], Coroutine[Any, Any, B]], items: Iterable[A], n_out: int | None = None
    ) -> AsyncGenerator[B, None]:
        """`work` for each of `items`, `n_out` at a time (default: a few); results in the order in which they come."""
        n_out = n_out or self._owner.n_out
        waiting = iter(items)
        running = {asyncio.create_task(work(item)) for item in islice(waiting, n_out)}
        done: set[asyncio.Task[B]] = set()
        try:
            while running:
                done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                running |= {asyncio.create_task(work(item)) for item in islice(waiting, len(done))}
                while done:
                    yield done.pop().result()
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, *done, return_exceptions=True)

    async def save(self, state: JsonObject, also: Also | None = None) -> None:
        """Keep what a restart must not do anew, such as which data the task works on, and `also` write in one step."""
        store = functools.partial(task_table.set_state, task_id=self.id, state=msgspec.json.encode(state).decode())
        await self._owner.database.write(functools.partial(_each, [store, also]) if also else store)
        self.state = state

    def advance(self, done: int, total: int) -> None:
        """Report progress; the time left follows from the speed since this run began."""
        if self._done_at_start is None:
            self._done_at_start, self._began = done, time.monotonic()
        fresh = done - self._done_at_start
        self.progress = done / total if total else 1.0
        self.eta_s = (time.monotonic() - self._began) / fresh * (total - done) if fresh else None
        self.doing = None
        self._owner.announcer.progress(
            self.id, {"task_id": self.id, "progress": self.progress, "done": done, "total": total, "eta_s": self.eta_s}
        )

    def tell(self, what: str) -> None:
        """Log what the task is busy with beside its work, and show it with the progress; once while it lasts."""
        if what != self.doing:
            self.doing = what
            self.log(what)
            self._owner.announcer.progress(self.id, {"task_id": self.id, "progress": self.progress, "doing": what})

    def log(self, message: str, level: str = "info") -> None:
        self._owner.log(self.id, level, message)

    def log_traceback(self, error: TunesmithError) -> None:
        """Log where a chunk function broke, if that is what the error says."""
        if isinstance(error, ChunkFailed) and error.traceback:
            self.log(error.traceback, "error")

    async def complete(self, apply: Complete) -> bool:
        """End the task in one transaction: `apply` stores its results and returns its result and event data.

        False for a task that was cancelled in between: it stays cancelled, and nothing of `apply` is kept.
        """
        return await self._owner.finish(self.row, "completed", apply)


Driver = Callable[[Job], Coroutine[Any, Any, None]]


class Tasks:
    """Starts, resumes and cancels tasks."""

    def __init__(self, settings: Settings, database: Database, executor: Executor, announcer: Announcer) -> None:
        self.settings = settings
        self.database = database
        self.executor = executor
        self.announcer = announcer
        self.drivers: Mapping[str, Driver] = {}
        self.work_limits: Mapping[str, float] = {}
        """Kind of task → seconds that the chunks of one may work in all; the settings' where none is named."""
        self.stands_back: Callable[[str], bool] = lambda user: False  # whose work comes after that of equal priority
        self.jobs: dict[str, Job] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._next: dict[str, TaskRow] = {}
        self._finished: dict[str, asyncio.Event] = {}
        self._lines: list[tuple[str, str, str]] = []
        self._flusher: asyncio.Task[None] | None = None
        self.retry_s = 5.0
        self.n_out = 2 * settings.n_workers  # chunks that a task has at the workers or on their way
        self._retries: set[asyncio.TimerHandle] = set()
        self._reviving: set[asyncio.Task[None]] = set()
        self._draining = self._closing = False

    async def recover(self) -> int:
        """Start what was unfinished, oldest first within its priority; how many there were."""
        rows = await task_table.to_go_on(self.database)
        for row in rows:
            self.log(row.id, "info", "the daemon started again; the task goes on")
            self.start(row)
        return len(rows)

    def start(self, row: TaskRow) -> None:
        """Drive a stored task from now on; one that is driven already is looked at once more when that has ended.

        A task that is cancelled and resumed at once is still driven by the run that is being cancelled.
        """
        if self._closing:
            return
        if row.id in self._running:
            self._next[row.id] = row
            return
        self.jobs[row.id] = Job(row, self)
        self._running[row.id] = asyncio.create_task(self._drive(self.jobs[row.id]), name=row.id)

    async def cancel(self, task_id: str, error: JsonObject | None = None) -> bool:
        """Cancel a task that is not finished, where it was not its user by the `error`; whether there was one."""
        row = await task_table.get(self.database, task_id)
        cancelled = row is not None and await self.finish(row, "cancelled", error=error)
        if cancelled and task_id in self._running:
            self._running[task_id].cancel()
        return cancelled

    async def wait(self, task_id: str, timeout_s: float) -> bool:
        """Whether the task ended within `timeout_s` seconds."""
        event = self._finished.setdefault(task_id, asyncio.Event())
        row = await task_table.get(self.database, task_id)
        if row is None or row.is_finished:
            self._finished.pop(task_id, event).set()  # `finish` finds nobody to tell any more
            return True
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(event.wait(), timeout_s)
        return event.is_set()

    async def close(self, drain_s: float = 0.0) -> None:
        """Close the executor, which gives chunks at work `drain_s` seconds, then stop driving.

        Unfinished tasks stay unfinished in the database and go on at the next start.
        """
        self._draining = True
        await self.executor.close(drain_s)
        await self.database.write(_nothing)  # behind the results of the chunks that came back
        self._closing = True
        for timer in self._retries:
            timer.cancel()
        running = list(self._running.values())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        if self._flusher:
            await self._flusher
        await self._flush()

    async def stopped(self) -> None:
        """While the daemon is stopping, wait for the end: the chunk is for the next start."""
        if self._draining:
            await asyncio.Event().wait()

    def log(self, task_id: str, level: str, message: str) -> None:
        """Append a line to a task's log; lines are written in batches."""
        self._lines.append((task_id, level, escape(message, multiline=True)))
        self._flush_later()

    def hear(self, task_id: str, kind: str, payload: Any) -> None:
        """Take in what a chunk of a task says while it runs, as `executor.OnMessage` has it."""
        if kind == "doing" and task_id in self.jobs:
            self.jobs[task_id].tell(payload)

    async def finish(
        self, row: TaskRow, status: str, apply: Complete | None = None, error: JsonObject | None = None
    ) -> bool:
        """End a task with its event and its last log lines in one transaction; False when it had ended before."""
        lines, self._lines = self._lines, []

        async def write(conn: Connection) -> tuple[bool, TaskRow | None]:
            await task_table.append_logs(conn, lines)
            if not await task_table.finish(conn, row.id, status, error):
                return False, None
            made = await apply(conn) if apply else None
            result, following = made if isinstance(made, Completed) else (made, None)
            if result is not None:
                await task_table.set_result(conn, row.id, msgspec.json.encode(result).decode())
            data = {"task_id": row.id, "kind": row.kind, "status": status, "result": result, "error": error}
            await outbox.append(conn, done_topic(row.id), f"task.{status}", None, data)
            return True, following

        try:
            ended, following = await self.database.write(write)
        except BaseException:
            self._lines[:0] = lines
            self._flush_later()
            raise
        if ended:
            telemetry.TASKS_FINISHED.labels(kind=row.kind, status=status).inc()
            self._finished.pop(row.id, asyncio.Event()).set()
        if following is not None:
            self.start(following)
        return ended

    async def _drive(self, job: Job) -> None:
        with structlog.contextvars.bound_contextvars(task_id=job.id):
            try:
                if await self.database.write(functools.partial(task_table.set_running, task_id=job.id)):
                    job.log(f"{job.row.kind} started")
                    await self.drivers[job.row.kind](job)
            except asyncio.CancelledError:
                if self._closing:
                    raise
                logger.info("task cancelled")
            except DiskRefused as error:  # the disk's state is no fault of the task's
                job.log(f"{error.message}; the task goes on when the disk takes writes again", "warning")
                self._later(job.id, error)
            except TunesmithError as error:
                await self._fail(job, error)
            except Exception as error:  # the outer guard of a task, as the router is of a request
                logger.exception("task failed")
                job.log(traceback.format_exc(), "error")
                await self._fail(job, Internal(f"the task failed: {type(error).__name__}"))
            finally:
                del self._running[job.id], self.jobs[job.id]
                if job.id in self._next:
                    await self._once_more(self._next.pop(job.id).id)

    async def _once_more(self, task_id: str) -> None:
        """Start a task that was to be started while it was driven, or later, if it is unfinished now."""
        try:
            fresh = await task_table.get(self.database, task_id)
        except TunesmithError as error:
            if error.retryable and not self._closing:
                self._later(task_id, error)
            return
        if fresh is not None and not fresh.is_finished:
            self.start(fresh)

    async def _fail(self, job: Job, error: TunesmithError) -> None:
        logger.warning("task failed", code=error.code, reason=error.message)
        job.log(error.message, "error")
        job.log_traceback(error)
        try:
            await self.finish(job.row, "failed", error=error.problem(instance=job.id))
        except TunesmithError as refusal:
            if refusal.retryable:
                self._later(job.id, refusal)

    def _later(self, task_id: str, refusal: TunesmithError) -> None:
        """Drive a task again after a while, from what is stored of it."""
        logger.error("a task could not be stored; it is driven again", task_id=task_id, reason=refusal.message)
        timer = asyncio.get_running_loop().call_later(self.retry_s, self._revive, task_id)
        self._retries = {known for known in self._retries if known.when() > timer.when() - self.retry_s} | {timer}

    def _revive(self, task_id: str) -> None:
        reviving = asyncio.create_task(self._once_more(task_id), name=f"again {task_id}")
        self._reviving.add(reviving)
        reviving.add_done_callback(self._reviving.discard)

    def _flush_later(self) -> None:
        if self._lines and self._flusher is None and not self._closing:
            self._flusher = asyncio.create_task(self._flush_soon())

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
            await self.database.write(functools.partial(task_table.append_logs, lines=lines))
        except TunesmithError as error:
            logger.warning("log lines of tasks were lost", n_lines=len(lines), reason=error.message)


def _asker(row: TaskRow) -> str:
    """Who takes turns with others: the user; where there are no keys and all are one user, the client."""
    return row.user if row.user != LOCAL else f"{LOCAL} {row.client or ''}"


async def _each(writes: list[Also], conn: Connection) -> None:
    for write in writes:
        await write(conn)


async def _nothing(conn: Connection) -> None:
    """A write that only waits for its turn."""
