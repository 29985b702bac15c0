"""What becomes of a database whose files somebody removes, in use or between two starts: nothing in silence."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tunesmith.errors import Conflict
from tunesmith.storage.faults import Damaged
from tunesmith.storage.sqlite.database import Database
from tunesmith.storage.sqlite.own_files import OwnFiles


@pytest.mark.parametrize("then", ["a write", "a look"])
def test_a_log_that_was_removed_loses_nothing_that_was_answered(tmp_path: Path, then: str) -> None:
    path = tmp_path / "t.db"
    code = f"""
import asyncio, os, signal, sys
from pathlib import Path
from tunesmith.errors import Internal
from tunesmith.storage.sqlite.database import Database
from tunesmith.storage.sqlite.own_files import OwnFiles

async def main(path):
    database = await Database.open(path)
    async def put(i):
        await database.write(lambda conn: conn.execute("INSERT INTO meta VALUES (?, ?)", (f"row{{i}}", "x")))
    for i in range(10):
        await put(i)
    Path(f"{{path}}-wal").unlink()
    if {then!r} == "a write":
        await put(10)
    else:
        await database.look()
    print(database.damage, database.advice, sep="|")
    try:
        await put(11)
    except Internal as error:
        print(error.title, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main(Path(sys.argv[1])))
"""
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    said, refused = done.stdout.splitlines()
    lost = f"{path}-wal was removed while it was in use; nothing that was answered is lost"
    assert said == f"{lost}|stop the daemon and start it again"
    assert refused == "Database damaged"

    async def rows() -> int:
        database = await Database.open(path)
        [found] = await database.fetch_all("SELECT count(*) FROM meta WHERE key LIKE 'row%'")
        await database.close()
        return int(found[0])

    assert asyncio.run(rows()) == {"a write": 11, "a look": 10}[then]


def test_a_database_that_is_missed_is_not_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "t.db"

    async def opened() -> None:
        await (await Database.open(path)).close()

    asyncio.run(opened())
    path.unlink()
    with pytest.raises(Damaged, match="is gone, but what belongs to it is there"):
        asyncio.run(opened())
    assert not path.exists()
    for left in tmp_path.glob("t.db*"):
        left.unlink()
    asyncio.run(opened())


def test_a_lock_file_that_was_removed_lets_nobody_in(tmp_path: Path) -> None:
    async def main() -> None:
        database = await Database.open(tmp_path / "t.db")
        (tmp_path / "daemon.lock").unlink()
        with pytest.raises(Conflict, match="in use by another daemon"):
            await Database.open(tmp_path / "t.db")
        await database.close()
        await (await Database.open(tmp_path / "t.db")).close()

    asyncio.run(main())


def test_a_lost_log_that_cannot_be_brought_in_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    conn = sqlite3.connect(path)
    conn.execute("PRAGMA journal_mode = WAL")
    conn.execute("CREATE TABLE kept (n)")
    files = OwnFiles(path)
    assert files.secure(conn) is None
    path.with_name("t.db-wal").unlink()
    conn.close()
    with pytest.raises(Damaged, match="was removed while it was in use; restore a backup"):
        files.secure(conn)
