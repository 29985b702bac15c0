"""Files that are whole or not there: written beside their place, synced, then renamed."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

from tunesmith.protocol.private_files import PRIVATE, PRIVATE_FOLDER

DRAFTS = ".*.tmp"
"""What a crash may leave behind; whoever holds the folder's lock may remove it."""


def write_file(path: Path, write: Callable[[Path], None]) -> None:
    """Has `write` make a file and puts it at `path` (replacing what is there) once it is on the disk.

    After a crash `path` is either the old file or the new one. It is its owner's alone from its first byte on, and the
    owner is the folder's where root writes it. Raises `OSError` as the disk does, and leaves nothing.
    """
    make_folder(path.parent)
    draft = path.with_name(f".{uuid4().hex}.tmp")
    try:
        os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE))
        _give_to_owner(draft)
        write(draft)
        sync(draft)
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    sync(path.parent)


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it that are not there, for their owner alone; what is there stays as it is."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    try:
        folder.mkdir(mode=PRIVATE_FOLDER)
    except FileExistsError:
        if not folder.is_dir():
            raise
    else:
        _give_to_owner(folder)


def _give_to_owner(path: Path) -> None:
    """A command that root runs in a daemon's folder leaves nothing that the daemon cannot read."""
    if os.geteuid() == 0:
        owner = path.parent.stat()
        if owner.st_uid != 0 and not owner.st_mode & stat.S_IWOTH:
            os.chown(path, owner.st_uid, owner.st_gid)


def write_content(path: Path, content: bytes) -> None:
    """Put `content` at `path` as `write_file` does."""

    def write(draft: Path) -> None:
        draft.write_bytes(content)

    write_file(path, write)


def sync(path: Path) -> None:
    """Has the system put a file, or a folder's names, on the disk."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
