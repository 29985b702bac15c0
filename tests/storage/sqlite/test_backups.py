"""Backups: made beside the work, checked, rotated; and the way back to one."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
from collections import namedtuple
from contextlib import closing
from pathlib import Path

import pytest

from storage.opened import add_package, add_task, over_database
from tunesmith.errors import Conflict, Internal
from tunesmith.storage.faults import Damaged, DiskRefused
from tunesmith.storage.sqlite import backups, restoring
from tunesmith.storage.sqlite.connections import Connection
from tunesmith.storage.sqlite.database import Database
from tunesmith.storage.tables import outbox, task_table


def make_database(path: Path, *task_ids: str) -> str:
    """A closed database with tasks and a package; its epoch."""

    async def main() -> str:
        database = await Database.open(path)
        for task_id in task_ids:
            await database.write(lambda conn, task_id=task_id: add_task(conn, task_id, request="x" * 2_000))  # type: ignore[misc]
        await database.write(lambda conn: add_package(conn, "p1"))
        await database.close()
        return database.epoch

    return asyncio.run(main())


def in_database(path: Path) -> tuple[set[str], str]:
    """Ids of the tasks and the epoch, as a daemon sees them."""

    async def main() -> tuple[set[str], str]:
        database = await Database.open(path)
        found = {row.id for row in await task_table.unfinished(database)}
        await database.close()
        return found, database.epoch

    return asyncio.run(main())


def spoil(path: Path) -> None:
    """Random bytes over the middle of a file."""
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 8192 * 4096)
        file.write(os.urandom(4096 * 8))


@over_database
async def test_a_backup_is_one_state_made_while_writes_go_on(database: Database) -> None:
    async def both(conn: Connection, i: int) -> None:
        await add_task(conn, f"t{i}", request="x" * 3_000)
        await outbox.append(conn, "x/", "x", None, {})

    async def write_on() -> None:
        i = 0
        while not done.is_set():
            await database.write(lambda conn, i=i: both(conn, i))  # type: ignore[misc]
            i += 1

    done = asyncio.Event()
    writing = asyncio.create_task(write_on())
    while database.head < 20:
        await asyncio.sleep(0)
    before = database.head
    made = await database.back_up("schedule", lambda: False)
    done.set()
    await writing
    with closing(sqlite3.connect(made.path)) as conn:
        n_tasks = conn.execute("SELECT count(*) FROM tasks").fetchone()[0]
        n_events = conn.execute("SELECT count(*) FROM events").fetchone()[0]
        assert conn.execute("PRAGMA journal_mode").fetchone()[0] == "delete"
    assert before <= n_tasks == n_events <= database.head
    assert [path.name for path in made.path.parent.iterdir() if path.suffix != ".db"] == [".lock"]


def test_old_backups_of_a_kind_go_and_numbers_count_up(tmp_path: Path) -> None:
    make_database(tmp_path / "t.db")
    folder = tmp_path / "kept"
    backups.make(tmp_path / "t.db", folder, "upgrade", keep=2)
    (folder / f".{'0' * 32}.tmp").write_text("what a crash left")
    for _ in range(4):
        backups.make(tmp_path / "t.db", folder, "schedule", keep=2)
    assert [(one.number, one.why) for one in backups.listing(folder)] == [
        (1, "upgrade"),
        (4, "schedule"),
        (5, "schedule"),
    ]
    assert list(folder.glob("*.tmp")) == []
    assert backups.listing(tmp_path / "nowhere") == []


def test_a_backup_leaves_room_for_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_database(tmp_path / "t.db")
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(backups.shutil, "disk_usage", lambda path: usage(10**9, 10**9 - 1000, 1000))
    with pytest.raises(DiskRefused, match="does not fit"):
        backups.make(tmp_path / "t.db", tmp_path / "kept", "asked", keep=2)


def test_a_damaged_database_makes_no_backup_and_a_stopped_one_leaves_nothing(tmp_path: Path) -> None:
    make_database(tmp_path / "t.db", *(f"t{i}" for i in range(60)))
    with pytest.raises(Internal, match="given up"):
        backups.make(tmp_path / "t.db", tmp_path / "kept", "asked", keep=2, stopped=lambda: True)
    spoil(tmp_path / "t.db")
    with pytest.raises(Damaged, match="damaged"):
        backups.make(tmp_path / "t.db", tmp_path / "kept", "asked", keep=2)
    assert [path.name for path in (tmp_path / "kept").iterdir()] == [".lock"]


@pytest.mark.parametrize("loss", ["garbage", "truncated", "emptied", "no database", "gone"])
def test_what_is_lost_is_never_made_anew_and_comes_back_from_a_backup(tmp_path: Path, loss: str) -> None:
    path = tmp_path / "t.db"
    epoch = make_database(path, *(f"t{i}" for i in range(60)))
    made = backups.make(path, tmp_path / "backups", "asked", keep=2)
    size = path.stat().st_size
    if loss == "garbage":
        spoil(path)
    elif loss == "truncated":
        os.truncate(path, size // 8192 * 4096)
    elif loss == "emptied":
        os.truncate(path, 0)
    elif loss == "no database":
        path.write_bytes(b"something else altogether" * 1000)
    else:
        path.unlink()
    left = path.read_bytes() if path.exists() else None
    for _ in range(2):
        with pytest.raises(Damaged, match="restore"):
            in_database(path)
    assert (path.read_bytes() if path.exists() else None) == left

    done = restoring.restore(path, made.path)
    assert (done.replaced is None) == (loss == "gone")
    if done.replaced is not None:
        assert (done.replaced / "t.db").read_bytes() == left
    found, new_epoch = in_database(path)
    assert found == {f"t{i}" for i in range(60)}
    assert new_epoch == done.epoch != epoch


def test_a_restore_takes_no_unsound_backup_and_waits_for_nobody(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    make_database(path, *(f"t{i}" for i in range(60)))
    made = backups.make(path, tmp_path / "backups", "asked", keep=2)
    before = path.read_bytes()

    async def while_in_use() -> None:
        database = await Database.open(path)
        try:
            with pytest.raises(Conflict, match="in use"):
                restoring.restore(path, made.path)
        finally:
            await database.close()

    asyncio.run(while_in_use())
    before = path.read_bytes()
    spoil(made.path)
    for wrong, kind in ((made.path, Damaged), (tmp_path / "absent.db", Internal)):
        with pytest.raises(kind):
            restoring.restore(path, wrong)
    with sqlite3.connect(tmp_path / "theirs.db") as conn:
        conn.execute("CREATE TABLE theirs (a)")
    conn.close()
    with pytest.raises(Conflict, match="no database of Tunesmith"):
        restoring.restore(path, tmp_path / "theirs.db")
    assert path.read_bytes() == before
    assert not (tmp_path / restoring.MARKER).exists()


@pytest.mark.parametrize("moved", [False, True])
def test_a_restore_that_is_cut_short_is_said_until_it_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moved: bool
) -> None:
    path = tmp_path / "t.db"
    make_database(path, "t1")
    made = backups.make(path, tmp_path / "backups", "asked", keep=2)

    set_aside = restoring._set_aside

    def cut(database: Path) -> Path | None:
        if moved:
            set_aside(database)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(restoring, "_set_aside", cut)
        with pytest.raises(KeyboardInterrupt):
            restoring.restore(path, made.path)
    with pytest.raises(Damaged, match="cut short"):
        in_database(path)
    restoring.restore(path, made.path)
    assert in_database(path)[0] == {"t1"}


def test_after_a_restore_the_newest_package_events_are_told_in_the_new_epoch(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    make_database(path)
    made = backups.make(path, tmp_path / "backups", "asked", keep=2)
    done = restoring.restore(path, made.path)

    async def main() -> None:
        database = await Database.open(path)
        assert await outbox.unpublished(database) == []
        assert await database.write(outbox.tell_again) == 1
        assert await database.write(outbox.tell_again) == 0
        [told] = await outbox.unpublished(database)
        assert (told.seq, told.prev, told.type) == (done.head + 1, done.head, "package.approved")
        assert f'"epoch":"{done.epoch}"' in told.event
        await database.close()

    asyncio.run(main())


def test_damage_is_noticed_under_the_daemon_and_nothing_more_is_written(tmp_path: Path) -> None:
    path = tmp_path / "t.db"

    async def main(harm: str) -> str:
        database = await Database.open(path)
        for i in range(100):
            await database.write(lambda conn, i=i: add_task(conn, f"{harm}{i}", request="x" * 2_000))  # type: ignore[misc]
        with closing(sqlite3.connect(path)) as conn:
            conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        await database.look()
        assert database.damage is None
        if harm == "truncated":
            os.truncate(path, path.stat().st_size // 2)
            assert await database.look()
            with contextlib.suppress(Damaged):
                await database.check()
        elif harm == "garbage":
            spoil(path)
            with pytest.raises(Damaged):
                await database.back_up("schedule", lambda: False)
        else:
            path.rename(path.with_suffix(".moved"))
            await database.look()
        with pytest.raises(Damaged):
            await database.write(lambda conn: add_task(conn, "late"))
        await database.fetch_one("SELECT 1")
        await database.close()
        return str(database.damage)

    for harm, says in (("truncated", "is damaged"), ("garbage", "is damaged"), ("moved", "is gone")):
        for left in tmp_path.glob("t.*"):
            left.unlink()
        assert says in asyncio.run(main(harm))
