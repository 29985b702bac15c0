"""Backups: whole copies of the database in files of their own, made while it is in use.

    <folder>/tunesmith-<number>-<time>-<why>.db

The copy is made with SQLite's backup API from one state of the database, whatever is written meanwhile; it is checked,
synced and only then given its name, so what has a name is sound. Numbers count up, so that order and rotation do not
depend on the clock. The market data's files are not in it: they can be imported or downloaded again.
"""

from __future__ import annotations

import re
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

from tunesmith.errors import Conflict, Internal
from tunesmith.storage.atomic_files import DRAFTS, make_folder, write_file
from tunesmith.storage.faults import Damaged, DiskRefused, fault, file_fault
from tunesmith.storage.file_lock import exclusive
from tunesmith.storage.sqlite.migrating import APPLICATION_ID, migrations
from tunesmith.storage.timestamps import now

if TYPE_CHECKING:
    from tunesmith.storage.sqlite.connections import Source

Why = Literal["schedule", "asked", "upgrade"]
"""What a backup was made for; each kind is rotated by itself."""

RESERVE_BYTES = 64 * 2**20
"""Room that a backup must leave: one that fills the disk would stop what it is for."""

_NAME = re.compile(rf"tunesmith-(\d{{6,}})-(\d{{8}}T\d{{6}}Z)-({'|'.join(get_args(Why))})\.db")
_PAGES = 2048
_INSTRUCTIONS = 100_000
_LOCK = ".lock"


class Backup(NamedTuple):
    """One backup; `made_at` is ISO 8601 UTC text."""

    path: Path
    number: int
    made_at: str
    why: str
    size: int


class Facts(NamedTuple):
    """What a database file holds: schema version, epoch and newest event."""

    schema: int
    epoch: str
    head: int


def listing(folder: Path) -> list[Backup]:
    """The backups in a folder, oldest first; none where there is no folder."""
    found = []
    for path in folder.glob("tunesmith-*.db"):
        match = _NAME.fullmatch(path.name)
        if match:
            time = f"{match[2][:4]}-{match[2][4:6]}-{match[2][6:11]}:{match[2][11:13]}:{match[2][13:]}"
            found.append(Backup(path, int(match[1]), time, match[3], path.stat().st_size))
    return sorted(found, key=lambda backup: backup.number)


async def is_needed(source: Source) -> bool:
    """Whether the database holds anything that cannot be had by making a new one: somebody asked for something."""
    sql = """SELECT EXISTS (SELECT 1 FROM requests) OR EXISTS (SELECT 1 FROM tasks) OR EXISTS (SELECT 1 FROM events)
                 OR EXISTS (SELECT 1 FROM schedules)"""
    row = await source.fetch_one(sql)
    return row is not None and bool(row[0])


def make(database: Path, folder: Path, why: Why, *, keep: int, stopped: Callable[[], bool] = lambda: False) -> Backup:
    """Backs the database up and removes the oldest of this kind beyond `keep`. Blocks: not for an event loop.

    Raises `DiskRefused` where there is no room, `Damaged` when the copy is not sound, `Internal` when `stopped` says so
    while it is made; then nothing is kept of it.
    """
    try:
        make_folder(folder)
        with exclusive(folder / _LOCK):
            for draft in folder.glob(DRAFTS):
                draft.unlink(missing_ok=True)
            _need_room(database, folder)
            before = listing(folder)
            time = re.sub(r"[-:]|\.\d+", "", now())
            number = before[-1].number + 1 if before else 1
            path = folder / f"tunesmith-{number:06d}-{time}-{why}.db"
            write_file(path, lambda draft: _copy_sound(database, draft, stopped))
            after = listing(folder)
            for old in [backup for backup in after if backup.why == why][:-keep]:
                old.path.unlink(missing_ok=True)
    except sqlite3.Error as error:
        raise fault(error) from error
    except OSError as error:
        raise file_fault(error, f"the backup in {folder}") from error
    return after[-1]


def examine(path: Path) -> Facts:
    """What a database file holds, after a look at all of it.

    Raises `Damaged` for one that is not sound, `Conflict` for another program's or a newer one's, `Internal` where
    there is none.
    """
    if not path.is_file():
        raise Internal(f"there is no file {path}")
    try:
        with closing(_open(path)) as conn:
            check(conn, path)
            if conn.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
                raise Conflict(f"{path} is no database of Tunesmith")
            schema, newest = int(conn.execute("PRAGMA user_version").fetchone()[0]), len(migrations())
            if schema > newest:
                raise Conflict(f"{path} has schema version {schema}, this program knows {newest}: use the newer one")
            epoch = conn.execute("SELECT value FROM meta WHERE key = 'epoch'").fetchone()
            head = conn.execute("SELECT coalesce(max(seq), 0) FROM events").fetchone()[0]
    except sqlite3.Error as error:
        raise Damaged(f"{path}: {fault(error).message}") from error
    if epoch is None:
        raise Damaged(f"{path} is no whole database: it has no epoch")
    return Facts(schema, str(epoch[0]), int(head))


def copy(source: Path, target: Path, stopped: Callable[[], bool] = lambda: False) -> None:
    """Makes `target`, one file, a copy of one state of `source`, which may be in use. Raises as SQLite does."""

    def watch(status: int, remaining: int, total: int) -> None:
        if stopped():
            raise Internal("the backup was given up: the daemon is stopping")

    with closing(_open(source)) as reading, closing(sqlite3.connect(target, isolation_level=None)) as writing:
        writing.execute("PRAGMA synchronous = OFF")  # whoever gives the file its name syncs it
        writing.execute("PRAGMA journal_mode = MEMORY")
        reading.execute("BEGIN")
        reading.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        reading.backup(writing, pages=_PAGES, progress=watch)
        writing.execute("PRAGMA journal_mode = DELETE")


def check(conn: sqlite3.Connection, path: Path, stopped: Callable[[], bool] = lambda: False) -> None:
    """Raises `Damaged` when SQLite finds something wrong; reads all of the file, or until `stopped`."""
    conn.set_progress_handler(stopped, _INSTRUCTIONS)
    found = [row[0] for row in conn.execute("PRAGMA integrity_check(3)") if row[0] != "ok"]
    if found:
        raise Damaged(f"{path}: the database file is damaged; restore a backup: {'; '.join(found)}")


def _copy_sound(database: Path, draft: Path, stopped: Callable[[], bool]) -> None:
    copy(database, draft, stopped)
    with closing(sqlite3.connect(draft)) as conn:
        check(conn, database, stopped)


def _open(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, timeout=5.0)


def _need_room(database: Path, folder: Path) -> None:
    size, free = database.stat().st_size, shutil.disk_usage(folder).free
    if free < size + RESERVE_BYTES:
        raise DiskRefused(
            f"a backup of {size / 2**20:.0f} MB does not fit in {folder}: {free / 2**20:.0f} MB are free, and it must "
            f"leave {RESERVE_BYTES / 2**20:.0f}"
        )
