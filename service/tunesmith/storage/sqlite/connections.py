"""Connections: SQLite connections in aiosqlite's threads, and what reads and writes go through.

    Readers       a few reading connections; single rows that many ask for at once are read together, in one step
    GroupWriter   one writing connection; the writes that wait are run as one transaction with one fsync
    Connection    what a write sees, in the writing connection's thread

A step to another thread and back costs more than the reading or writing itself, on a busy machine many times more.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import sqlite3
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeVar

import aiosqlite

from tunesmith.errors import Draining, Internal
from tunesmith.storage.faults import Damaged, DiskState, fault
from tunesmith.storage.sqlite.fair_turns import FairTurns, asker

T = TypeVar("T")

GROUP_WRITES = 512
"""Most writes in one commit."""
GROUP_S = 0.05
"""Seconds after which a group takes no further write, so that large ones do not hold up small ones."""
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
        """Every row of a query; it sees every write that was answered before."""
        if self.closing:
            raise Draining("the database is closing")
        async with self.lend() as conn:
            return list(await conn.execute_fetchall(sql, parameters))

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
        find_key: Callable[[], SigningKey | None],
        committed: Callable[[list[Appended]], None],
    ) -> None:
        self._connection = connection
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
                run = functools.partial(_run_group, queue=self._queue, group=group, find_key=self._find_key)
                appended = await self._connection.run(run)
            except Exception as error:  # the disk's refusal, or a fault of ours: the group's, never the writer's end
                self.counts.failures += 1
                refused, appended = error if isinstance(error, sqlite3.Error) else None, []
                if not group:  # it could not even begin
                    group.append(self._queue.popleft())
                for queued in group:
                    queued.error = error
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
