"""What the daemon watches beside its work: backups come when they are due, and a clock that is set is made up for."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from tunesmith.config import Backups, Server, Settings
from tunesmith.errors import Internal
from tunesmith.services.daemon import upkeep
from tunesmith.services.daemon.daemon_health import condition
from tunesmith.services.runtime.context import Context
from tunesmith.services.runtime.incidents import Noticed
from tunesmith.services.schedules import schedule_requests as scheduling
from tunesmith.storage.sqlite import backups
from tunesmith.storage.sqlite.database import Database
from tunesmith.storage.sqlite.opening import BackupPolicy
from tunesmith.storage.tables import schedule_table
from tunesmith.storage.tables.schedule_table import ScheduleRow
from tunesmith.storage.timestamps import milliseconds

NOW = "2026-01-10T10:00:00.000Z"
HOUR_S = 3600.0
SCHEDULE = ScheduleRow(id="s", user="ann", every="1d", cron=None, search={}, next_at=NOW, created_at=NOW)


def over(folder: Path, scene: Callable[[Context], Awaitable[None]], **of_backups: float) -> None:
    """The scene over a fresh database with these settings of backups."""
    settings = Settings(server=Server(data_dir=str(folder)), backups=Backups(**of_backups))  # type: ignore[arg-type]

    async def no_trouble() -> None:
        return None

    async def main() -> None:
        database = await Database.open(folder / "tunesmith.db", keeping=BackupPolicy(settings.backups_dir, 2))
        parts = SimpleNamespace(
            settings=settings,
            database=database,
            noticed=Noticed(),
            executor=SimpleNamespace(stats=lambda: SimpleNamespace(alive=1, ready=1, busy=0, queued=0, able=True)),
            cache=SimpleNamespace(trouble=no_trouble),
            tasks=SimpleNamespace(jobs={}),
            started=0.0,
        )
        try:
            await scene(cast(Context, parts))
        finally:
            await database.close()

    asyncio.run(main())


def test_a_backup_comes_when_it_is_due_whatever_the_clock_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elapsed = [0.0]
    monkeypatch.setattr(upkeep, "elapsed_s", lambda: elapsed[0])

    async def scene(context: Context) -> None:
        async def newest(at_s: float) -> int:
            elapsed[0] = at_s
            await upkeep.back_up_when_due(context)
            there = backups.listing(context.settings.backups_dir)
            assert len(there) <= 2
            return there[-1].number if there else 0

        assert [await newest(at_s) for at_s in (0.0, 5 * HOUR_S, 30 * HOUR_S)] == [0, 0, 0], "there is nothing to keep"
        await context.database.write(lambda conn: schedule_table.put(conn, SCHEDULE))
        start = 31 * HOUR_S
        assert [await newest(start + at_s) for at_s in (0.0, 59.0, 61.0)] == [0, 0, 1]
        context.noticed.backup_due = None  # the daemon starts again: the newest backup is young
        assert [await newest(start + at_h * HOUR_S) for at_h in (0.1, 1.0, 1.2)] == [1, 1, 2]
        context.noticed.backup_due = None
        assert [await newest(start + at_h * HOUR_S) for at_h in (1.3, 25.2, 25.4, 49.5)] == [2, 2, 3, 4]

    over(tmp_path, scene)


def test_a_backup_that_fails_is_told_until_one_succeeds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(context: Context) -> None:
        context.noticed.backup_due = 0.0
        with monkeypatch.context() as patch:
            patch.setattr(backups, "RESERVE_BYTES", 2**60)
            await upkeep.back_up_when_due(context)
        found = await condition(context, {}, draining=False)
        assert found.reasons == ()
        assert "the last backup failed: a backup of" in found.degraded[0]
        context.noticed.backup_due = 0.0
        await upkeep.back_up_when_due(context)
        assert (await condition(context, {}, draining=False)).degraded == ()

    over(tmp_path, scene)


def test_it_is_not_ready_before_a_worker_of_each_kind_has_come_up(tmp_path: Path) -> None:
    async def scene(context: Context) -> None:
        stats = context.executor.stats()
        stats.able = False  # type: ignore[misc]
        context.executor.stats = lambda: stats  # type: ignore[method-assign]
        stats.last_failure = None  # type: ignore[misc]
        [reason] = (await condition(context, {}, draining=False)).reasons
        assert reason == "no worker is ready yet: they are being started"
        stats.able = True  # type: ignore[misc]
        assert (await condition(context, {}, draining=False)).reasons == ()

    over(tmp_path, scene)


def test_without_an_interval_there_is_no_backup(tmp_path: Path) -> None:
    async def scene(context: Context) -> None:
        context.noticed.backup_due = 0.0
        await upkeep.back_up_when_due(context)
        assert backups.listing(context.settings.backups_dir) == []

    over(tmp_path, scene, every_h=0.0)


def test_a_disk_that_turns_read_only_is_noticed_though_nobody_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elapsed = [1000.0]
    monkeypatch.setattr(upkeep, "elapsed_s", lambda: elapsed[0])

    async def scene(context: Context) -> None:
        database = context.database

        async def n_written(at_s: float) -> int:
            elapsed[0] = 1000.0 + at_s
            before = database.counts.writes
            await upkeep.watch_disk(context)
            return database.counts.writes - before

        await database.try_to_write()
        assert [await n_written(at_s) for at_s in (0.0, 9.0, 10.0, 11.0, 20.0, 22.0)] == [0, 0, 1, 0, 0, 1]
        await database._connections[0].run(lambda conn: conn.execute("PRAGMA query_only = ON"))
        assert await n_written(24.0) == 0
        assert (await condition(context, {}, draining=False)).reasons == ()
        with pytest.raises(Internal):
            await n_written(40.0)
        [reason] = (await condition(context, {}, draining=False)).reasons
        assert "the database takes no writes: the database is read-only" in reason
        await database._connections[0].run(lambda conn: conn.execute("PRAGMA query_only = OFF"))
        assert await n_written(41.0) == 1
        assert (await condition(context, {}, draining=False)).reasons == ()

    over(tmp_path, scene)


def test_a_vacuum_is_no_damage(tmp_path: Path) -> None:
    async def scene(context: Context) -> None:
        path = context.database.path
        with closing(sqlite3.connect(path, isolation_level=None)) as conn:
            conn.execute("CREATE TABLE large AS SELECT randomblob(200000) AS a")
            conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            await upkeep.watch_disk(context)
            before = path.stat().st_size
            conn.execute("DROP TABLE large")
            conn.execute("VACUUM")
            conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        assert path.stat().st_size < before
        await upkeep.watch_disk(context)
        assert context.database.damage is None

    over(tmp_path, scene)


def test_damage_is_a_reason_not_to_be_ready_and_says_what_to_do(tmp_path: Path) -> None:
    async def scene(context: Context) -> None:
        await upkeep.watch_disk(context)
        assert (await condition(context, {}, draining=False)).reasons == ()
        os.truncate(context.database.path, 4096)
        await upkeep.watch_disk(context)
        [reason] = (await condition(context, {}, draining=False)).reasons
        assert "is damaged" in reason
        assert "run `tunesmith restore`" in reason

    over(tmp_path, scene)


@pytest.mark.parametrize(
    ("every", "cron", "next_at", "then"),
    [
        ("1d", None, "2026-01-11T09:00:00.000Z", "2026-01-11T09:00:00.000Z"),  # as it should be
        ("1d", None, "2026-01-11T11:00:00.000Z", "2026-01-11T10:00:00.000Z"),  # set back by more than an hour
        (None, "0 0 * * *", "2026-01-11T00:00:00.000Z", "2026-01-11T00:00:00.000Z"),
        (None, "0 0 * * *", "2026-01-12T00:00:00.000Z", "2026-01-12T00:00:00.000Z"),  # a day: midnight has been run
        (None, "0 0 * * *", "2026-01-18T00:00:00.000Z", "2026-01-11T00:00:00.000Z"),  # a week: it is not waited for
    ],
)
def test_a_clock_that_was_set_back_does_not_silence_schedules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, every: str | None, cron: str | None, next_at: str, then: str
) -> None:
    monkeypatch.setattr(scheduling, "_now_ms", lambda: milliseconds(NOW))
    row = ScheduleRow(id="s", user="ann", every=every, cron=cron, search={}, next_at=next_at, created_at=NOW)

    async def scene(context: Context) -> None:
        await context.database.write(lambda conn: schedule_table.put(conn, row))
        assert await scheduling.set_straight(context) == (next_at != then)
        [found] = await schedule_table.listing(context.database)
        assert found.next_at == then

    over(tmp_path, scene)
