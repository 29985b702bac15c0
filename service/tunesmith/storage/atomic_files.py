"""Files that are whole or not there: written beside their place, synced, then renamed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

DRAFTS = ".*.tmp"
"""What a crash may leave behind; whoever holds the folder's lock may remove it."""


def write_file(path: Path, write: Callable[[Path], None]) -> None:
    """Has `write` make a file and puts it at `path` (replacing what is there) once it is on the disk.

    After a crash `path` is either the old file or the new one. Raises `OSError` as the disk does, and leaves nothing.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{uuid4().hex}.tmp")
    try:
        write(draft)
        sync(draft)
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    sync(path.parent)


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
