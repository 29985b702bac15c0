"""What a command did to keys and tokens, left for the audit log."""

from __future__ import annotations

from pathlib import Path

from tunesmith.cli.tables import remark
from tunesmith.storage.secrets.key_log import FILE, note


def write_down(folder: Path, act: str, name: str, role: str = "") -> None:
    """Leave in the folder of the keys what was done; where that fails, say so: it is done all the same."""
    try:
        note(folder, act, name, role)
    except OSError as error:
        remark(f"It is done, but the audit log will not say so: cannot write {folder / FILE}: {error.strerror}")
