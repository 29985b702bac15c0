"""The database: one writer with group commit, a few readers, all through aiosqlite.

A write is `async (conn) -> T`. Writes queue; the writer takes what is there (bounded in number and time) as one group:

    BEGIN IMMEDIATE
      for each write: SAVEPOINT, the write, RELEASE  (or ROLLBACK TO when it raised: the others do not notice)
    COMMIT           one fsync for the whole group
    then every caller gets its answer, so an answer means: it is on the disk

The group runs in the connection's thread in one hop, which is why a write may await nothing but its connection.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import sqlite3
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

from tunesmith.errors import Draining, Internal, TunesmithError
from tunesmith.storage.connections import Connection, ReadConnection, SigningKey, ThreadConnection, connect
from tunesmith.storage.faults import fault
from tunesmith.storage.lock import DirectoryLock
from tunesmith.storage.schema import migrate

T = TypeVar("T")
Write = Callable[[Connection], Coroutine[Any, Any, T]]

GROUP_WRITES = 512
"""Most writes in one commit."""
GROUP_S = 0.05
"""Seconds after which a group takes no further write, so that large ones do not hold up small ones."""
_CHECKED_BYTES = 32 * 2**20
_READERS_END_S = 2.0


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


@dataclass(eq=False)
class Database:
    """An open database. Make it with `open`; `close` it, or the process does not end."""

    path: Path
    epoch: str
    head: int
    """The newest durable event's `seq`; 0 before the first."""
    _writer: ThreadConnection
    _readers: list[ThreadConnection]
    _lock: DirectoryLock
    signing_key: Callable[[], SigningKey | None] = lambda: None
    """Answers the key that signs the events of a group of writes; called in the writer's thread."""
    counts: WriteCounts = field(default_factory=WriteCounts)
    _queue: deque[_Queued] = field(default_factory=deque)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _idle: asyncio.LifoQueue[ThreadConnection] = field(default_factory=asyncio.LifoQueue)
    _callbacks: list[Callable[[int], None]] = field(default_factory=list)
    _closing: bool = False
    _task: asyncio.Task[None] | None = None

    @classmethod
    async def open(cls, path: Path, *, instance: str = "default", n_readers: int = 3) -> Database:
        """Opens or makes the database `path`, migrates it, and starts the writer.

        Raises `Conflict` (in use by another daemon, written by a newer program, another program's file) and
        `Internal` (damaged, read-only, cannot be opened).
        """
        lock = _claim(path)
        connections: list[ThreadConnection] = []
        try:
            connections.append(await connect(path, writer=True))
            epoch, head = await connections[0].run(lambda conn: _prepare(conn, path, instance))
            for _ in range(n_readers):
                connections.append(await connect(path, writer=False))
        except BaseException as error:
            await _close(connections[::-1])
            lock.release()
            if isinstance(error, sqlite3.Error):
                raise _opening_fault(path, error) from error
            raise
        database = cls(path, epoch, head, connections[0], connections[1:], lock)
        for reader in database._readers:
            database._idle.put_nowait(reader)
        database._task = asyncio.create_task(database._write_groups(), name="database writer")
        return database

    async def close(self) -> None:
        """Finishes the queued writes, then closes every connection; a second call does nothing."""
        if self._closing:
            return
        self._closing = True
        self._wake.set()
        try:
            if self._task is not None:
                await asyncio.wait([self._task])
            for queued in self._queue:
                queued.future.cancel()
            with suppress(TimeoutError):
                async with asyncio.timeout(_READERS_END_S):
                    for _ in self._readers:
                        await self._idle.get()
        finally:
            await _close([*self._readers, self._writer])
            self._lock.release()

    async def write(self, write: Write[T]) -> T:
        """The answer of `write(conn)` once it is durable.

        `write` is `async (conn) -> T`; it runs in another thread, awaits nothing but `conn`, and should be short. What
        it raises comes back here and undoes this write alone. Cancelling the caller takes a write back only as long as
        it has not begun. Raises `Internal` when the disk refused (nothing of the group is stored), `Draining` after
        `close`.
        """
        if self._closing:
            raise Draining("the database is closing")
        context = contextvars.copy_context()
        queued = _Queued(lambda conn: context.run(_drive, write, conn), asyncio.get_running_loop().create_future())
        self._queue.append(queued)
        self._wake.set()
        answer: T = await queued.future
        return answer

    async def fetch_all(self, sql: str, parameters: Sequence[Any] = ()) -> list[sqlite3.Row]:
        """Every row of a query; it sees every write that was answered before."""
        async with self._reading() as conn:
            return list(await conn.execute_fetchall(sql, parameters))

    async def fetch_one(self, sql: str, parameters: Sequence[Any] = ()) -> sqlite3.Row | None:
        """The first row of a query, or None."""
        rows = await self.fetch_all(sql, parameters)
        return rows[0] if rows else None

    @asynccontextmanager
    async def reader(self) -> AsyncIterator[ReadConnection]:
        """A connection whose queries all see the same state."""
        async with self._reading() as conn:
            try:
                await conn.execute_fetchall("BEGIN")
                yield ReadConnection(conn)
            finally:
                await conn.rollback()

    def on_commit(self, callback: Callable[[int], None]) -> None:
        """Has `callback(head)` called on the loop after each commit that appended events."""
        self._callbacks.append(callback)

    async def check(self) -> list[str]:
        """What SQLite finds wrong with the file, empty when sound; reads all of it."""
        rows = await self.fetch_all("PRAGMA quick_check(10)")
        return [row[0] for row in rows if row[0] != "ok"]

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[ThreadConnection]:
        if self._closing:
            raise Draining("the database is closing")
        conn = await self._idle.get()
        try:
            yield conn
        except sqlite3.Error as error:
            raise fault(error) from error
        finally:
            self._idle.put_nowait(conn)

    async def _write_groups(self) -> None:
        while self._queue or not self._closing:
            if not self._queue:
                self._wake.clear()
                await self._wake.wait()
                continue
            group: list[_Queued] = []
            try:
                run = functools.partial(_run_group, queue=self._queue, group=group, signing_key=self.signing_key)
                head = await self._writer.run(run)
            except Exception as error:  # the disk's refusal, or a fault of ours: the group's, never the writer's end
                self.counts.failures += 1
                head = self.head
                if not group:  # it could not even begin
                    group.append(self._queue.popleft())
                for queued in group:
                    queued.error = error
            self._answer(group, head)

    def _answer(self, group: list[_Queued], head: int) -> None:
        self.counts.commits += 1
        self.counts.writes += len(group)
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
        if head > self.head:
            self.head = head
            for callback in self._callbacks:
                asyncio.get_running_loop().call_soon(callback, head)


