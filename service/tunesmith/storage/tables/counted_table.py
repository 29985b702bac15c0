"""Counted searches: every search, walk-forward and single backtest, in the order in which they began, for good.

Triggers keep `n_made` and `visible_from` from what is stored of trials and tasks, and see to it that nothing is ever
removed. What was asked for stands in the task itself, which cannot be removed either while it is counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar, NamedTuple

import msgspec

from tunesmith.errors import Internal
from tunesmith.storage.sqlite.connections import Connection, Source
from tunesmith.storage.sqlite.opening import SECRET
from tunesmith.storage.sqlite.rows import Row, select, select_one
from tunesmith.storage.timestamps import now

Span = tuple[int, int]
"""Times from the first to the second (exclusive), UTC milliseconds."""


class CountedMarket(NamedTuple):
    """A market that a search was made on; trading began at `start_ms`, and bars closed by `end_ms`."""

    venue: str
    symbol: str
    timeframe: str
    start_ms: int
    end_ms: int


class CountedRow(Row, frozen=True, kw_only=True):
    """A counted search, with its task's kind and user; `request` is what the task was asked for, JSON text.

    `by_clock`: its time budget ended it, and nothing that anybody could see of its results.
    """

    table: ClassVar[str] = """(
        SELECT c.id, c.task_id, c.n_made, c.visible_from, t.user, t.kind, t.request,
            t.status = 'completed' AND r.stopped_by IS 'time_budget' AS by_clock
        FROM counted_searches AS c JOIN tasks AS t ON t.id = c.task_id
            LEFT JOIN optimization_results AS r ON r.optimization_id = c.task_id
    )"""

    id: int
    task_id: str
    n_made: int
    visible_from: int | None
    user: str
    kind: str
    request: str
    by_clock: bool


class Place(NamedTuple):
    """A counted search that has results, without what it was asked for."""

    id: int
    user: str
    visible_from: int


async def insert(conn: Connection, task_id: str, markets: Iterable[CountedMarket], n_at_end: int | None) -> None:
    """Counts a task, in the transaction that stores it; `n_at_end` as in the table."""
    await conn.execute("INSERT INTO counted_searches (task_id, n_at_end) VALUES (?, ?)", (task_id, n_at_end))
    # The table of markets has no rowid, so that the last one stays the counted search's.
    sql = """INSERT OR IGNORE INTO counted_markets (counted_id, venue, symbol, timeframe, start_ms, end_ms)
             VALUES (last_insert_rowid(), ?, ?, ?, ?, ?)"""
    for market in markets:
        await conn.execute(sql, market)


async def of_task(source: Source, task_id: str) -> CountedRow | None:
    """The counted search of a task, or None."""
    return await select_one(source, CountedRow, "WHERE task_id = ?", (task_id,))


async def places(source: Source, venue: str, symbol: str, span: Span) -> list[Place]:
    """Every counted search on a market that has results and whose bars share time with `span`, oldest first."""
    sql = """SELECT c.id, t.user, c.visible_from
             FROM counted_markets AS m JOIN counted_searches AS c ON c.id = m.counted_id
                 JOIN tasks AS t ON t.id = c.task_id
             WHERE m.venue = ? AND m.symbol = ? AND m.start_ms < ? AND m.end_ms > ? AND c.n_made > 0 ORDER BY c.id"""
    rows = await source.fetch_all(sql, (venue, symbol, span[1], span[0]))
    return [Place(row[0], row[1], row[2]) for row in rows]


async def some(source: Source, counted_ids: Sequence[int]) -> list[CountedRow]:
    """The counted searches of these ids, oldest first."""
    tail = "WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id"
    return await select(source, CountedRow, tail, (_json(counted_ids),))


async def of_tasks(source: Source, task_ids: Sequence[str]) -> list[CountedRow]:
    """The counted searches of these tasks, oldest first."""
    tail = "WHERE task_id IN (SELECT value FROM json_each(?)) ORDER BY id"
    return await select(source, CountedRow, tail, (_json(task_ids),))


async def openings(source: Source, users: Sequence[str]) -> dict[tuple[str, int], int]:
    """(user, id of a counted search of another's) → the highest id there was when its results were delivered."""
    sql = "SELECT user, counted_id, at_id FROM opened_searches WHERE user IN (SELECT value FROM json_each(?))"
    return {(row[0], row[1]): row[2] for row in await source.fetch_all(sql, (_json(users),))}


async def unopened(source: Source, user: str, ids: Sequence[str]) -> list[str]:
    """Of the tasks, and those that made the reports, what is another's, has results and `user` did not open before."""
    rows = await source.fetch_all(_UNOPENED, (_json(ids), user))
    return [row[0] for row in rows]


async def open_for(conn: Connection, user: str, task_ids: Sequence[str]) -> list[str]:
    """Writes down that results of the tasks are delivered to `user`; those that are new, as `unopened` has them."""
    fresh = await conn.fetch_all(_UNOPENED, (_json(task_ids), user))
    sql = """INSERT INTO opened_searches (user, counted_id, at_id, time)
             SELECT ?, id, (SELECT max(id) FROM counted_searches), ? FROM counted_searches WHERE task_id = ?"""
    time = now()
    await conn.execute_many(sql, [(user, time, row[0]) for row in fresh])
    return [row[0] for row in fresh]


async def draw_secret(source: Source) -> bytes:
    """The secret key of the draws of all verdicts of this database. A restored backup has it as well."""
    row = await source.fetch_one("SELECT value FROM meta WHERE key = ?", (SECRET,))
    if row is None:
        raise Internal("the database has no secret for its draws; start the daemon again")
    return bytes.fromhex(row[0])


_UNOPENED = """SELECT c.task_id FROM counted_searches AS c JOIN tasks AS t ON t.id = c.task_id
    WHERE c.task_id IN (
        SELECT coalesce(r.task_id, n.value) FROM json_each(?1) AS n LEFT JOIN backtest_reports AS r ON r.id = n.value
    ) AND t.user <> ?2 AND c.n_made > 0 AND NOT EXISTS (
        SELECT 1 FROM opened_searches AS o WHERE o.user = ?2 AND o.counted_id = c.id
    )"""


def _json(values: Sequence[int] | Sequence[str]) -> str:
    return msgspec.json.encode(list(values)).decode()
