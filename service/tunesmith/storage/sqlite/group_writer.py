"""The writer: writes that wait are run as one transaction with one fsync, in the writing connection's thread."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from tunesmith.errors import Draining, Internal
from tunesmith.storage.faults import Damaged, DiskState, fault
from tunesmith.storage.sqlite.connections import Appended, Connection, SigningKey, ThreadConnection
from tunesmith.storage.sqlite.own_files import OwnFiles

T = TypeVar("T")

GROUP_WRITES = 512
"""Most writes in one commit."""
GROUP_S = 0.05
"""Seconds after which a group takes no further write, so that large ones do not hold up small ones."""

Write = Callable[[Connection], Coroutine[Any, Any, T]]


@dataclass(slots=True, eq=False)
class _Queued:
    run: Callable[[Connection], Any]
    future: asyncio.Future[Any]
    value: Any = None
    error: BaseException | None = None


@dataclass(slots=True)
class WriteCounts:
    """What the writer has done: `writes` answered, in `commits` groups, of which the disk refused `failures`."""

    writes: int = 0
    commits: int = 0
    failures: int = 0


class GroupWriter:
    """Runs writes in the writing connection's thread, those that wait together as one transaction.

    `committed` is called with the events of a commit, before those who asked for its writes are answered.
    """

    def __init__(
        self,
        connection: ThreadConnection,
        state: DiskState,
        files: OwnFiles,
        find_key: Callable[[], SigningKey | None],
        committed: Callable[[list[Appended]], None],
    ) -> None:
        self._connection = connection
        self._files = files
        self.counts = WriteCounts()
        self._state = state
        self._find_key = find_key
        self._committed = committed
        self._queue: deque[_Queued] = deque()
        self._wake = asyncio.Event()
        self._closing = False
        self._task = asyncio.create_task(self._write_groups(), name="database writer")

    async def write(self, write: Write[T]) -> T:
        """The answer of `write(conn)` once it is durable.

        `write` is `async (conn) -> T`; it runs in another thread, awaits nothing but `conn`, and should be short. What
        it raises comes back here and undoes it alone. Cancelling the caller takes it back only before it has begun.
        Raises `DiskRefused` (nothing of the group is stored), `Damaged`, and `Draining` after `close`.
        """
        if self._closing:
            raise Draining("the database is closing")
        if self._state.damage is not None:
            raise Damaged(self._state.damage)
        context = contextvars.copy_context()
        queued = _Queued(lambda conn: context.run(_drive, write, conn), asyncio.get_running_loop().create_future())
        self._queue.append(queued)
        self._wake.set()
        answer: T = await queued.future
        return answer

    async def close(self) -> None:
        """Finish the queued writes; those that come later are cancelled."""
        self._closing = True
        self._wake.set()
        await asyncio.wait([self._task])
        for queued in self._queue:
            queued.future.cancel()

    async def _write_groups(self) -> None:
        while self._queue or not self._closing:
            if not self._queue:
                self._wake.clear()
                await self._wake.wait()
                continue
            group: list[_Queued] = []
            refused: sqlite3.Error | None = None
            try:
                run = functools.partial(_commit_group, self._files, self._queue, group, self._find_key)
                appended, lost = await self._connection.run(run)
                if lost is not None:
                    self._state.note(lost)
            except Exception as error:  # the disk's refusal, or a fault of ours: the group's, never the writer's end
                self.counts.failures += 1
                refused, appended = error if isinstance(error, sqlite3.Error) else None, []
                if not group:  # it could not even begin
                    group.append(self._queue.popleft())
                for queued in group:
                    queued.error = error
                if isinstance(error, Damaged):
                    self._state.note(error)
            if refused is not None or self._state.refusal is not None:
                self._state.note(None if refused is None else fault(refused))
            self._answer(group, appended)

    def _answer(self, group: list[_Queued], appended: list[Appended]) -> None:
        self.counts.commits += 1
        self.counts.writes += len(group)
        if appended:
            self._committed(appended)
        for queued in group:
            if queued.future.done():
                continue
            if queued.error is None:
                queued.future.set_result(queued.value)
            elif isinstance(queued.error, sqlite3.Error):
                refused = fault(queued.error)
                refused.__cause__ = queued.error
                queued.future.set_exception(refused)
            else:
                queued.future.set_exception(queued.error)


def _commit_group(
    files: OwnFiles,
    queue: deque[_Queued],
    group: list[_Queued],
    find_key: Callable[[], SigningKey | None],
    conn: sqlite3.Connection,
) -> tuple[list[Appended], Damaged | None]:
    """As `_run_group`, and what is wrong with the files, although what was committed is kept."""
    appended = _run_group(conn, queue, group, find_key)
    return appended, files.secure(conn)


def _run_group(
    conn: sqlite3.Connection,
    queue: deque[_Queued],
    group: list[_Queued],
    find_key: Callable[[], SigningKey | None],
) -> list[Appended]:
    """Runs queued writes as one transaction, in the connection's thread; the events that they appended.

    What was taken from `queue` stands in `group` with its value or error, also when SQLite refuses and this raises.
    """
    if conn.in_transaction:
        conn.execute("ROLLBACK")
    until = time.monotonic() + GROUP_S
    connection = Connection(conn, find_key)
    conn.execute("BEGIN IMMEDIATE")
    try:
        while queue and len(group) < GROUP_WRITES and time.monotonic() < until:
            queued = queue.popleft()
            if queued.future.cancelled():
                continue
            group.append(queued)
            _run_one(conn, connection, queued)
        conn.execute("COMMIT")
    except sqlite3.Error:
        with suppress(sqlite3.Error):
            conn.rollback()
        raise
    return connection.appended


def _run_one(conn: sqlite3.Connection, connection: Connection, queued: _Queued) -> None:
    n_appended = len(connection.appended)
    conn.execute("SAVEPOINT one")
    try:
        queued.value = queued.run(connection)
    except (Exception, asyncio.CancelledError) as error:
        # Whatever a write raises belongs to its caller; where SQLite itself ended the transaction, to the whole group.
        if isinstance(error, sqlite3.Error) and not conn.in_transaction:
            raise
        queued.error = error
        del connection.appended[n_appended:]
        conn.execute("ROLLBACK TO one")
    conn.execute("RELEASE one")


def _drive(write: Callable[[Connection], Coroutine[Any, Any, T]], conn: Connection) -> T:
    """Runs a write to its end without an event loop: everything that it may await is answered at once."""
    coroutine = write(conn)
    try:
        coroutine.send(None)
    except StopIteration as stop:
        answer: T = stop.value
        return answer
    finally:
        coroutine.close()
    raise Internal("a write awaited something other than its connection")