async def _close(connections: Iterable[ThreadConnection]) -> None:
    for connection in connections:
        await connection.close()
        connection.join()


def _claim(path: Path) -> DirectoryLock:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return DirectoryLock(path.with_name("daemon.lock"))
    except OSError as error:
        raise Internal(f"the data directory {path.parent} cannot be used: {error.strerror}") from error


def _opening_fault(path: Path, error: sqlite3.Error) -> TunesmithError:
    refused = fault(error)
    return type(refused)(f"{path}: {refused.message}")


def _prepare(conn: sqlite3.Connection, path: Path, instance: str) -> tuple[str, int]:
    """Schema and identity of the database: its epoch and newest event."""
    migrate(conn)
    if path.stat().st_size <= _CHECKED_BYTES:
        found = [row[0] for row in conn.execute("PRAGMA quick_check(3)") if row[0] != "ok"]
        if found:
            raise Internal(f"{path}: the database file is damaged; restore a backup: {'; '.join(found)}")
    conn.execute("BEGIN IMMEDIATE")
    conn.execute("INSERT OR IGNORE INTO meta (key, value) VALUES ('epoch', ?)", (str(uuid4()),))
    conn.execute("INSERT OR REPLACE INTO meta (key, value) VALUES ('instance', ?)", (instance,))
    conn.execute("COMMIT")
    epoch = conn.execute("SELECT value FROM meta WHERE key = 'epoch'").fetchone()[0]
    return str(epoch), _head(conn)


def _head(conn: sqlite3.Connection) -> int:
    return int(conn.execute("SELECT coalesce(max(seq), 0) FROM events").fetchone()[0])


def _run_group(
    conn: sqlite3.Connection,
    queue: deque[_Queued],
    group: list[_Queued],
    signing_key: Callable[[], SigningKey | None],
) -> int:
    """Runs queued writes as one transaction, in the connection's thread; the newest event's `seq` after it.

    What was taken from `queue` stands in `group` with its value or error, also when SQLite refuses and this raises.
    """
    if conn.in_transaction:
        conn.execute("ROLLBACK")
    until = time.monotonic() + GROUP_S
    connection = Connection(conn, signing_key())
    conn.execute("BEGIN IMMEDIATE")
    try:
        while queue and len(group) < GROUP_WRITES and time.monotonic() < until:
            queued = queue.popleft()
            if queued.future.cancelled():
                continue
            group.append(queued)
            _run_one(conn, connection, queued)
        head = _head(conn)
        conn.execute("COMMIT")
    except sqlite3.Error:
        with suppress(sqlite3.Error):
            conn.rollback()
        raise
    return head


def _run_one(conn: sqlite3.Connection, connection: Connection, queued: _Queued) -> None:
    conn.execute("SAVEPOINT one")
    try:
        queued.value = queued.run(connection)
    except (Exception, asyncio.CancelledError) as error:
        # Whatever a write raises belongs to its caller; where SQLite itself ended the transaction, to the whole group.
        if isinstance(error, sqlite3.Error) and not conn.in_transaction:
            raise
        queued.error = error
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
