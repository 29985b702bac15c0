"""Sessions: stored with their items, followed through their task, ranked over all searches, deleted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from storage.opened import add_optimization, add_task, batch, over_database
from tunesmith.errors import Invalid
from tunesmith.storage.sqlite.connections import Connection
from tunesmith.storage.sqlite.database import Database
from tunesmith.storage.tables import optimization_table, session_table, task_table, trial_table
from tunesmith.storage.tables.session_table import ItemRow, SessionRow

EARLY, LATE = "2020-01-01T00:00:00.000Z", "9999-01-01T00:00:00.000Z"


async def add_session(conn: Connection, session_id: str, n_items: int = 2, **more: Any) -> None:
    values: dict[str, Any] = {
        "id": session_id,
        "mode": "random",
        "user": "ann",
        "client": None,
        "optimization_target": '"sharpe"',
        "request": {"size": 4},
        "n_items": n_items,
        "n_trials": 4 * n_items,
        "status": "created",
        "created_at": "2024-01-01T00:00:00.000Z",
        **more,
    }
    items = [
        ItemRow(session_id=session_id, number=i, symbol=f"S{i}/USDT", strategy_id="ma", n_trials=4, request={"i": i})
        for i in range(n_items)
    ]
    await session_table.create(conn, SessionRow(**values), items)


async def status_of(database: Database, session_id: str) -> tuple[str, bool, bool]:
    row = await session_table.get(database, session_id)
    assert row is not None
    return row.status, row.started_at is not None, row.completed_at is not None


@over_database
async def test_a_session_comes_back_with_its_items(database: Database) -> None:
    await database.write(lambda conn: add_session(conn, "s1", request={"size": 4, "symbols": ["A"]}))
    row = await session_table.get(database, "s1")
    assert row is not None
    assert (row.request, row.n_trials, row.status) == ({"size": 4, "symbols": ["A"]}, 8, "created")
    assert [
        (item.number, item.request, item.optimization_id) for item in await session_table.items(database, "s1")
    ] == [
        (0, {"i": 0}, None),
        (1, {"i": 1}, None),
    ]
    assert [(s.status, s.n_done, s.n_trials) for s in await session_table.states(database, "s1")] == [(None, 0, 4)] * 2
    assert await session_table.get(database, "s2") is None


@over_database
async def test_listings_are_newest_first_and_pages_count_all(database: Database) -> None:
    assert await session_table.newest(database) is None
    for i, status in enumerate(["created", "completed", "created"]):
        created_at = f"2024-01-0{i + 1}T00:00:00.000Z"
        await database.write(
            lambda conn, i=i, s=status, c=created_at: add_session(conn, f"s{i}", status=s, created_at=c)
        )
    newest = await session_table.newest(database)
    assert newest is not None
    assert newest.id == "s2"
    page = await session_table.listing(database, limit=2)
    assert ([row.id for row in page.rows], page.total) == (["s2", "s1"], 3)
    page = await session_table.listing(database, status="created", offset=1)
    assert ([row.id for row in page.rows], page.total) == (["s0"], 2)


@over_database
async def test_a_session_follows_its_task_through_every_end_and_back(database: Database) -> None:
    await database.write(lambda conn: add_session(conn, "s1"))
    await database.write(lambda conn: add_task(conn, "s1", "session"))
    await database.write(lambda conn: task_table.set_running(conn, "s1"))
    assert await status_of(database, "s1") == ("running", True, False)
    for end in ("cancelled", "failed", "completed"):
        await database.write(lambda conn, end=end: task_table.finish(conn, "s1", end))
        assert await status_of(database, "s1") == (end, True, True)
        assert [row.id for row in await session_table.ended_before(database, LATE)] == ["s1"]
        assert await session_table.ended_before(database, EARLY) == []
        await database.write(lambda conn: task_table.restart(conn, "s1", request='{"again": 1}'))
        assert await status_of(database, "s1") == ("pending", True, False)
        assert await session_table.ended_before(database, LATE) == []
        await database.write(lambda conn: task_table.set_running(conn, "s1"))
    row = await task_table.get(database, "s1")
    assert row is not None
    assert (row.request, row.attempts) == ('{"again": 1}', 4)


@over_database
async def test_a_restart_takes_back_what_an_end_left_and_nothing_of_a_task_that_runs(database: Database) -> None:
    await database.write(lambda conn: add_task(conn, "t1"))
    await database.write(lambda conn: task_table.set_running(conn, "t1"))
    await database.write(lambda conn: task_table.set_state(conn, "t1", '{"kept": 1, "ended": 2}'))
    running = await database.write(lambda conn: task_table.restart(conn, "t1", request="[]", forget="ended"))
    assert (running.status, running.request, running.state) == ("running", "{}", '{"kept": 1, "ended": 2}')
    await database.write(lambda conn: task_table.finish(conn, "t1", "failed", {"code": "internal"}))
    again = await database.write(lambda conn: task_table.restart(conn, "t1", forget="ended"))
    assert (again.status, again.error, again.result, again.completed_at) == ("pending", None, None, None)
    assert (again.request, again.state) == ("{}", '{"kept":1}')


async def add_trials(database: Database) -> None:
    """Two searches of three and four trials in the session s1, one search beside it."""
    await database.write(lambda conn: add_session(conn, "s1"))
    scores = {"o1": [3.0, float("nan"), 1.0], "o2": [2.0, 3.0, float("nan"), 9.0], "o3": [100.0]}
    for number, (name, values) in enumerate(scores.items()):
        eligible = np.isfinite(values) & (np.array(values) != 9.0)
        await database.write(lambda conn, name=name: add_optimization(conn, name))
        made = batch(0, values, eligible=eligible)
        await database.write(lambda conn, name=name, made=made: trial_table.insert_batch(conn, name, made))
        if name != "o3":
            await database.write(lambda conn, n=number, name=name: session_table.begin_item(conn, "s1", n, name))


@over_database
async def test_trials_of_all_searches_are_ranked_together(database: Database) -> None:
    await add_trials(database)

    async def page(descending: bool, eligible_only: bool, **how: int) -> tuple[list[tuple[str, int]], int]:
        where = {"limit": 100, "offset": 0, **how}
        found, total = await trial_table.page_of_session(
            database, "s1", sort="sharpe", descending=descending, eligible_only=eligible_only, **where
        )
        assert all(symbol == {"o1": "S0/USDT", "o2": "S1/USDT"}[search] for symbol, _, search, _ in found)
        return [(search, row.index) for _, _, search, row in found], total

    best_first = [("o2", 3), ("o1", 0), ("o2", 1), ("o2", 0), ("o1", 2), ("o1", 1), ("o2", 2)]
    assert await page(True, False) == (best_first, 7)
    assert await page(True, True) == (best_first[1:5], 4)
    assert await page(False, False) == ([best_first[i] for i in (4, 3, 1, 2, 0, 5, 6)], 7)
    assert await page(True, False, limit=3, offset=2) == (best_first[2:5], 7)
    assert await page(True, False, offset=7) == ([], 7)
    with pytest.raises(Invalid, match="no metric"):
        await trial_table.page_of_session(
            database, "s1", sort="idx", descending=True, eligible_only=False, limit=1, offset=0
        )


@over_database
async def test_what_is_not_finished_and_what_is_deleted(database: Database) -> None:
    await add_trials(database)
    await database.write(lambda conn: task_table.set_running(conn, "o1"))
    await database.write(lambda conn: task_table.finish(conn, "o1", "completed"))
    assert await session_table.unfinished_searches(database, "s1") == ["o2"]
    end = await task_table.end_of(database, "o1")
    assert await database.write(lambda conn: session_table.delete(conn, "s1", ["o1", "o2"])) == 7
    assert await session_table.get(database, "s1") is None
    assert await session_table.items(database, "s1") == []
    search = await optimization_table.get(database, "o1")
    assert search is not None
    assert (search.status, search.n_done, await trial_table.count(database, "o1")) == ("completed", 0, 0)
    assert await task_table.end_of(database, "o1") != end
    assert await trial_table.count(database, "o3") == 1
