"""Opening the database: the claim to its folder, a new one where there is none, its check, schema and identity."""

from __future__ import annotations

import contextlib
import secrets
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from tunesmith.errors import Internal, TunesmithError
from tunesmith.storage.atomic_files import make_folder, write_content, write_file
from tunesmith.storage.faults import Damaged, fault
from tunesmith.storage.file_lock import DirectoryLock
from tunesmith.storage.sqlite import backups
from tunesmith.storage.sqlite.connections import ThreadConnection
from tunesmith.storage.sqlite.migrating import migrate, migrations
from tunesmith.storage.sqlite.restoring import refuse_unfinished

CHECKED_BYTES = 64 * 2**20
"""Up to this size a database is read through before it is opened; a larger one is, beside the work, afterwards."""
SECRET = "draw_secret"  # noqa: S105 - the name of a row
"""In the table `meta`: the secret key of the draws of verdicts, 32 bytes in hexadecimal."""
_BUSY_TIMEOUT_MS = 5_000
_WAYS_OUT = (
    "`tunesmith restore` brings the newest backup back; for a fresh start move what begins with {name}, and the "
    "backups, away"
)
_MARK = "There is a database beside this file. Where it is missed, the daemon says so instead of beginning a new one.\n"


@dataclass(frozen=True, slots=True)
class BackupPolicy:
    """Where backups are kept, and how many of each kind."""

    folder: Path
    keep: int = 5


def claim(path: Path) -> DirectoryLock:
    """The lock of the folder of the database `path`; raises `Conflict` while another has it."""
    try:
        make_folder(path.parent)
        return DirectoryLock(path.with_name("daemon.lock"))
    except OSError as error:
        raise Internal(f"the data directory {path.parent} cannot be used: {error.strerror}") from error


def opening_fault(path: Path, error: sqlite3.Error) -> TunesmithError:
    """What is said when SQLite refuses while the database is opened."""
    refused = fault(error)
    return type(refused)(f"{path}: {refused.message}")


def make_new(path: Path, keeping: BackupPolicy) -> None:
    """Makes a database where there is none yet, whole or not at all; never in the place of one that was lost."""
    refuse_unfinished(path)
    if path.exists():
        if path.is_file() and path.stat().st_size == 0:
            raise Damaged(f"{path} is empty: what was in it is lost. {_WAYS_OUT.format(name=path.name)}")
        return
    wal, mark = path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}.made")
    if mark.exists() or backups.listing(keeping.folder) or (wal.exists() and wal.stat().st_size):
        raise Damaged(f"{path} is gone, but what belongs to it is there. {_WAYS_OUT.format(name=path.name)}")
    try:
        write_file(path, _make_empty)
    except OSError as error:
        raise Internal(f"{path} cannot be made: {error.strerror}") from error


def mark_made(path: Path) -> None:
    """Leave a file beside the database that tells of it once it is gone; where the disk refuses, the next start does.

    Who opens the database sees to it that no other daemon does meanwhile.
    """
    mark = path.with_name(f"{path.name}.made")
    if not mark.exists():
        with contextlib.suppress(OSError):
            write_content(mark, _MARK.encode())


def _make_empty(draft: Path) -> None:
    with closing(sqlite3.connect(draft, isolation_level=None)) as conn:
        conn.execute("PRAGMA journal_mode = MEMORY")
        conn.execute("PRAGMA synchronous = OFF")
        migrate(conn)


def prepare(conn: sqlite3.Connection, path: Path, instance: str, keeping: BackupPolicy) -> tuple[str, int]:
    """Schema, identity and secret of the database; answers its epoch and newest event."""

    def secure(found: int) -> None:
        _check(conn, path)  # whatever its size: a damaged one is not migrated
        backups.make(path, keeping.folder, "upgrade", keep=keeping.keep)

    before = int(conn.execute("PRAGMA user_version").fetchone()[0])
    if path.stat().st_size <= CHECKED_BYTES:
        _check(conn, path)
    try:
        migrate(conn, secure)
    except sqlite3.Error as error:
        raise Internal(
            f"{path} could not be brought from schema version {before} to {len(migrations())}: {error}. It is as it "
            "was: the program that wrote it can go on with it"
        ) from error
    conn.execute("BEGIN IMMEDIATE")
    conn.execute("INSERT OR IGNORE INTO meta (key, value) VALUES ('epoch', ?)", (str(uuid4()),))
    conn.execute("INSERT OR REPLACE INTO meta (key, value) VALUES ('instance', ?)", (instance,))
    conn.execute("INSERT OR IGNORE INTO meta (key, value) VALUES (?, ?)", (SECRET, secrets.token_hex(32)))
    conn.execute("COMMIT")
    epoch = conn.execute("SELECT value FROM meta WHERE key = 'epoch'").fetchone()[0]
    return str(epoch), head_of(conn)


def _check(conn: sqlite3.Connection, path: Path) -> None:
    found = [row[0] for row in conn.execute("PRAGMA quick_check(3)") if row[0] != "ok"]
    if found:
        raise Damaged(f"{path}: the database file is damaged; restore a backup: {'; '.join(found)}")


def head_of(conn: sqlite3.Connection) -> int:
    """The newest event's `seq`, 0 before the first."""
    return int(conn.execute("SELECT coalesce(max(seq), 0) FROM events").fetchone()[0])


async def connect(path: Path, *, writer: bool) -> ThreadConnection:
    """An open connection with our settings: the only one that writes, or one that can only read."""

    def open_file() -> sqlite3.Connection:
        mode = "rw" if writer else "ro"
        conn = sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", uri=True, isolation_level=None)
        try:
            conn.row_factory = sqlite3.Row
            conn.execute(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_MS}")
            conn.execute("PRAGMA foreign_keys = ON")
            if writer:
                conn.execute("PRAGMA journal_mode = WAL")
                conn.execute("PRAGMA synchronous = FULL")
            else:
                conn.execute("PRAGMA query_only = ON")
        except BaseException:
            conn.close()
            raise
        return conn

    connection = ThreadConnection(open_file)
    try:
        await connection
    except BaseException:
        connection.join()
        raise
    return connection
