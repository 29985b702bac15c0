"""Locks between processes, on files (flock): the kernel lets go of them when their process ends, however it ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from tunesmith.errors import Conflict


class DirectoryLock:
    """The claim of one daemon to one data directory, held until `release`.

    The directory itself is locked beside the file, which somebody may remove; on file systems that lock no directories,
    the file alone.
    """

    def __init__(self, path: Path) -> None:
        """Takes the lock file `path`; raises `Conflict`, naming the holder, when another process has it."""
        self._fd: int | None = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._folder: int | None = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _lock_folder(self._folder)
        except BlockingIOError:
            holder = os.pread(self._fd, 32, 0).decode("ascii", "replace").strip()
            self.release()
            raise Conflict(
                f"the data directory {path.parent} is in use by another daemon (process {holder or 'unknown'}); "
                "stop it, or choose another data directory"
            ) from None
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Lets go; a second call does nothing."""
        held = self._fd, self._folder
        self._fd = self._folder = None
        for fd in held:
            if fd is not None:
                os.close(fd)


def _lock_folder(fd: int) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:  # a file system that locks no directories
        return


@contextlib.contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Holds the lock file `path`, waiting for it (blocking: not on an event loop)."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)
