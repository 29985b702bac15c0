"""A newer program over an older database: backed up first, migrated whole or not at all, an even newer one refused."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from storage.released import PACKAGE_ID, RELEASED, make_released
from tunesmith.errors import Internal
from tunesmith.storage.faults import DiskRefused, WrongVersion
from tunesmith.storage.sqlite import backups, migrating, restoring
from tunesmith.storage.sqlite.database import Database
from tunesmith.storage.tables import outbox, package_table, schedule_table, task_table


def version(path: Path) -> int:
    with closing(sqlite3.connect(path)) as conn:
        return int(conn.execute("PRAGMA user_version").fetchone()[0])


def open_and_close(path: Path) -> None:
    async def main() -> None:
        await (await Database.open(path)).close()

    asyncio.run(main())


def test_a_released_database_is_backed_up_and_migrated_with_all_that_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    make_released(path)

    async def main() -> None:
        database = await Database.open(path)
        package = await package_table.get(database, PACKAGE_ID)
        assert package is not None
        assert package.state() == "in_force"
        assert [row.id for row in await task_table.unfinished(database)] == ["opt_unfinished"]
        [schedule] = await schedule_table.listing(database)
        assert (schedule.id, schedule.every) == ("nightly", "1d")
        missed = await outbox.replay(database, 0, ["pkg/", "task/"])
        assert [row.seq for row in missed.events] == [1, 2] == list(range(1, database.head + 1))
        assert [json.loads(row.event)["seq"] for row in missed.events] == [1, 2]
        assert database.epoch == "released-epoch"
        assert await database.check() == []
        await database.close()

    asyncio.run(main())
    assert version(path) == len(migrating.migrations()) > RELEASED
    [made] = backups.listing(tmp_path / "backups")
    assert (made.why, version(made.path)) == ("upgrade", RELEASED)
    open_and_close(path)
    assert len(backups.listing(tmp_path / "backups")) == 1


def test_a_migration_that_fails_leaves_the_old_program_its_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "t.db"
    make_released(path)
    steps = migrating.migrations()
    broken = [*steps, (len(steps) + 1, "CREATE TABLE half (a);\nINSERT INTO nowhere VALUES (1);\n")]
    with monkeypatch.context() as patch:
        patch.setattr(migrating, "migrations", lambda: broken)
        with pytest.raises(Internal, match="It is as it was: the program that wrote it can go on with it"):
            open_and_close(path)
    assert version(path) == RELEASED
    with monkeypatch.context() as patch:  # the program that wrote it
        patch.setattr(migrating, "migrations", lambda: steps[:RELEASED])
        open_and_close(path)
    open_and_close(path)
    assert version(path) == len(steps)


def test_without_room_for_the_backup_nothing_is_migrated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "t.db"
    make_released(path)
    with monkeypatch.context() as patch:
        patch.setattr(backups, "RESERVE_BYTES", 2**60)
        with pytest.raises(DiskRefused, match="does not fit"):
            open_and_close(path)
    assert version(path) == RELEASED


def test_the_way_back_to_the_older_program_is_the_backup_before_the_upgrade(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    make_released(path)
    open_and_close(path)
    [made] = backups.listing(tmp_path / "backups")
    restoring.restore(path, made.path)
    assert version(path) == RELEASED


def test_a_newer_programs_database_is_refused_and_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    open_and_close(path)
    with closing(sqlite3.connect(path)) as conn:
        conn.execute("PRAGMA user_version = 9999")
        conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    before = path.read_bytes()
    with pytest.raises(WrongVersion, match="a newer program wrote it; use that one, or restore the backup"):
        open_and_close(path)
    assert path.read_bytes() == before
    assert backups.listing(tmp_path / "backups") == []
