"""Tasks and their logs. A transition that is not legal any more changes nothing, so that no late end overwrites one.

pending → running → completed | failed | cancelled        (pending may also fail or be cancelled)
completed | failed | cancelled → pending                  (only where someone asks for it)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import msgspec

from tunesmith.errors import NotFound
from tunesmith.protocol.envelope import TaskStatus
from tunesmith.storage.sqlite.connections import Connection, Source
from tunesmith.storage.sqlite.rows import Page, Row, insert, json_text, number, page, select, select_one
from tunesmith.storage.timestamps import SQL_NOW, now

_UNFINISHED = "status IN ('pending', 'running')"


class TaskRow(Row, frozen=True, kw_only=True):
    """One task. `request`, `state` and `result` are JSON text; `priority` 0 comes first."""

    table: ClassVar[str] = "tasks"

    id: str
    kind: str
    user: str
    client: str | None
    status: TaskStatus
    priority: int
    progress: float
    eta_s: float | None
    request: str
    state: str | None
    result: str | None
    error: dict[str, Any] | None
    created_at: str
    started_at: str | None
    completed_at: str | None
    attempts: int
    label: str | None = None

    @property
    def is_finished(self) -> bool:
        return self.status not in ("pending", "running")


class LogRow(Row, frozen=True, kw_only=True):
    """One line of a task's log; `n` counts from 1."""

    table: ClassVar[str] = "task_logs"

    n: int
    time: str
    level: str
    message: str


class NewTaskRow(Row, frozen=True, kw_only=True):
    """A task as it is asked for; `request` is JSON text."""

    table: ClassVar[str] = "tasks"

    id: str
    kind: str
    user: str
    client: str | None
    request: str
    priority: int = 5
    label: str | None = None


async def create(conn: Connection, new: NewTaskRow) -> TaskRow:
    """Stores a pending task."""
    row = TaskRow(
        **msgspec.structs.asdict(new),
        status="pending",
        progress=0.0,
        eta_s=None,
        state=None,
        result=None,
        error=None,
        created_at=now(),
        started_at=None,
        completed_at=None,
        attempts=0,
    )
    await insert(conn, row)
    return row


async def set_running(conn: Connection, task_id: str) -> bool:
    """Begins a task, or begins it again after a restart; False when it has ended."""
    sql = f"""UPDATE tasks SET status = 'running', started_at = coalesce(started_at, {SQL_NOW}), attempts = attempts + 1
              WHERE id = ? AND {_UNFINISHED}"""  # noqa: S608 - constants
    return await conn.execute(sql, (task_id,)) == 1


async def restart(conn: Connection, task_id: str, *, request: str | None = None, forget: str = "") -> TaskRow:
    """Makes a task that has ended pending again, and gives it; one that has not ended stays as it is.

    `request` replaces what was asked for, `forget` names a member that is taken out of its state.
    """
    sql = """UPDATE tasks SET status = 'pending', error = NULL, result = NULL, completed_at = NULL,
                 request = coalesce(?, request), state = json_remove(coalesce(state, '{}'), ?)
             WHERE id = ? AND status NOT IN ('pending', 'running')"""
    await conn.execute(sql, (request, f"$.{forget or 'nothing'}", task_id))
    row = await get(conn, task_id)
    if row is None:
        raise NotFound(f"there is no task {task_id!r}")
    return row


async def set_progress(conn: Connection, task_id: str, progress: float, eta_s: float | None = None) -> bool:
    """Stores how far a running task is (0 to 1) and its seconds left; False when it does not run."""
    sql = "UPDATE tasks SET progress = ?, eta_s = ? WHERE id = ? AND status = 'running'"
    return await conn.execute(sql, (progress, eta_s, task_id)) == 1


async def set_state(conn: Connection, task_id: str, state: str) -> bool:
    """Stores what a restart must not compute anew (JSON text); False when the task has ended."""
    sql = f"UPDATE tasks SET state = ? WHERE id = ? AND {_UNFINISHED}"  # noqa: S608 - a constant
    return await conn.execute(sql, (state, task_id)) == 1


async def finish(conn: Connection, task_id: str, status: str, error: dict[str, Any] | None = None) -> bool:
    """Ends a task as completed (only one that runs), failed or cancelled; False when it has ended before."""
    came_from = "status = 'running'" if status == "completed" else _UNFINISHED
    sql = f"""UPDATE tasks SET status = ?, error = ?, completed_at = {SQL_NOW}, eta_s = NULL,
                  progress = CASE WHEN ? = 'completed' THEN 1.0 ELSE progress END
              WHERE id = ? AND {came_from}"""  # noqa: S608 - constants
    text = None if error is None else json_text(error)
    return await conn.execute(sql, (status, text, status, task_id)) == 1


