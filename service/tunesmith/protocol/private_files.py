"""A file that holds a secret belongs to its owner alone."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from tunesmith.errors import Invalid

PRIVATE = 0o600
PRIVATE_FOLDER = 0o700


def check_private(mode: int, path: Path) -> None:
    """Refuse a secret's file that its group or others can read or write; raises `Invalid` that says what to do."""
    if os.name == "posix" and mode & 0o077:
        raise Invalid(f"{path} holds a secret and others may read it (mode {stat.S_IMODE(mode):04o}): chmod 600 {path}")
