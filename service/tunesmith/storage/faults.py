"""SQLite's and the system's exceptions as errors of the tree, in the operator's words.

Internal
├── DiskRefused    full, read-only or failing; nothing was stored, and a retry may succeed once there is room
└── Damaged        the file's content is not sound, or is gone: somebody has to act (`tunesmith restore`)
    Conflict
    └── WrongVersion   a newer program wrote the database
"""

from __future__ import annotations

import errno
import sqlite3
from dataclasses import dataclass
from typing import ClassVar

from tunesmith.errors import Busy, Conflict, Internal, TunesmithError

_PRIMARY = 0xFF
_RETRY_AFTER_MS = 200
_DISK_RETRY_AFTER_MS = 1_000
_REFUSALS = {
    sqlite3.SQLITE_FULL: "the disk is full; nothing of this was stored",
    sqlite3.SQLITE_IOERR: "the disk refused to write or read; nothing of this was stored (is it full or read-only?)",
    sqlite3.SQLITE_READONLY: "the database is read-only",
    sqlite3.SQLITE_CANTOPEN: "the database file cannot be opened",
}
_DAMAGES = {
    sqlite3.SQLITE_CORRUPT: "the database file is damaged; restore a backup",
    sqlite3.SQLITE_NOTADB: "the file is no SQLite database, or its head is damaged; restore a backup",
}
_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)


class DiskRefused(Internal):
    """The disk took nothing: it is full, read-only or failing."""

    title = "Disk refused"


class Damaged(Internal):
    """The database is damaged or gone; it stays as it is until somebody acts, as `advice` says."""

    advice: ClassVar[str] = "stop the daemon and run `tunesmith restore`"
    title: ClassVar[str] = "Database damaged"
    retryable: ClassVar[bool] = False


class WrongVersion(Conflict):
    """A newer program wrote the database."""


def fault(error: sqlite3.Error) -> TunesmithError:
    """The error that a caller sees for SQLite's: `Busy` when it is locked, else `Internal` with the meaning."""
    code = getattr(error, "sqlite_errorcode", 0) & _PRIMARY
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return Busy("the database is locked by another process", retry_after_ms=_RETRY_AFTER_MS)
    if code in _DAMAGES:
        return Damaged(f"{_DAMAGES[code]}: {error}")
    if code in _REFUSALS:
        return DiskRefused(f"{_REFUSALS[code]}: {error}", retry_after_ms=_DISK_RETRY_AFTER_MS)
    return Internal(f"the database failed: {error}")


def file_fault(error: OSError, what: str) -> Internal | Busy:
    """The error for a file that could not be written: `what` was not stored, and why."""
    message = f"{what} was not stored: {error.strerror or error}"
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return Busy(message, retry_after_ms=_DISK_RETRY_AFTER_MS)
    if error.errno in _DISK_ERRORS:
        return DiskRefused(message, retry_after_ms=_DISK_RETRY_AFTER_MS)
    return Internal(message)


@dataclass(slots=True)
class DiskState:
    """What reads and writes have met of the disk.

    `damage`: what is wrong with the file, as far as it was noticed, and `advice` what to do; they stay until the daemon
    is started again.
    `refusal`: why the disk did not take the last write; None since it took one.
    """

    damage: str | None = None
    advice: str = Damaged.advice
    refusal: str | None = None

    def note(self, error: TunesmithError | None) -> None:
        """Takes in what a write or a look met; None: the disk took a write."""
        if isinstance(error, Damaged):
            if self.damage is None:
                self.damage, self.advice = error.message, error.advice
        elif error is None:
            self.refusal = None
        elif isinstance(error, DiskRefused):
            self.refusal = error.message

    def met(self, error: sqlite3.Error) -> TunesmithError:
        """The error that a reading's caller sees; damage is noted."""
        met = fault(error)
        if isinstance(met, Damaged):
            self.note(met)
        return met