async def set_result(conn: Connection, task_id: str, result: str) -> None:
    """Stores the result (JSON text) of a task, in the write that ended it."""
    await conn.execute("UPDATE tasks SET result = ? WHERE id = ?", (result, task_id))


async def get(source: Source, task_id: str) -> TaskRow | None:
    """The task, or None."""
    return await select_one(source, TaskRow, "WHERE id = ?", (task_id,))


async def unfinished_with(source: Source, kind: str, request: str) -> TaskRow | None:
    """The oldest unfinished task of a kind with exactly this request, whoever asked, or None."""
    tail = f"WHERE {_UNFINISHED} AND kind = ? AND request = ? ORDER BY rowid"
    return await select_one(source, TaskRow, tail, (kind, request))


async def labels(source: Source, task_ids: Sequence[str]) -> dict[str, str | None]:
    """The labels of tasks, by id."""
    marks = ", ".join("?" * len(task_ids))
    rows = await source.fetch_all(f"SELECT id, label FROM tasks WHERE id IN ({marks})", task_ids)  # noqa: S608
    return {row[0]: row[1] for row in rows}


async def end_of(source: Source, task_id: str) -> tuple[str, TaskStatus] | None:
    """What tells this end of a task from any other that it has, and its status; None for one that has not ended."""
    sql = f"SELECT completed_at, attempts, status FROM tasks WHERE id = ? AND NOT {_UNFINISHED}"  # noqa: S608
    row = await source.fetch_one(sql, (task_id,))
    return None if row is None else (f"{row[0]} {row[1]}", row[2])


async def mark_changed(conn: Connection, task_id: str) -> None:
    """Makes `end_of` tell another end: what was stored with a task that has ended is no longer what it was."""
    await conn.execute("UPDATE tasks SET attempts = attempts + 1 WHERE id = ?", (task_id,))


async def unfinished(source: Source) -> list[TaskRow]:
    """Every task that has not ended, by priority, then oldest first."""
    return await select(source, TaskRow, f"WHERE {_UNFINISHED} ORDER BY priority, created_at, rowid")


async def to_go_on(source: Source) -> list[TaskRow]:
    """What a restart goes on with: the unfinished, but for searches that their session starts one after the other."""
    of_session = """SELECT i.optimization_id FROM session_items AS i JOIN tasks AS s ON s.id = i.session_id
                    WHERE i.optimization_id IS NOT NULL AND s.status IN ('pending', 'running')"""
    tail = f"WHERE {_UNFINISHED} AND id NOT IN ({of_session}) ORDER BY priority, created_at, rowid"
    return await select(source, TaskRow, tail)


async def count_unfinished(source: Source, user: str | None = None) -> int:
    """How many tasks have not ended, of one user or of all."""
    whose = "" if user is None else "AND user = ?"
    sql = f"SELECT count(*) FROM tasks WHERE {_UNFINISHED} {whose}"  # noqa: S608 - constants
    return await number(source, sql, () if user is None else (user,))


async def listing(
    source: Source,
    *,
    status: str | None = None,
    kind: str | None = None,
    user: str | None = None,
    limit: int = 50,
    offset: int = 0,
) -> Page:
    """`TaskRow`s, newest first."""
    filters = {"status": status, "kind": kind, "user": user}
    return await page(source, TaskRow, filters, order="created_at DESC, rowid DESC", limit=limit, offset=offset)


async def count_by_status(source: Source) -> dict[str, int]:
    """Number of tasks in each status that occurs."""
    rows = await source.fetch_all("SELECT status, count(*) FROM tasks GROUP BY status")
    return {row[0]: int(row[1]) for row in rows}


async def append_logs(conn: Connection, lines: Sequence[tuple[str, str, str]]) -> None:
    """Appends (task id, level, message) lines; lines of tasks that do not exist are dropped."""
    sql = f"""INSERT INTO task_logs (task_id, n, time, level, message)
              SELECT t.id, coalesce((SELECT max(n) FROM task_logs WHERE task_id = t.id), 0) + 1, {SQL_NOW}, ?, ?
              FROM tasks AS t WHERE t.id = ?"""  # noqa: S608 - a constant
    await conn.execute_many(sql, [(level, message, task_id) for task_id, level, message in lines])


async def logs(source: Source, task_id: str, after: int = 0, limit: int = 200) -> list[LogRow]:
    """Log lines with `n` above `after`, oldest first."""
    return await select(source, LogRow, "WHERE task_id = ? AND n > ? ORDER BY n LIMIT ?", (task_id, after, limit))
