"""Files with secrets in them: nobody but their owner may read them, from the moment that they exist."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tunesmith.errors import Invalid
from tunesmith.protocol.private_files import check_private
from tunesmith.storage.atomic_files import make_folder, write_file


@contextmanager
def changing(folder: Path) -> Iterator[None]:
    """Make the folder and keep other processes from changing its files meanwhile. Raises `OSError`."""
    make_folder(folder)
    fd = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def write_secret(path: Path, text: str) -> None:
    """Put `text` at `path`, whole or not at all, with mode 0600. Raises `OSError`."""

    def write(draft: Path) -> None:
        draft.write_text(text)

    write_file(path, write)


def read_secret(path: Path) -> str:
    """The text of a file that nobody else may read. Raises `Invalid` when others may, or it cannot be read."""
    try:
        with path.open() as stream:
            check_private(os.fstat(stream.fileno()).st_mode, path)
            return stream.read()
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(f"cannot read {path}: {getattr(error, 'strerror', None) or 'it is no text'}") from error
