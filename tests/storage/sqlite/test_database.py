"""The database: one writer that commits in groups, readers beside it, and what it says when it cannot work."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
from pathlib import Path

import pytest

from storage.opened import add_task, over_database
from tunesmith.errors import Conflict, Draining, Internal, Invalid, NotFound
from tunesmith.storage.sqlite.connections import Appended, Connection
from tunesmith.storage.sqlite.database import Database
from tunesmith.storage.sqlite.group_writer import GROUP_WRITES
from tunesmith.storage.tables import outbox, task_table


async def count_tasks(database: Database) -> int:
    row = await database.fetch_one("SELECT count(*) FROM tasks")
    assert row is not None
    return int(row[0])


@over_database
async def test_an_answered_write_is_there_for_readers(database: Database) -> None:
    row = await database.write(lambda conn: add_task(conn, "t1"))
    assert await task_table.get(database, "t1") == row


@over_database
async def test_the_connections_have_the_settings_that_durability_needs(database: Database) -> None:
    async def pragmas(conn: Connection) -> list[object]:
        names = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        return [(await conn.fetch_all(f"PRAGMA {name}"))[0][0] for name in names]

    full = 2
    assert await database.write(pragmas) == ["wal", full, 1, 5000]
    with pytest.raises(Internal, match="read-only"):
        await database.fetch_all("DELETE FROM tasks")


@over_database
async def test_concurrent_writes_share_commits(database: Database) -> None:
    n = 2_000
    await asyncio.gather(*(database.write(lambda conn, i=i: add_task(conn, f"t{i}")) for i in range(n)))
    assert await count_tasks(database) == n
    assert database.counts.writes == n
    assert n / GROUP_WRITES <= database.counts.commits <= n / 20


@over_database
async def test_writes_one_after_the_other_each_have_their_commit(database: Database) -> None:
    for i in range(5):
        await database.write(lambda conn, i=i: add_task(conn, f"t{i}"))
    assert database.counts.commits == 5


@over_database
async def test_what_a_write_raises_undoes_it_alone(database: Database) -> None:
    async def half(conn: Connection) -> None:
        await add_task(conn, "half")
        raise Invalid("no")

    async def twice(conn: Connection) -> None:
        await add_task(conn, "a")

    results = await asyncio.gather(
        database.write(lambda conn: add_task(conn, "a")),
        database.write(half),
        database.write(twice),
        database.write(lambda conn: add_task(conn, "b")),
        return_exceptions=True,
    )
    assert isinstance(results[1], Invalid)
    assert isinstance(results[2], Internal)
    assert isinstance(results[2].__cause__, sqlite3.IntegrityError)
    assert database.counts.commits == 1
    assert [row.id for row in await task_table.unfinished(database)] == ["a", "b"]


@over_database
async def test_writes_happen_in_the_order_in_which_they_were_asked_for(database: Database) -> None:
    order: list[int] = []

    async def write(conn: Connection, i: int) -> None:
        order.append(i)

    await asyncio.gather(*(database.write(lambda conn, i=i: write(conn, i)) for i in range(1000)))
    assert order == list(range(1000))


@over_database
async def test_a_cancelled_caller_does_not_break_the_group(database: Database) -> None:
    begun, go_on = threading.Event(), threading.Event()

    async def slow(conn: Connection) -> str:
        begun.set()
        assert go_on.wait(10)
        await add_task(conn, "slow")
        return "slow"

    first = asyncio.create_task(database.write(slow))
    await asyncio.to_thread(begun.wait, 10)
    waiting = [asyncio.create_task(database.write(lambda conn, i=i: add_task(conn, f"w{i}"))) for i in range(3)]
    await asyncio.sleep(0)
    first.cancel()
    waiting[1].cancel()
    go_on.set()
    results = await asyncio.gather(first, *waiting, return_exceptions=True)
    assert [isinstance(result, asyncio.CancelledError) for result in results] == [True, False, True, False]
    ids = {row.id for row in await task_table.unfinished(database)}
    assert ids == {"slow", "w0", "w2"}  # what had begun goes on, what had not is taken back


@over_database
async def test_a_write_that_awaits_something_else_is_refused_and_undone(database: Database) -> None:
    async def sleepy(conn: Connection) -> None:
        await add_task(conn, "t1")
        future: asyncio.Future[None] = database_loop.create_future()
        await future

    database_loop = asyncio.get_running_loop()
    with pytest.raises(Internal, match="awaited something other"):
        await database.write(sleepy)
    assert await count_tasks(database) == 0


@over_database
async def test_a_cancellation_raised_within_a_write_is_its_own(database: Database) -> None:
    async def cancelled(conn: Connection) -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await database.write(cancelled)
    await database.write(lambda conn: add_task(conn, "t1"))
    assert await count_tasks(database) == 1


@over_database
async def test_a_reader_sees_one_state_while_writes_go_on(database: Database) -> None:
    async with database.reader() as conn:
        before = await conn.fetch_one("SELECT count(*) FROM tasks")
        await database.write(lambda conn: add_task(conn, "t1"))
        after = await conn.fetch_one("SELECT count(*) FROM tasks")
        assert before is not None
        assert after is not None
        assert (before[0], after[0]) == (0, 0)
    assert await count_tasks(database) == 1


@over_database
async def test_more_readers_than_connections_take_turns(database: Database) -> None:
    counts = await asyncio.gather(*(count_tasks(database) for _ in range(50)))
    assert counts == [0] * 50


@over_database
async def test_a_cancelled_reader_gives_its_connection_back(database: Database) -> None:
    async def hold() -> None:
        async with database.reader() as conn:
            await conn.fetch_all("SELECT 1")
            await asyncio.Event().wait()

    held = [asyncio.create_task(hold()) for _ in range(3)]
    await asyncio.sleep(0.01)
    for task in held:
        task.cancel()
    await asyncio.gather(*held, return_exceptions=True)
    await database.write(lambda conn: add_task(conn, "t1"))
    assert await asyncio.gather(*(count_tasks(database) for _ in range(6))) == [1] * 6


@over_database
async def test_listeners_are_handed_what_a_commit_appended_and_no_more(database: Database) -> None:
    heard: list[list[Appended]] = []

    async def fail(conn: Connection) -> None:
        await outbox.append(conn, "x/", "x", None, {})
        raise NotFound("undone, and its event with it")

    database.on_commit(heard.append)
    await database.write(lambda conn: add_task(conn, "t1"))
    append = [database.write(lambda conn: outbox.append(conn, "x/", "x", None, {})) for _ in range(7)]
    *made, failed = await asyncio.gather(*append, database.write(fail), return_exceptions=True)
    await asyncio.sleep(0)
    assert isinstance(failed, NotFound)
    assert heard == [made]
    assert [event.seq for event in heard[0]] == [1, 2, 3, 4, 5, 6, 7]
    stored = await outbox.unpublished(database)
    assert [(row.seq, row.topic, row.frame, row.signature) for row in stored] == heard[0]
    assert database.head == 7


@over_database
async def test_a_full_disk_fails_the_write_and_the_writer_goes_on(database: Database) -> None:
    async def limit(conn: Connection, pages: int) -> None:
        await conn.fetch_all(f"PRAGMA max_page_count = {pages}")

    async def fill(conn: Connection) -> None:
        await add_task(conn, "big", request="x" * 10_000_000)

    await database.write(lambda conn: limit(conn, 1))  # SQLite takes it as: what there is
    with pytest.raises(Internal, match="disk is full"):
        await database.write(fill)
    await database.write(lambda conn: limit(conn, 1_000_000))
    await database.write(lambda conn: add_task(conn, "small"))
    assert [row.id for row in await task_table.unfinished(database)] == ["small"]
    assert await database.check() == []


def test_closing_finishes_what_is_queued_and_refuses_what_comes_later(tmp_path: Path) -> None:
    async def main() -> None:
        database = await Database.open(tmp_path / "t.db")
        writes = [asyncio.create_task(database.write(lambda conn, i=i: add_task(conn, f"t{i}"))) for i in range(500)]
        await asyncio.sleep(0)
        await database.close()
        await database.close()
        assert len(await asyncio.gather(*writes)) == 500
        with pytest.raises(Draining):
            await database.write(lambda conn: add_task(conn, "late"))
        with pytest.raises(Draining):
            await database.fetch_all("SELECT 1")
        again = await Database.open(tmp_path / "t.db")
        assert await count_tasks(again) == 500
        await again.close()

    asyncio.run(main())
    assert [t for t in threading.enumerate() if "connection_worker" in t.name] == []


def test_the_epoch_stays_the_database_s_and_the_head_is_remembered(tmp_path: Path) -> None:
    async def once(name: str) -> tuple[str, int]:
        database = await Database.open(tmp_path / name)
        await database.write(lambda conn: outbox.append(conn, "x/", "x", None, {}))
        await database.close()
        return database.epoch, database.head

    first, second = asyncio.run(once("t.db")), asyncio.run(once("t.db"))
    assert (first[0], first[1] + 1) == second
    assert asyncio.run(once("other.db"))[0] != first[0]


def test_two_daemons_never_share_a_data_directory(tmp_path: Path) -> None:
    async def main() -> None:
        first = await Database.open(tmp_path / "t.db")
        with pytest.raises(Conflict, match=f"in use by another daemon .process {os.getpid()}"):
            await Database.open(tmp_path / "t.db")
        await first.close()
        second = await Database.open(tmp_path / "t.db")
        await second.close()

    asyncio.run(main())


def open_and_fail(path: Path) -> Exception:
    """The error with which opening fails; the lock must be free again."""

    async def main() -> Exception:
        errors = []
        for _ in range(2):
            try:
                await (await Database.open(path)).close()
            except (Conflict, Internal) as error:
                errors.append(error)
        first, second = errors
        assert first.message == second.message
        return first

    return asyncio.run(main())


def test_a_database_of_a_newer_program_is_refused(tmp_path: Path) -> None:
    asyncio.run(_make(tmp_path / "t.db"))
    with sqlite3.connect(tmp_path / "t.db") as conn:
        conn.execute("PRAGMA user_version = 9999")
    conn.close()
    error = open_and_fail(tmp_path / "t.db")
    assert isinstance(error, Conflict)
    assert "a newer program wrote it" in str(error)


def test_another_program_s_database_is_refused(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "t.db") as conn:
        conn.execute("CREATE TABLE theirs (a)")
    conn.close()
    assert "another program" in str(open_and_fail(tmp_path / "t.db"))


def test_a_file_that_is_no_database_is_said(tmp_path: Path) -> None:
    (tmp_path / "t.db").write_bytes(b"not a database at all" * 1000)
    error = open_and_fail(tmp_path / "t.db")
    assert isinstance(error, Internal)
    assert "restore a backup" in str(error)
    assert "t.db" in str(error)


def test_a_damaged_page_is_found_when_opening(tmp_path: Path) -> None:
    async def fill() -> None:
        database = await Database.open(tmp_path / "t.db")
        for i in range(200):
            await database.write(lambda conn, i=i: add_task(conn, f"t{i}", request="x" * 500))
        await database.close()

    asyncio.run(fill())
    content = bytearray((tmp_path / "t.db").read_bytes())
    middle = len(content) // 8192 * 4096
    content[middle : middle + 4096 * 8] = os.urandom(4096 * 8)
    (tmp_path / "t.db").write_bytes(content)
    assert "damaged" in str(open_and_fail(tmp_path / "t.db"))


def test_a_directory_in_the_file_s_place_is_said(tmp_path: Path) -> None:
    (tmp_path / "t.db").mkdir()
    assert "cannot be opened" in str(open_and_fail(tmp_path / "t.db"))


def test_a_file_in_the_directory_s_place_is_said(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    assert "cannot be used" in str(open_and_fail(tmp_path / "data" / "t.db"))


async def _make(path: Path) -> None:
    await (await Database.open(path)).close()


def test_a_query_that_nobody_waits_for_any_more_stops(tmp_path: Path) -> None:
    endless = "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"

    async def main() -> None:
        database = await Database.open(tmp_path / "t.db", n_readers=1)

        async def in_a_transaction() -> None:
            async with database.reader() as reader:
                await reader.fetch_all(endless)

        for ask in (lambda: database.fetch_all(endless), in_a_transaction) * 2:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(ask(), 0.05)
            [row] = await asyncio.wait_for(database.fetch_all("SELECT 1"), 30.0)
            assert row[0] == 1
        await database.close()

    asyncio.run(main())
