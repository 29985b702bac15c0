"""SQLite's exceptions as errors of the tree, in the operator's words."""

from __future__ import annotations

import sqlite3

from tunesmith.errors import Busy, Internal, TunesmithError

_PRIMARY = 0xFF
_RETRY_AFTER_MS = 200
_MEANINGS = {
    sqlite3.SQLITE_FULL: "the disk is full; nothing of this was stored",
    sqlite3.SQLITE_IOERR: "the disk refused to write or read; nothing of this was stored (is it full?)",
    sqlite3.SQLITE_READONLY: "the database is read-only",
    sqlite3.SQLITE_CANTOPEN: "the database file cannot be opened",
    sqlite3.SQLITE_CORRUPT: "the database file is damaged; restore a backup",
    sqlite3.SQLITE_NOTADB: "the file is no SQLite database, or its head is damaged; restore a backup",
}


def fault(error: sqlite3.Error) -> TunesmithError:
    """The error that a caller sees for SQLite's: `Busy` when it is locked, else `Internal` with the meaning."""
    code = getattr(error, "sqlite_errorcode", 0) & _PRIMARY
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return Busy("the database is locked by another process", retry_after_ms=_RETRY_AFTER_MS)
    return Internal(f"{_MEANINGS.get(code, 'the database failed')}: {error}")
