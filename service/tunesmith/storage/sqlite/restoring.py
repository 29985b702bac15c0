"""Putting a backup in the database's place, with the daemon stopped.

1. The backup is copied beside the database, checked, and given a new epoch: bots see that the database is another one.
2. A marker is written. From here on the daemon refuses to start, until a restore has come to its end.
3. What stood there moves into a folder of its own, with its -wal, so that it can still be looked at.
4. The copy takes the place; the marker goes.
5. At its start the daemon tells the newest event of each package topic again, in the new epoch.
"""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

from tunesmith.protocol.private_files import PRIVATE_FOLDER
from tunesmith.storage.atomic_files import make_folder, sync, write_content, write_file
from tunesmith.storage.faults import Damaged, fault, file_fault
from tunesmith.storage.file_lock import DirectoryLock
from tunesmith.storage.sqlite import backups
from tunesmith.storage.timestamps import now

MARKER = "restore.unfinished"
"""In the data directory between the steps of a restore."""
RESTORED = "restored_at"
"""In the table `meta` until the daemon has told the newest package events again (`outbox.tell_again`)."""


class Restored(NamedTuple):
    """What was done: the backup taken, where the replaced files are (None: there were none), and what it holds."""

    backup: Path
    replaced: Path | None
    schema: int
    epoch: str
    head: int


def restore(database: Path, backup: Path) -> Restored:
    """Puts a copy of `backup` in the place of `database`, which may be damaged or gone.

    Raises `Conflict` while a daemon uses it, and as `backups.examine` does for a backup that is not sound; until then
    nothing has changed.
    """
    try:
        make_folder(database.parent)
        lock = DirectoryLock(database.with_name("daemon.lock"))
        try:
            facts = backups.examine(backup)
            epoch = str(uuid4())
            draft = database.with_name(f"{database.name}.restored")
            write_file(draft, lambda path: _renewed(backup, path, epoch))
            marker = database.with_name(MARKER)
            write_content(marker, str(backup).encode())
            replaced = _set_aside(database)
            draft.replace(database)
            marker.unlink()
            sync(database.parent)
        finally:
            lock.release()
    except sqlite3.Error as error:
        raise fault(error) from error
    except OSError as error:
        raise file_fault(error, f"the restored database in {database.parent}") from error
    return Restored(backup, replaced, facts.schema, epoch, facts.head)


def refuse_unfinished(database: Path) -> None:
    """Raises `Damaged` where a restore was cut short."""
    if database.with_name(MARKER).exists():
        raise Damaged(f"a restore in {database.parent} was cut short; run `tunesmith restore` again")


def _renewed(backup: Path, draft: Path, epoch: str) -> None:
    """A copy of the backup with another epoch. Its events stay as they were signed, and are not sent again as new."""
    backups.copy(backup, draft)
    with closing(sqlite3.connect(draft, isolation_level=None)) as conn:
        conn.execute("PRAGMA journal_mode = MEMORY")
        conn.execute("BEGIN")
        conn.execute("UPDATE meta SET value = ? WHERE key = 'epoch'", (epoch,))
        conn.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (RESTORED, now()))
        conn.execute("UPDATE events SET published_at = ? WHERE published_at IS NULL", (now(),))
        conn.execute("COMMIT")
        backups.check(conn, draft)


def _set_aside(database: Path) -> Path | None:
    wal = database.with_name(f"{database.name}-wal")
    if wal.exists() and not wal.stat().st_size:
        wal.unlink()
    there = [path for path in (wal, database) if path.exists()]
    database.with_name(f"{database.name}-shm").unlink(missing_ok=True)
    if not there:
        return None
    stem = database.with_name(f"replaced-{re.sub(r'[-:]|[.].*', '', now())}")
    folder = next(path for path in (stem, *(stem.with_name(f"{stem.name}-{i}") for i in range(2, 100))) if _made(path))
    for path in there:
        path.replace(folder / path.name)
    sync(folder)
    return folder


def _made(folder: Path) -> bool:
    try:
        folder.mkdir(mode=PRIVATE_FOLDER)
    except FileExistsError:
        return False
    return True
