"""The database's files as SQLite has them open: whether somebody removed or replaced them meanwhile.

SQLite goes on with files that have no name any more, and says nothing: what it writes there is lost when it ends. Files
are compared by device and inode alone: opening and closing one here would let go of SQLite's locks.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from tunesmith.storage.faults import Damaged

Inode = tuple[int, int]
"""A file's device and its number there, which another file under its name does not have."""


class LogLost(Damaged):
    """The log of a database in use is gone; all that was answered is in the database itself."""

    advice = "stop the daemon and start it again"


class OwnFiles:
    """The file of an open database and its log, the -wal."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._log = path.with_name(f"{path.name}-wal")
        self._inode, self._log_inode = _inode(path), _inode(self._log)

    def look(self) -> None:
        """Raises `Damaged` where the database file is gone or another, `LogLost` where its log is."""
        inode = _inode(self.path)
        if inode is None:
            raise Damaged(f"the database file {self.path} is gone; restore a backup")
        if inode != self._inode:
            raise Damaged(f"the database file {self.path} was replaced while it was in use; start again")
        if _inode(self._log) != self._log_inode:
            raise LogLost(f"{self._log} was removed while it was in use; nothing that was answered is lost")

    def secure(self, conn: sqlite3.Connection) -> Damaged | None:
        """Find the files in their place after a commit on `conn`, or bring what a lost log holds into the database.

        Answers what is wrong although the commit holds. Raises `Damaged` where it is lost.
        """
        try:
            self.look()
        except LogLost as lost:
            try:
                busy, *_ = conn.execute("PRAGMA wal_checkpoint(FULL)").fetchone()
            except sqlite3.Error:
                busy = True
            if busy:
                raise Damaged(f"{self._log} was removed while it was in use; restore a backup") from lost
            return lost
        return None


def _inode(path: Path) -> Inode | None:
    try:
        stat = os.stat(path)  # noqa: PTH116 - several times faster than Path.stat, and called for each commit
    except OSError:
        return None
    return stat.st_dev, stat.st_ino
