"""`tunesmith backup` and `tunesmith restore`, beside a running daemon and without one."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from cli.command import read, run, said
from tunesmith.cli.daemon import installation_checks
from tunesmith.config import Server, Settings
from tunesmith.storage.sqlite.database import Database


def test_beside_a_daemon_a_backup_is_made_and_a_restore_refused(folder: Path) -> None:
    made = read("backup", "--data-dir", folder)
    assert [one["file"] for one in read("backup", "--list", "--data-dir", folder)][-1] == made["file"]
    refused = run("restore", "--data-dir", folder)
    assert refused.returncode == 1
    assert "in use by another daemon" in said(refused)


def test_the_newest_sound_backup_comes_back_and_the_rest_is_kept(tmp_path: Path) -> None:
    async def make() -> str:
        database = await Database.open(tmp_path / "tunesmith.db")
        await database.back_up("asked", lambda: False)
        await database.back_up("asked", lambda: False)
        await database.close()
        return database.epoch

    epoch = asyncio.run(make())
    first, second = sorted((tmp_path / "backups").glob("*.db"))
    second.write_bytes(b"no backup any more")
    shutil.copy(second, tmp_path / "tunesmith.db")
    done = run("restore", "--data-dir", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "passed over" in done.stderr
    assert first.name in said(done).replace(" ", "")
    [kept] = tmp_path.glob("replaced-*")
    assert (kept / "tunesmith.db").read_bytes() == b"no backup any more"

    async def look() -> str:
        database = await Database.open(tmp_path / "tunesmith.db")
        await database.close()
        return database.epoch

    assert asyncio.run(look()) != epoch


def test_doctor_says_what_backups_there_are_and_that_a_database_is_gone(tmp_path: Path) -> None:
    settings = Settings(server=Server(data_dir=str(tmp_path)))
    assert installation_checks.check_backups(settings).verdict == "note"
    backups = tmp_path / "backups"
    backups.mkdir()
    (backups / "tunesmith-000001-20260101T000000Z-schedule.db").write_bytes(b"")
    assert installation_checks.check_backups(settings).verdict == "broken"
    found = installation_checks.check_database(tmp_path / "tunesmith.db", {}, backups)
    assert (found.verdict, "gone" in found.says) == ("broken", True)


@pytest.mark.parametrize(("doors", "verdict"), [({}, "note"), ({"http": "127.0.0.1:1"}, "broken")])
def test_doctor_asks_whether_the_daemon_is_ready(doors: dict[str, str], verdict: str) -> None:
    assert installation_checks.check_readiness(doors).verdict == verdict
