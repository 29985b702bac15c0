"""Counted searches in the tables: what triggers keep, that nothing is lost, and what is cached beside them."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from storage.opened import add_optimization, add_report, add_task, batch, over_database
from tunesmith.errors import TunesmithError
from tunesmith.storage.sqlite import backups, restoring
from tunesmith.storage.sqlite.connections import Connection
from tunesmith.storage.sqlite.database import Database
from tunesmith.storage.tables import counted_table, null_vector_table, optimization_table, task_table, trial_table
from tunesmith.storage.tables.counted_table import CountedMarket
from tunesmith.storage.tables.null_vector_table import NullRow

BTC = CountedMarket("local", "BTC/USDT", "1h", 1000, 2000)
ETH = CountedMarket("local", "ETH/USDT", "1h", 1000, 2000)


async def add_search(conn: Connection, task_id: str, n_trials: int = 100) -> None:
    await add_optimization(conn, task_id, n_trials=n_trials)
    await counted_table.insert(conn, task_id, [BTC], None)


async def add_point(conn: Connection, task_id: str, user: str = "ann", market: CountedMarket = BTC) -> None:
    await add_task(conn, task_id, user=user)
    await counted_table.insert(conn, task_id, [market], 1)


async def made(database: Database, task_id: str) -> tuple[int, int | None]:
    row = await counted_table.of_task(database, task_id)
    assert row is not None
    return row.n_made, row.visible_from


@over_database
async def test_trials_are_counted_as_they_are_stored_and_never_forgotten(database: Database) -> None:
    await database.write(lambda conn: add_search(conn, "a"))
    assert await made(database, "a") == (0, None)
    await database.write(lambda conn: add_search(conn, "b"))
    await database.write(lambda conn: trial_table.insert_batch(conn, "a", batch(4, [1.0, 2.0])))
    assert await made(database, "a") == (6, 2), "up to the last, whichever was stored first"
    await database.write(lambda conn: add_search(conn, "c"))
    await database.write(lambda conn: trial_table.insert_batch(conn, "a", batch(0, [1.0])))
    assert await made(database, "a") == (6, 2)
    await database.write(lambda conn: trial_table.delete_from(conn, "a", 0))
    assert await made(database, "a") == (6, 2)
    assert [place.id for place in await counted_table.places(database, "local", "BTC/USDT", (0, 9000))] == [1]


@over_database
async def test_a_search_that_ends_early_has_made_the_trials_that_it_kept(database: Database) -> None:
    await database.write(lambda conn: add_search(conn, "a"))
    await database.write(lambda conn: trial_table.insert_batch(conn, "a", batch(0, [1.0] * 9)))

    async def end(conn: Connection) -> None:
        await trial_table.delete_from(conn, "a", 7)
        await optimization_table.set_size(conn, "a", 7)

    await database.write(end)
    assert await made(database, "a") == (7, 1)


@over_database
async def test_a_backtest_counts_once_it_is_completed(database: Database) -> None:
    for task_id in ("done", "failed", "cancelled"):
        await database.write(lambda conn, task_id=task_id: add_point(conn, task_id))  # type: ignore[misc]
        await database.write(lambda conn, task_id=task_id: task_table.set_running(conn, task_id))  # type: ignore[misc]
    await database.write(lambda conn: task_table.finish(conn, "failed", "failed", {"code": "internal"}))
    await database.write(lambda conn: task_table.finish(conn, "cancelled", "cancelled"))
    await database.write(lambda conn: task_table.finish(conn, "done", "completed"))
    assert await made(database, "done") == (1, 3)
    assert await made(database, "failed") == await made(database, "cancelled") == (0, None)


@over_database
async def test_places_are_those_of_the_market_that_share_time(database: Database) -> None:
    for task_id, market in (("a", BTC), ("b", ETH), ("c", BTC._replace(start_ms=2000, end_ms=3000))):
        await database.write(lambda conn, task_id=task_id, market=market: add_point(conn, task_id, market=market))  # type: ignore[misc]
        await database.write(lambda conn, task_id=task_id: task_table.set_running(conn, task_id))  # type: ignore[misc]
        await database.write(lambda conn, task_id=task_id: task_table.finish(conn, task_id, "completed"))  # type: ignore[misc]
    for span, ids in (
        ((0, 1000), []),
        ((0, 1001), [1]),
        ((1999, 2001), [1, 3]),
        ((2000, 2500), [3]),
        ((3000, 9000), []),
    ):
        found = await counted_table.places(database, "local", "BTC/USDT", span)
        assert [place.id for place in found] == ids, span


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM counted_searches",
        "UPDATE counted_searches SET task_id = 'other'",
        "DELETE FROM counted_markets",
        "UPDATE counted_markets SET end_ms = 0",
        "DELETE FROM opened_searches",
        "UPDATE opened_searches SET at_id = 9",
        "DELETE FROM tasks",
    ],
)
def test_nothing_that_counts_is_removed_or_changed(tmp_path: Path, sql: str) -> None:
    async def main() -> None:
        database = await Database.open(tmp_path / "t.db")
        await database.write(lambda conn: add_point(conn, "a"))
        await database.write(lambda conn: task_table.set_running(conn, "a"))
        await database.write(lambda conn: task_table.finish(conn, "a", "completed"))
        await database.write(lambda conn: counted_table.open_for(conn, "bob", ["a"]))
        with pytest.raises(TunesmithError) as refused:
            await database.write(lambda conn: conn.execute(sql))
        assert isinstance(refused.value.__cause__, sqlite3.IntegrityError)
        assert await made(database, "a") == (1, 1)
        await database.close()

    asyncio.run(main())


@over_database
async def test_only_results_of_others_that_are_there_are_opened(database: Database) -> None:
    for task_id, user in (("ann's", "ann"), ("bob's", "bob"), ("unfinished", "ann")):
        await database.write(lambda conn, task_id=task_id, user=user: add_point(conn, task_id, user))  # type: ignore[misc]
    for task_id in ("ann's", "bob's"):
        await database.write(lambda conn, task_id=task_id: task_table.set_running(conn, task_id))  # type: ignore[misc]
        await database.write(lambda conn, task_id=task_id: task_table.finish(conn, task_id, "completed"))  # type: ignore[misc]
    await database.write(lambda conn: add_report(conn, "rp-1", task_id="ann's"))
    asked = ["rp-1", "bob's", "unfinished", "no such task"]
    assert await counted_table.unopened(database, "bob", asked) == ["ann's"]
    assert await database.write(lambda conn: counted_table.open_for(conn, "bob", asked)) == ["ann's"]
    await database.write(lambda conn: add_point(conn, "later"))
    assert await database.write(lambda conn: counted_table.open_for(conn, "bob", asked)) == []
    assert await counted_table.unopened(database, "bob", asked) == []
    assert await counted_table.openings(database, ["bob", "ann"]) == {("bob", 1): 3}


@over_database
async def test_null_vectors_are_kept_by_what_they_depend_on(database: Database) -> None:
    row = NullRow(counted_id=1, ground="here", n=99, v=b"v", places=b"p", links=None)
    longer = NullRow(counted_id=1, ground="here", n=999, v=b"w")
    other = NullRow(counted_id=1, ground="there", n=99, v=b"x")
    await database.write(lambda conn: null_vector_table.put(conn, [row, other]))
    assert await null_vector_table.get(database, [1, 2], "here") == {1: row}
    await database.write(lambda conn: null_vector_table.put(conn, [longer]))
    await database.write(lambda conn: null_vector_table.put(conn, [row]))
    assert await null_vector_table.get(database, [1], "here") == {1: longer}
    assert await database.write(lambda conn: null_vector_table.forget(conn, "2000-01-01T00:00:00.000Z")) == 0
    assert await database.write(lambda conn: null_vector_table.forget(conn, "2999-01-01T00:00:00.000Z", limit=1)) == 1
    assert await database.write(lambda conn: null_vector_table.forget(conn, "2999-01-01T00:00:00.000Z")) == 1
    assert await null_vector_table.get(database, [1], "there") == {}


def test_the_secret_of_the_draws_is_made_once_and_comes_back_with_a_backup(tmp_path: Path) -> None:
    path = tmp_path / "t.db"

    async def secret() -> bytes:
        database = await Database.open(path)
        found = await counted_table.draw_secret(database)
        await database.back_up("asked", lambda: False)
        await database.close()
        return found

    first, again = asyncio.run(secret()), asyncio.run(secret())
    assert len(first) == 32
    assert again == first
    [*_, backup] = backups.listing(tmp_path / "backups")
    path.unlink()
    restoring.restore(path, backup.path)
    assert asyncio.run(secret()) == first
    other = tmp_path / "other" / "t.db"
    path = other
    assert asyncio.run(secret()) != first
