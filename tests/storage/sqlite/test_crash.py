"""What the disk and the kernel do to the database: kill -9 in the middle of writing, a full disk, a read-only one."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tunesmith.storage.sqlite.database import Database
from tunesmith.storage.tables import outbox, task_table

WRITER = """
import asyncio, sys
from pathlib import Path
from tunesmith.storage.tables import outbox, task_table
from tunesmith.storage.tables.task_table import NewTaskRow
from tunesmith.storage.sqlite.database import Database

async def write(database, k):
    i = 0
    while True:
        name = f"{k}-{i}"
        async def both(conn):
            await task_table.create(conn, NewTaskRow(id=name, kind="x", user="u", client=None, request="{}"))
            await outbox.append(conn, f"task/{k}/done/", "task.completed", None, {"name": name})
        await database.write(both)
        print(name, flush=True)
        i += 1

async def main():
    database = await Database.open(Path(sys.argv[1]))
    await asyncio.gather(*(write(database, k) for k in range(8)))

asyncio.run(main())
"""

FULL = """
import asyncio, resource, sys
from pathlib import Path
from tunesmith.errors import Internal
from tunesmith.storage.tables import task_table
from tunesmith.storage.tables.task_table import NewTaskRow
from tunesmith.storage.sqlite.database import Database

async def main():
    database = await Database.open(Path(sys.argv[1]))
    async def add(name, size):
        await database.write(lambda conn: task_table.create(
            conn, NewTaskRow(id=name, kind="x", user="u", client=None, request="x" * size)))
    await add("before", 10)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, hard))
    results = await asyncio.gather(*(add(f"big{i}", 300_000) for i in range(4)), return_exceptions=True)
    assert results and all(isinstance(r, Internal) for r in results), results
    assert "disk" in results[0].message, results
    try:
        await add("small", 10)
        print("small", flush=True)
    except Internal:
        pass
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    await add("after", 300_000)
    print("after", flush=True)
    await database.close()

asyncio.run(main())
"""

READ_ONLY = """
import asyncio, os, sys
from pathlib import Path
from tunesmith.errors import Internal
from tunesmith.storage.sqlite.database import Database

if os.getuid() == 0:
    os.setgid(65534); os.setuid(65534)

async def main():
    try:
        await Database.open(Path(sys.argv[1]))
    except Internal as error:
        print(error.message)

asyncio.run(main())
"""


def python(code: str, *arguments: str) -> list[str]:
    return [sys.executable, "-W", "error", "-c", code, *arguments]


@pytest.mark.parametrize("n_acknowledged", [1, 40, 400])
def test_nothing_acknowledged_is_lost_by_kill_9(tmp_path: Path, n_acknowledged: int) -> None:
    path = tmp_path / "t.db"
    with subprocess.Popen(python(WRITER, str(path)), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        acknowledged = [process.stdout.readline().strip() for _ in range(n_acknowledged)]
        process.send_signal(signal.SIGKILL)
        acknowledged += process.stdout.read().split()
    assert process.returncode == -signal.SIGKILL

    async def look() -> None:
        database = await Database.open(path)
        stored = {row.id for row in await task_table.unfinished(database)}
        events = (await outbox.replay(database, 0, ["task/"], 10**6)).events
        assert set(acknowledged) <= stored
        assert len(events) == len(stored)  # each write whole: its task and its event, or neither
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
        assert await database.check() == []
        await database.write(lambda conn: outbox.append(conn, "task/0/done/", "task.completed", None, {}))
        assert database.head == len(events) + 1
        await database.close()

    asyncio.run(look())


def test_a_full_disk_refuses_clearly_and_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    result = subprocess.run(python(FULL, str(path)), capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    with sqlite3.connect(path) as conn:
        stored = {row[0] for row in conn.execute("SELECT id FROM tasks")}
    conn.close()
    assert stored == {"before", *result.stdout.split()}
    assert "after" in stored


def test_a_read_only_database_is_said() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        async def make() -> None:
            await (await Database.open(folder / "t.db")).close()

        asyncio.run(make())
        (folder / "t.db").chmod(0o444)
        (folder / "daemon.lock").chmod(0o666)
        folder.chmod(0o555)  # root may write there all the same, so the process becomes nobody
        result = subprocess.run(python(READ_ONLY, str(folder / "t.db")), capture_output=True, text=True, timeout=60)
        folder.chmod(0o755)
    assert "read-only" in result.stdout, result
