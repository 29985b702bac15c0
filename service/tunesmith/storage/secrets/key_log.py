"""What commands did, to keys and tokens and to market data: one line of JSON each, in a file beside them, for the log.

A running daemon has the database to itself, so a command writes here what it did, who ran it and when, and the daemon
enters it: within a second, or when it starts. Lines are added and stay; their ids tell which are entered already, also
after a backup was restored. There is no secret in it.
"""

from __future__ import annotations

import logging
import os
import pwd
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import msgspec

from tunesmith.storage.timestamps import now

logger = logging.getLogger(__name__)

FILE = "acts.jsonl"
"""In the folder of the keys."""

_MODE = 0o644


class Act(msgspec.Struct, frozen=True, kw_only=True):
    """One act by an account of the machine, such as `keys.revoke`: of the key or token `name` with its `role`.

    `detail` is what else there is to say, such as how much was imported.
    """

    id: str
    time: str
    by: str
    act: str
    name: str
    role: str = ""
    detail: str = ""


class Found(NamedTuple):
    """Acts that stand in the file, the oldest first, up to the byte `end`."""

    acts: list[Act]
    end: int


def note(folder: Path, act: str, name: str, role: str = "", detail: str = "") -> None:
    """Add that the account which runs this process did `act`, just now. Raises `OSError`."""
    entry = Act(id=uuid4().hex, time=now(), by=account(), act=act, name=name, role=role, detail=detail)
    line = msgspec.json.encode(entry)
    fd = os.open(folder / FILE, os.O_RDWR | os.O_CREAT | os.O_APPEND, _MODE)
    with os.fdopen(fd, "ab") as file:
        there, owner = os.fstat(fd), folder.stat()
        if os.geteuid() == 0 and there.st_uid != owner.st_uid:
            os.fchown(fd, owner.st_uid, owner.st_gid)  # the keys' owner adds to it as well
        torn = there.st_size > 0 and os.pread(fd, 1, there.st_size - 1) != b"\n"
        file.write(b"\n" * torn + line + b"\n")
        file.flush()
        os.fsync(fd)


def account() -> str:
    """The account that runs this process; behind sudo, the one that asked for it."""
    uid = os.getuid()
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:  # a container's user need not have a name
        name = f"uid {uid}"
    asker = os.environ.get("SUDO_USER")
    return f"{asker} as {name}" if asker and uid == 0 else name


def acts(folder: Path, start: int = 0) -> Found:
    """The acts from the byte `start` on, from the first where the file is shorter; lines that are none are left out.

    Raises `OSError`, but where there is no file there are no acts.
    """
    try:
        with (folder / FILE).open("rb") as file:
            start = start if os.fstat(file.fileno()).st_size >= start else 0
            file.seek(start)
            whole = file.read().rpartition(b"\n")
    except FileNotFoundError:
        return Found([], 0)
    return Found([act for line in whole[0].splitlines() if (act := _read(line))], start + len(whole[0] + whole[1]))


def _read(line: bytes) -> Act | None:
    try:
        return msgspec.json.decode(line, type=Act)
    except msgspec.MsgspecError as error:
        logger.warning("a line of %s is no act: %s", FILE, error)
        return None
