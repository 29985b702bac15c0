"""Connections: SQLite connections in aiosqlite's threads, and what reads and writes go through.

    Readers       a few reading connections; single rows that many ask for at once are read together, in one step
    Connection    what a write sees, in the writing connection's thread; see `group_writer`

A step to another thread and back costs more than the reading or writing itself, on a busy machine many times more.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeVar

import aiosqlite

from tunesmith.errors import Draining
from tunesmith.storage.faults import DiskState
from tunesmith.storage.sqlite.fair_turns import FairTurns, asker

T = TypeVar("T")

_ROWS_AT_ONCE = 32
"""Those who asked go on together when they are told; so many hold the loop up no longer than a few milliseconds."""


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

    `appended` are the events that the writes of one group have appended; they are signed with `signing_key`.
    """

    def __init__(self, conn: sqlite3.Connection, find_key: Callable[[], SigningKey | None]) -> None:
        self._conn = conn
        self._find_key = find_key
        self._key: tuple[SigningKey | None] | None = None
        self.appended: list[Appended] = []

    @property
    def signing_key(self) -> SigningKey | None:
        """The key of this group of writes, looked up when its first event is signed; None: events are not signed."""
        if self._key is None:
            self._key = (self._find_key(),)
        return self._key[0]

    async def fetch_all(self, sql: str, parameters: Sequence[Any] = ()) -> list[sqlite3.Row]:
        """Every row of a query, or of a change with RETURNING."""
        return self._conn.execute(sql, parameters).fetchall()

    async def fetch_one(self, sql: str, parameters: Sequence[Any] = ()) -> sqlite3.Row | None:
        """The first row, or None."""
        return next(iter(self._conn.execute(sql, parameters).fetchall()), None)

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
        return next(iter(await self.fetch_all(sql, parameters)), None)


@dataclass(slots=True, eq=False)
class _Asked:
    sql: str
    parameters: Sequence[Any]
    answer: asyncio.Future[sqlite3.Row | None]
    found: sqlite3.Row | None = None
    error: sqlite3.Error | None = None


class Readers:
    """Reading connections, lent to one caller each; users take turns."""

    def __init__(self, connections: Sequence[ThreadConnection], state: DiskState) -> None:
        self._n = len(connections)
        self._state = state
        self._turns = FairTurns(connections)
        self.closing = False
        self._asked: list[_Asked] = []
        self._task: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def lend(self) -> AsyncIterator[ThreadConnection]:
        """A connection that nobody else uses meanwhile; what SQLite raises becomes an error of ours."""
        conn = await self._turns.get()
        try:
            yield conn
        except sqlite3.Error as error:
            raise self._state.met(error) from error
        finally:
            self._turns.put(conn)

    async def all_back(self, timeout_s: float) -> None:
        """Wait until every connection is back, at most so long; none is lent any more."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                for _ in range(self._n):
                    await self._turns.get()

    async def fetch_all(self, sql: str, parameters: Sequence[Any] = ()) -> list[sqlite3.Row]:
        """Every row of a query; it sees every write that was answered before. Cancelled, it stops where it is."""
        if self.closing:
            raise Draining("the database is closing")
        async with self.lend() as conn:
            try:
                return list(await conn.execute_fetchall(sql, parameters))
            except asyncio.CancelledError:
                await conn.interrupt()
                raise

    async def fetch_one(self, sql: str, parameters: Sequence[Any] = ()) -> sqlite3.Row | None:
        """The first row of a query that an index serves, or None; it sees every write that was answered before.

        What is asked for while a step to a connection's thread runs is read together by the next one.
        """
        if self.closing:
            raise Draining("the database is closing")
        asked = _Asked(sql, parameters, asyncio.get_running_loop().create_future())
        self._asked.append(asked)
        if self._task is None:
            self._task = asyncio.create_task(self._read(), name="database rows")
        return await asked.answer

    async def _read(self) -> None:
        batch: list[_Asked] = []
        asker.set("")  # rows for whoever asked
        try:
            while self._asked:
                async with self.lend() as conn:
                    batch, self._asked = self._asked[:_ROWS_AT_ONCE], self._asked[_ROWS_AT_ONCE:]
                    await conn.run(lambda conn, batch=batch: _read_each(conn, batch))  # type: ignore[misc]
                for asked in batch:
                    self._tell(asked)
                batch = []
        except BaseException as error:  # nobody may wait for ever
            for asked in (*batch, *self._asked):
                if not asked.answer.done():
                    asked.answer.set_exception(error) if isinstance(error, Exception) else asked.answer.cancel()
            self._asked = []
            if not isinstance(error, Exception):
                raise
        finally:
            self._task = None

    def _tell(self, asked: _Asked) -> None:
        if asked.answer.done():
            return
        if asked.error is None:
            asked.answer.set_result(asked.found)
            return
        met = self._state.met(asked.error)
        met.__cause__ = asked.error
        asked.answer.set_exception(met)


def _read_each(conn: sqlite3.Connection, batch: list[_Asked]) -> None:
    for asked in batch:
        if asked.answer.cancelled():
            continue
        try:
            asked.found = next(iter(conn.execute(asked.sql, asked.parameters).fetchall()), None)
        except sqlite3.Error as error:
            asked.error = error
