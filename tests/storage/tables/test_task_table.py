"""Tasks: only legal transitions, in whatever order they come; logs; what a restart goes on with."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.opened import add_optimization, add_task, over_database
from tunesmith.errors import Internal
from tunesmith.storage.sqlite.connections import Connection
from tunesmith.storage.sqlite.database import Database
from tunesmith.storage.tables import optimization_table, task_table

ENDS = ["completed", "failed", "cancelled"]


async def get(database: Database, task_id: str = "t1") -> task_table.TaskRow:
    row = await task_table.get(database, task_id)
    assert row is not None
    return row


@over_database
async def test_a_task_from_pending_to_completed(database: Database) -> None:
    created = await database.write(lambda conn: add_task(conn, "t1", request='{"a": 1}', client="bot", priority=2))
    assert (created.status, created.progress, created.attempts, created.is_finished) == ("pending", 0.0, 0, False)
    assert await get(database) == created
    assert await database.write(lambda conn: task_table.set_running(conn, "t1"))
    assert await database.write(lambda conn: task_table.set_progress(conn, "t1", 0.5, 12.0))
    assert await database.write(lambda conn: task_table.set_state(conn, "t1", '{"x": 1}'))
    running = await get(database)
    assert (running.status, running.progress, running.eta_s, running.attempts) == ("running", 0.5, 12.0, 1)
    assert (running.state, running.request) == ('{"x": 1}', '{"a": 1}')

    async def finish(conn: Connection) -> bool:
        await task_table.set_result(conn, "t1", '{"r": 2}')
        return await task_table.finish(conn, "t1", "completed")

    assert await database.write(finish)
    done = await get(database)
    assert (done.status, done.progress, done.eta_s, done.result) == ("completed", 1.0, None, '{"r": 2}')
    assert done.is_finished
    assert done.created_at <= (done.started_at or "") <= (done.completed_at or "")


@over_database
async def test_a_failure_keeps_its_reason(database: Database) -> None:
    await database.write(lambda conn: add_task(conn, "t1"))
    problem = {"code": "internal", "detail": "out of memory"}
    assert await database.write(lambda conn: task_table.finish(conn, "t1", "failed", problem))
    assert ((await get(database)).error, (await get(database)).status) == (problem, "failed")


@over_database
async def test_running_again_after_a_restart_counts_attempts_and_keeps_the_first_start(database: Database) -> None:
    await database.write(lambda conn: add_task(conn, "t1"))
    await database.write(lambda conn: task_table.set_running(conn, "t1"))
    first = await get(database)
    await database.write(lambda conn: task_table.set_running(conn, "t1"))
    again = await get(database)
    assert (again.attempts, again.started_at) == (2, first.started_at)


@over_database
async def test_an_unknown_status_is_refused(database: Database) -> None:
    await database.write(lambda conn: add_task(conn, "t1"))
    with pytest.raises(Internal, match="CHECK"):
        await database.write(lambda conn: task_table.finish(conn, "t1", "exploded"))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(["run", "progress", "state", *ENDS]), max_size=8))
def test_whatever_comes_the_first_end_stays(actions: list[str]) -> None:
    """Against a model in four lines: which actions are legal in which status."""

    async def act(conn: Connection, action: str) -> bool:
        if action == "run":
            return await task_table.set_running(conn, "t1")
        if action == "progress":
            return await task_table.set_progress(conn, "t1", 0.3)
        if action == "state":
            return await task_table.set_state(conn, "t1", "{}")
        return await task_table.finish(conn, "t1", action)

    @over_database
    async def main(database: Database) -> None:
        await database.write(lambda conn: add_optimization(conn, "t1"))
        status = "pending"
        for action in actions:
            legal = {"pending": {"run", "state", "failed", "cancelled"}, "running": {"run", "progress", "state", *ENDS}}
            allowed = action in legal.get(status, set())
            assert await database.write(lambda conn, action=action: act(conn, action)) is allowed
            if allowed and action not in ("progress", "state"):
                status = "running" if action == "run" else action
            row = await get(database)
            assert row.status == status
            assert (row.completed_at is None) == (status not in ENDS)
            search = await optimization_table.get(database, "t1")
            assert search is not None
            assert (search.status, search.progress, search.completed_at) == (row.status, row.progress, row.completed_at)

    with tempfile.TemporaryDirectory() as folder:
        main(Path(folder))


@over_database
async def test_a_late_end_does_not_overwrite_a_cancellation_in_the_same_group(database: Database) -> None:
    await database.write(lambda conn: add_task(conn, "t1"))
    await database.write(lambda conn: task_table.set_running(conn, "t1"))
    ends = [database.write(lambda conn, end=end: task_table.finish(conn, "t1", end)) for end in reversed(ENDS)]
    assert await asyncio.gather(*ends) == [True, False, False]
    assert (await get(database)).status == "cancelled"


@over_database
async def test_what_is_unfinished_comes_by_priority_then_age(database: Database) -> None:
    for task_id, priority in (("low", 9), ("first", 1), ("second", 1), ("gone", 1), ("busy", 5)):
        await database.write(lambda conn, i=task_id, p=priority: add_task(conn, i, priority=p))
    await database.write(lambda conn: task_table.finish(conn, "gone", "cancelled"))
    await database.write(lambda conn: task_table.set_running(conn, "busy"))
    assert [row.id for row in await task_table.unfinished(database)] == ["first", "second", "busy", "low"]
    assert await task_table.count_unfinished(database) == 4
    assert await task_table.count_unfinished(database, "ann") == 4
    assert await task_table.count_unfinished(database, "bob") == 0
    assert await task_table.count_by_status(database) == {"pending": 3, "running": 1, "cancelled": 1}


@over_database
async def test_listings_are_newest_first_filtered_and_paged(database: Database) -> None:
    for i in range(7):
        kind, user = ("a", "ann") if i % 2 else ("b", "bob")
        await database.write(lambda conn, i=i, k=kind, u=user: add_task(conn, f"t{i}", k, user=u))
    rows, total = await task_table.listing(database, limit=3, offset=1)
    assert ([row.id for row in rows], total) == (["t5", "t4", "t3"], 7)
    rows, total = await task_table.listing(database, kind="a", user="ann", status="pending", limit=2)
    assert ([row.id for row in rows], total) == (["t5", "t3"], 3)
    assert await task_table.listing(database, kind="a", user="bob") == ([], 0)


@over_database
async def test_log_lines_are_numbered_per_task(database: Database) -> None:
    for task_id in ("t1", "t2"):
        await database.write(lambda conn, i=task_id: add_task(conn, i))
    lines = [("t1", "info", "a"), ("t2", "info", "b"), ("t1", "error", "c"), ("gone", "info", "d")]
    await database.write(lambda conn: task_table.append_logs(conn, lines))
    await database.write(lambda conn: task_table.append_logs(conn, [("t1", "info", "e")]))
    log = await task_table.logs(database, "t1")
    assert [(line.n, line.level, line.message) for line in log] == [
        (1, "info", "a"),
        (2, "error", "c"),
        (3, "info", "e"),
    ]
    assert [line.n for line in await task_table.logs(database, "t1", after=1, limit=1)] == [2]
    assert [line.n for line in await task_table.logs(database, "t2")] == [1]
    assert await task_table.logs(database, "gone") == []
