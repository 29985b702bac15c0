"""Connections: an SQLite connection in aiosqlite's thread, and what reads and writes see of one."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

import aiosqlite

T = TypeVar("T")

_BUSY_TIMEOUT_MS = 5_000


class Source(Protocol):
    """What can be read from: a `Database`, a `ReadConnection`, or the `Connection` within a write."""

    def fetch_all(self, sql: str, parameters: Sequence[Any] = ()) -> Awaitable[list[sqlite3.Row]]: ...

    def fetch_one(self, sql: str, parameters: Sequence[Any] = ()) -> Awaitable[sqlite3.Row | None]: ...


class ThreadConnection(aiosqlite.Connection):
    """aiosqlite's connection that can run a whole function in its thread, instead of a hop for each statement.

    Its thread does not keep the process alive: what dies before `close` dies, and loses nothing that was answered.
    """

    def __init__(self, open_file: Callable[[], sqlite3.Connection]) -> None:
        super().__init__(open_file, iter_chunk_size=64)
        self._thread.daemon = True

    def join(self) -> None:
        """Waits for the thread to end, after `close` or a failed opening: its last word needs the event loop."""
        self._thread.join(1.0)

    async def run(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """The answer of `function(connection)`, called in the connection's thread."""
        answer: T = await self._execute(function, self._conn)  # type: ignore[no-untyped-call]
        return answer


async def connect(path: Path, *, writer: bool) -> ThreadConnection:
    """An open connection with our settings: the only one that writes, or one that can only read."""

    def open_file() -> sqlite3.Connection:
        mode = "rw" if writer else "ro"
        conn = sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", uri=True, isolation_level=None)
        try:
            conn.row_factory = sqlite3.Row
            conn.execute(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_MS}")
            conn.execute("PRAGMA foreign_keys = ON")
            if writer:
                conn.execute("PRAGMA journal_mode = WAL")
                conn.execute("PRAGMA synchronous = FULL")
            else:
                conn.execute("PRAGMA query_only = ON")
        except BaseException:
            conn.close()
            raise
        return conn

    connection = ThreadConnection(open_file)
    try:
        await connection
    except BaseException:
        connection.join()
        raise
    return connection


class SigningKey(Protocol):
    """A key that signs events; `keyid` names it in them."""

    @property
    def keyid(self) -> str: ...

    def sign(self, frame: bytes) -> bytes: ...


class Appended(NamedTuple):
    """A durable event as it was appended: its number and topic, the bytes of its JSON frame, and their signature."""

    seq: int
    topic: str
    frame: bytes
    signature: bytes | None = None


class Connection:
    """What a write sees of the writing connection. Its methods are answered at once: a write never waits.

    `signing_key` signs the events that the write appends; None: they are not signed. `appended` are those events.
    """

    def __init__(self, conn: sqlite3.Connection, signing_key: SigningKey | None = None) -> None:
        self._conn = conn
        self.signing_key = signing_key
        self.appended: list[Appended] = []

    async def fetch_all(self, sql: str, parameters: Sequence[Any] = ()) -> list[sqlite3.Row]:
        """Every row of a query, or of a change with RETURNING."""
        return self._conn.execute(sql, parameters).fetchall()

    async def fetch_one(self, sql: str, parameters: Sequence[Any] = ()) -> sqlite3.Row | None:
        """The first row, or None."""
        rows = self._conn.execute(sql, parameters).fetchall()
        return rows[0] if rows else None

    async def execute(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """Number of rows that the statement changed."""
        return self._conn.execute(sql, parameters).rowcount

    async def execute_many(self, sql: str, rows: Iterable[Sequence[Any]]) -> int:
        """Number of rows that the statement changed over all `rows` of parameters."""
        return self._conn.executemany(sql, rows).rowcount


class ReadConnection:
    """One reading connection within one transaction: every query sees the same state."""

    def __init__(self, conn: ThreadConnection) -> None:
        self._conn = conn

    async def fetch_all(self, sql: str, parameters: Sequence[Any] = ()) -> list[sqlite3.Row]:
        """Every row of a query."""
        return list(await self._conn.execute_fetchall(sql, parameters))

    async def fetch_one(self, sql: str, parameters: Sequence[Any] = ()) -> sqlite3.Row | None:
        """The first row, or None."""
        rows = await self.fetch_all(sql, parameters)
        return rows[0] if rows else None
