"""Schedules: searches that are made again and again."""

from __future__ import annotations

from typing import Any, ClassVar

from tunesmith.storage.sqlite.connections import Connection, Source
from tunesmith.storage.sqlite.rows import Row, insert, select, select_one


class ScheduleRow(Row, frozen=True, kw_only=True):
    """One schedule, by interval (`every`, such as 12h) or `cron` expression; `search` is its `optimization.start`.

    `suspended` says why it does not run.
    """

    table: ClassVar[str] = "schedules"

    id: str
    user: str
    every: str | None
    cron: str | None
    search: dict[str, Any]
    next_at: str
    last_at: str | None = None
    last_task_id: str | None = None
    last_error: str | None = None
    created_at: str
    suspended: str | None = None


async def put(conn: Connection, schedule: ScheduleRow) -> None:
    """Stores a schedule; one with its id is replaced."""
    await conn.execute("DELETE FROM schedules WHERE id = ?", (schedule.id,))
    await insert(conn, schedule)


async def get(source: Source, schedule_id: str) -> ScheduleRow | None:
    """The schedule, or None."""
    return await select_one(source, ScheduleRow, "WHERE id = ?", (schedule_id,))


async def listing(source: Source) -> list[ScheduleRow]:
    """Every schedule, by id."""
    return await select(source, ScheduleRow, "ORDER BY id")


async def due(source: Source, time: str) -> list[ScheduleRow]:
    """Schedules whose time has come and that are not suspended, the longest waiting first."""
    return await select(source, ScheduleRow, "WHERE suspended IS NULL AND next_at <= ? ORDER BY next_at, id", (time,))


async def set_run(
    conn: Connection, schedule_id: str, *, time: str, next_at: str, task_id: str | None, error: str | None
) -> None:
    """Notes a run: its task, or why there is none, and when the next one is."""
    sql = """UPDATE schedules SET last_at = ?, next_at = ?, last_task_id = coalesce(?, last_task_id), last_error = ?
             WHERE id = ?"""
    await conn.execute(sql, (time, next_at, task_id, error, schedule_id))


async def set_next(conn: Connection, schedule_id: str, next_at: str) -> None:
    """Has the next run at another time."""
    await conn.execute("UPDATE schedules SET next_at = ? WHERE id = ?", (next_at, schedule_id))


async def suspend(conn: Connection, schedule_id: str, why: str) -> None:
    """Has a schedule run no more, until one with its id is stored anew."""
    await conn.execute("UPDATE schedules SET suspended = ? WHERE id = ?", (why, schedule_id))


async def delete(conn: Connection, schedule_id: str) -> bool:
    """Deletes a schedule; False when there is none."""
    return await conn.execute("DELETE FROM schedules WHERE id = ?", (schedule_id,)) == 1
