"""The database: one writer with group commit, a few readers, all through aiosqlite.

A write is `async (conn) -> T`. Writes queue; the writer takes what is there (bounded in number and time) as one group:

    BEGIN IMMEDIATE
      for each write: SAVEPOINT, the write, RELEASE  (or ROLLBACK TO when it raised: the others do not notice)
    COMMIT           one fsync for the whole group
    then every caller gets its answer, so an answer means: it is on the disk

The group runs in the connection's thread in one hop, which is why a write may await nothing but its connection.

A disk that refuses fails the writes of its group and nothing else: reads go on, and so do writes once there is room.
A database that is found damaged takes no further write, and says so until somebody restores a backup.
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

from tunesmith.errors import Draining, Internal, TunesmithError
from tunesmith.storage.faults import Damaged, DiskRefused, fault
from tunesmith.storage.file_lock import DirectoryLock
from tunesmith.storage.sqlite import backups
from tunesmith.storage.sqlite.backups import Backup
from tunesmith.storage.sqlite.connections import (
    Appended,
    Connection,
    ReadConnection,
    SigningKey,
    ThreadConnection,
    connect,
)
from tunesmith.storage.sqlite.opening import BackupPolicy, claim, make_new, opening_fault, prepare
from tunesmith.storage.sqlite.row_reader import RowReader

T = TypeVar("T")
Write = Callable[[Connection], Coroutine[Any, Any, T]]

GROUP_WRITES = 512
"""Most writes in one commit."""
GROUP_S = 0.05
"""Seconds after which a group takes no further write, so that large ones do not hold up small ones."""
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
    keeping: BackupPolicy
    signing_key: Callable[[], SigningKey | None] = lambda: None
    """Answers the key that signs the events of a group of writes; called in the writer's thread."""
    counts: WriteCounts = field(default_factory=WriteCounts)
    damage: str | None = None
    """What is wrong with the file, as far as it was noticed; it stays until the daemon is started again."""
    refusal: str | None = None
    """Why the disk took the last write not; None since it took one."""
    _queue: deque[_Queued] = field(default_factory=deque)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _idle: asyncio.LifoQueue[ThreadConnection] = field(default_factory=asyncio.LifoQueue)
    _callbacks: list[Callable[[list[Appended]], None]] = field(default_factory=list)
    _closing: bool = False
    _task: asyncio.Task[None] | None = None
    _seen: tuple[int, int, int] = (0, 0, 0)

    def __post_init__(self) -> None:
        self._rows = RowReader(self._reading, self._met)

    @classmethod
    async def open(
        cls, path: Path, *, instance: str = "default", n_readers: int = 3, keeping: BackupPolicy | None = None
    ) -> Database:
        """Opens or makes the database `path`, migrates it after a backup (`keeping`), and starts the writer.

        Raises `Conflict` (in use by another daemon, written by a newer program, another program's file), `Damaged`
        (not sound, or gone while there are backups; it is never made anew then) and `Internal` (read-only, cannot be
        opened, cannot be migrated; it is as it was).
        """
        lock = claim(path)
        keeping = keeping or BackupPolicy(path.with_name("backups"))
        connections: list[ThreadConnection] = []
        try:
            make_new(path, keeping)
            connections.append(await connect(path, writer=True))
            epoch, head = await connections[0].run(lambda conn: prepare(conn, path, instance, keeping))
            for _ in range(n_readers):
                connections.append(await connect(path, writer=False))
        except BaseException as error:
            await _close(connections[::-1])
            lock.release()
            if isinstance(error, sqlite3.Error):
                raise opening_fault(path, error) from error
            raise
        database = cls(path, epoch, head, connections[0], connections[1:], lock, keeping)
        database.look()
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
        it has not begun. Raises `DiskRefused` when the disk refused (nothing of the group is stored), `Damaged` once
        damage was noticed, `Draining` after `close`.
        """
        if self._closing:
            raise Draining("the database is closing")
        if self.damage is not None:
            raise Damaged(self.damage)
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
        """The first row of a query that an index serves, or None; what is asked for together is read in one step."""
        if self._closing:
            raise Draining("the database is closing")
        return await self._rows.fetch(sql, parameters)

    @asynccontextmanager
    async def reader(self) -> AsyncIterator[ReadConnection]:
        """A connection whose queries all see the same state."""
        async with self._reading() as conn:
            try:
                await conn.execute_fetchall("BEGIN")
                yield ReadConnection(conn)
            finally:
                await conn.rollback()

    def on_commit(self, callback: Callable[[list[Appended]], None]) -> None:
        """Has `callback(events)` called on the loop after each commit that appended events, oldest first."""
        self._callbacks.append(callback)

    async def check(self) -> list[str]:
        """What SQLite finds wrong with the file, empty when sound; reads all of it."""
        rows = await self.fetch_all("PRAGMA quick_check(10)")
        found = [row[0] for row in rows if row[0] != "ok"]
        if found:
            self._note(Damaged(f"the database file is damaged; restore a backup: {'; '.join(found[:3])}"))
        return found

    async def try_to_write(self) -> None:
        """Finds out whether the disk takes writes again, by one that changes nothing of ours; raises as `write`."""
        await self.write(lambda conn: conn.execute("INSERT OR REPLACE INTO meta VALUES ('tried', hex(randomblob(8)))"))

    async def back_up(self, why: backups.Why, stopped: Callable[[], bool]) -> Backup:
        """A backup made now, beside the work. Raises as `backups.make`; damage that it meets is noted."""
        try:
            keep = self.keeping.keep
            return await asyncio.to_thread(
                backups.make, self.path, self.keeping.folder, why, keep=keep, stopped=stopped
            )
        except Damaged as error:
            self._note(error)
            raise

    def look(self) -> bool:
        """Notes as damage that the file was removed or replaced under the daemon; whether it shrank.

        By its name and size alone: opening and closing it here would let go of SQLite's locks. `check` tells whether
        what shrank was truncated or vacuumed.
        """
        try:
            stat = self.path.stat()
        except OSError as error:
            self._note(Damaged(f"the database file {self.path} is gone: {error.strerror}; restore a backup"))
            return False
        device, inode, size = self._seen
        self._seen = (stat.st_dev, stat.st_ino, stat.st_size)
        if inode and (device, inode) != self._seen[:2]:
            self._note(Damaged(f"the database file {self.path} was replaced while it was in use; start again"))
        return stat.st_size < size

    def _note(self, error: TunesmithError | None) -> None:
        """Takes in what a write or a look met; None: the disk took a write."""
        if isinstance(error, Damaged):
            self.damage = self.damage or error.message
        elif error is None:
            self.refusal = None
        elif isinstance(error, DiskRefused):
            self.refusal = error.message

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[ThreadConnection]:
        if self._closing:
            raise Draining("the database is closing")
        conn = await self._idle.get()
        try:
            yield conn
        except sqlite3.Error as error:
            raise self._met(error) from error
        finally:
            self._idle.put_nowait(conn)

    def _met(self, error: sqlite3.Error) -> TunesmithError:
        """The error that a reading's caller sees; damage is noted."""
        met = fault(error)
        if isinstance(met, Damaged):
            self._note(met)
        return met

    async def _write_groups(self) -> None:
        while self._queue or not self._closing:
            if not self._queue:
                self._wake.clear()
                await self._wake.wait()
                continue
            group: list[_Queued] = []
            try:
                run = functools.partial(_run_group, queue=self._queue, group=group, signing_key=self.signing_key)
                appended = await self._writer.run(run)
                self._note(None)
            except Exception as error:  # the disk's refusal, or a fault of ours: the group's, never the writer's end
                self.counts.failures += 1
                self._note(fault(error) if isinstance(error, sqlite3.Error) else None)
                appended = []
                if not group:  # it could not even begin
                    group.append(self._queue.popleft())
                for queued in group:
                    queued.error = error
            self._answer(group, appended)

    def _answer(self, group: list[_Queued], appended: list[Appended]) -> None:
        self.counts.commits += 1
        self.counts.writes += len(group)
        if appended:
            self.head = appended[-1].seq
            for callback in self._callbacks:  # before the answers: bots hear at once, whatever the askers do then
                asyncio.get_running_loop().call_soon(callback, appended)
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


async def _close(connections: Iterable[ThreadConnection]) -> None:
    for connection in connections:
        await connection.close()
        connection.join()


def _run_group(
    conn: sqlite3.Connection,
    queue: deque[_Queued],
    group: list[_Queued],
    signing_key: Callable[[], SigningKey | None],
) -> list[Appended]:
    """Runs queued writes as one transaction, in the connection's thread; the events that they appended.

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
