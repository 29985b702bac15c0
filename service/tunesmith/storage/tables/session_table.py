"""Sessions: sets of searches, one for each symbol and strategy. While one executes it is a task with the same id."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar, Literal

from tunesmith.domain.records import JsonObject
from tunesmith.storage.sqlite.connections import Connection, Source
from tunesmith.storage.sqlite.rows import Page, Row, insert, page, select, select_one
from tunesmith.storage.tables import task_table, trial_table

SessionStatus = Literal["created", "pending", "running", "completed", "failed", "cancelled"]


class SessionRow(Row, frozen=True, kw_only=True):
    """A session; `request` is what it was generated from."""

    table: ClassVar[str] = "tuning_sessions"

    id: str
    mode: str
    user: str
    client: str | None
    optimization_target: str
    request: JsonObject
    n_items: int
    n_trials: int
    status: SessionStatus
    created_at: str
    started_at: str | None = None
    completed_at: str | None = None


class ItemRow(Row, frozen=True, kw_only=True):
    """One search of a session; `request` is its `optimization.start`, `optimization_id` the search once it is there."""

    table: ClassVar[str] = "session_items"

    session_id: str
    number: int
    symbol: str
    strategy_id: str
    n_trials: int
    request: JsonObject
    optimization_id: str | None = None


class ItemState(Row, frozen=True, kw_only=True):
    """An item with where its search stands; `status` is None before it was begun."""

    table: ClassVar[str] = """(
        SELECT i.session_id, i.number, i.symbol, i.strategy_id, i.optimization_id,
               coalesce(o.n_trials, i.n_trials) AS n_trials, o.status, coalesce(o.n_done, 0) AS n_done,
               r.best_score, r.best_params, t.started_at, t.completed_at, t.error
        FROM session_items AS i
        LEFT JOIN optimization_tasks AS o ON o.id = i.optimization_id
        LEFT JOIN optimization_results AS r ON r.optimization_id = i.optimization_id
        LEFT JOIN tasks AS t ON t.id = i.optimization_id
    )"""

    session_id: str
    number: int
    symbol: str
    strategy_id: str
    n_trials: int
    optimization_id: str | None
    status: str | None
    n_done: int
    best_score: float | None
    best_params: JsonObject | None
    started_at: str | None
    completed_at: str | None
    error: JsonObject | None


async def create(conn: Connection, session: SessionRow, items: Iterable[ItemRow]) -> None:
    """Stores a session with its items."""
    await insert(conn, session)
    for item in items:
        await insert(conn, item)


async def get(source: Source, session_id: str) -> SessionRow | None:
    """The session, or None."""
    return await select_one(source, SessionRow, "WHERE id = ?", (session_id,))


async def newest(source: Source) -> SessionRow | None:
    """The session generated last, or None."""
    return await select_one(source, SessionRow, "ORDER BY created_at DESC, rowid DESC")


async def items(source: Source, session_id: str) -> list[ItemRow]:
    """The items of a session, by number."""
    return await select(source, ItemRow, "WHERE session_id = ? ORDER BY number", (session_id,))


async def states(source: Source, session_id: str) -> list[ItemState]:
    """The items of a session with where each stands, by number."""
    return await select(source, ItemState, "WHERE session_id = ? ORDER BY number", (session_id,))


async def listing(source: Source, *, status: str | None = None, limit: int = 50, offset: int = 0) -> Page:
    """`SessionRow`s, newest first."""
    return await page(
        source, SessionRow, {"status": status}, order="created_at DESC, rowid DESC", limit=limit, offset=offset
    )


async def ended_before(source: Source, before: str) -> list[SessionRow]:
    """Sessions that ended by the time `before`, oldest first."""
    return await select(source, SessionRow, "WHERE completed_at <= ? ORDER BY completed_at", (before,))


async def unfinished_searches(source: Source, session_id: str) -> list[str]:
    """The searches of a session that have begun and not ended."""
    sql = """SELECT t.id FROM session_items AS i JOIN tasks AS t ON t.id = i.optimization_id
             WHERE i.session_id = ? AND t.status IN ('pending', 'running')"""
    return [str(row[0]) for row in await source.fetch_all(sql, (session_id,))]


async def begin_item(conn: Connection, session_id: str, number: int, optimization_id: str) -> None:
    """Notes which search an item became."""
    sql = "UPDATE session_items SET optimization_id = ? WHERE session_id = ? AND number = ?"
    await conn.execute(sql, (optimization_id, session_id, number))


async def set_status(conn: Connection, session_id: str, status: SessionStatus) -> None:
    """Sets the status of a session whose task does not say it."""
    await conn.execute("UPDATE tuning_sessions SET status = ? WHERE id = ?", (status, session_id))


async def delete(conn: Connection, session_id: str, optimization_ids: Sequence[str]) -> int:
    """Deletes a session and the trials of its searches; how many trials. Reports and verdicts stay as they are."""
    await conn.execute("DELETE FROM session_items WHERE session_id = ?", (session_id,))
    await conn.execute("DELETE FROM tuning_sessions WHERE id = ?", (session_id,))
    n = 0
    for optimization_id in optimization_ids:
        n += await trial_table.delete_from(conn, optimization_id, 0)
        await task_table.mark_changed(conn, optimization_id)
    return n
