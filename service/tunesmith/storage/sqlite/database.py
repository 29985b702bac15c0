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
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from tunesmith.errors import Draining
from tunesmith.storage.faults import Damaged, DiskState
from tunesmith.storage.file_lock import DirectoryLock
from tunesmith.storage.sqlite import backups
from tunesmith.storage.sqlite.backups import Backup
from tunesmith.storage.sqlite.connections import (
    Appended,
    ReadConnection,
    Readers,
    SigningKey,
    ThreadConnection,
)
from tunesmith.storage.sqlite.group_writer import GroupWriter
from tunesmith.storage.sqlite.opening import BackupPolicy, claim, connect, make_new, mark_made, opening_fault, prepare
from tunesmith.storage.sqlite.own_files import OwnFiles

T = TypeVar("T")
_READERS_END_S = 2.0


@dataclass(eq=False)
class Database:
    """An open database. Make it with `open`; `close` it, or the process does not end.

    `write` is its writer's (`GroupWriter.write`), `fetch_all` and `fetch_one` are its readers' (see `Readers`); after
    `close` they raise `Draining`.
    """

    path: Path
    epoch: str
    head: int
    """The newest durable event's `seq`; 0 before the first."""
    keeping: BackupPolicy
    _lock: DirectoryLock
    _connections: list[ThreadConnection]
    """The writing one, then those that read."""
    signing_key: Callable[[], SigningKey | None] = lambda: None
    """Answers the key that signs the events of a group of writes; called in the writer's thread."""
    _callbacks: list[Callable[[list[Appended]], None]] = field(default_factory=list)
    _closing: bool = False
    _size: int = 0

    def __post_init__(self) -> None:
        self._state = DiskState()
        self._readers = Readers(self._connections[1:], self._state)
        self._files = OwnFiles(self.path)
        self._writer = GroupWriter(
            self._connections[0], self._state, self._files, lambda: self.signing_key(), self._publish
        )
        self.counts = self._writer.counts
        self.write = self._writer.write
        self.fetch_all, self.fetch_one = self._readers.fetch_all, self._readers.fetch_one
        self._size = self.path.stat().st_size

    @property
    def damage(self) -> str | None:
        """What is wrong with the file, as far as it was noticed; it stays until the daemon is started again."""
        return self._state.damage

    @property
    def advice(self) -> str:
        """What to do about the damage."""
        return self._state.advice

    @property
    def refusal(self) -> str | None:
        """Why the disk did not take the last write; None since it took one."""
        return self._state.refusal

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
            mark_made(path)
        except BaseException as error:
            await _close(connections[::-1])
            lock.release()
            if isinstance(error, sqlite3.Error):
                raise opening_fault(path, error) from error
            raise
        return cls(path, epoch, head, keeping, lock, connections)

    async def close(self) -> None:
        """Finishes the queued writes, then closes every connection; a second call does nothing."""
        if self._closing:
            return
        self._closing = self._readers.closing = True
        try:
            await self._writer.close()
            await self._readers.all_back(_READERS_END_S)
        finally:
            await _close(self._connections[::-1])
            self._lock.release()

    @asynccontextmanager
    async def reader(self) -> AsyncIterator[ReadConnection]:
        """A connection whose queries all see the same state."""
        if self._closing:
            raise Draining("the database is closing")
        async with self._readers.lend() as conn:
            try:
                await conn.execute_fetchall("BEGIN")
                yield ReadConnection(conn)
            except asyncio.CancelledError:
                await conn.interrupt()
                raise
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
            self._state.note(Damaged(f"the database file is damaged; restore a backup: {'; '.join(found[:3])}"))
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
            self._state.note(error)
            raise

    async def look(self) -> bool:
        """Notes as damage that a file was removed or replaced under the daemon; whether the database's shrank.

        `check` tells whether what shrank was truncated or vacuumed.
        """
        try:
            if self.damage is None and (lost := await self._connections[0].run(self._files.secure)) is not None:
                self._state.note(lost)
            size = self.path.stat().st_size
        except Damaged as error:
            self._state.note(error)
            return False
        except OSError:  # gone since; the next look says so
            return False
        before, self._size = self._size, size
        return size < before

    def _publish(self, appended: list[Appended]) -> None:
        """Before those who asked are answered: bots hear at once, whatever the askers do then."""
        self.head = appended[-1].seq
        for callback in self._callbacks:
            asyncio.get_running_loop().call_soon(callback, appended)


async def _close(connections: Iterable[ThreadConnection]) -> None:
    for connection in connections:
        await connection.close()
        connection.join()
