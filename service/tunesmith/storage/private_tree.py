"""The data directory is its owner's alone: candles, hold-outs, backups, keys and the database tell what is traded how.

New files and folders are made so (`atomic_files`). What an earlier release, or somebody else, left open to others is
found here, and closed when the daemon starts. Only what is known to be ours is touched, and no link is followed.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from tunesmith.protocol.private_files import PRIVATE, PRIVATE_FOLDER

OURS = ("tunesmith.db*", "replaced-*", "backups", "market", "snapshots", "exports", "keys", "doors.json", "daemon.l*")
"""What the daemon keeps in its data directory."""

_OTHERS = 0o077
_PUBLIC = ("keys/clients/*.json", "keys/acts.jsonl")
"""Read by whoever may enter the folder; nothing in them is secret."""


def open_to_others(data_dir: Path) -> list[Path]:
    """Files and folders below a data directory that its group or others may read, write or enter."""
    public = {path for pattern in _PUBLIC for path in data_dir.glob(pattern)}
    return [path for path in _ours(data_dir) if path not in public and _mode(path) & _OTHERS]


def close_to_others(data_dir: Path) -> int:
    """Make them their owner's alone; how many were not, and are now."""
    n_closed = 0
    for path in open_to_others(data_dir):
        with contextlib.suppress(OSError):  # another's, or gone by now; the doctor tells what stays open
            path.chmod(PRIVATE_FOLDER if path.is_dir() else PRIVATE)
            n_closed += 1
    return n_closed


def _ours(data_dir: Path) -> Iterator[Path]:
    for pattern in OURS:
        for path in data_dir.glob(pattern):
            if path.is_symlink():
                continue
            yield path
            for folder, folders, files in os.walk(path):
                yield from (found for name in (*folders, *files) if not (found := Path(folder, name)).is_symlink())


def _mode(path: Path) -> int:
    try:
        return stat.S_IMODE(path.lstat().st_mode)
    except OSError:
        return 0
