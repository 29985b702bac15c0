"""Process groups: a worker leads one of its own, which its children belong to unless they leave it.

So they are killed with it, and their memory is counted with its own.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Collection

_PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 2**20


def kill_group(leader: int) -> None:
    """Kill a process and the group that it leads, or the process alone where it leads none yet."""
    try:
        os.killpg(leader, signal.SIGKILL)
    except ProcessLookupError:
        with contextlib.suppress(ProcessLookupError):
            os.kill(leader, signal.SIGKILL)
    except PermissionError:  # nobody in it is ours: the number belongs to another group by now
        return


def private_mb(pid: int) -> float | None:
    """Memory that a process has in use for itself, resident less shared pages, in MB; None when it is gone."""
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:  # noqa: PTH123 - five times a second for each worker
            _, resident, shared, *_ = file.read().split()
    except OSError:
        return None
    return (int(resident) - int(shared)) * _PAGE_MB


class GroupMemory:
    """Measures the memory of groups' members other than their leaders, by looking through /proc.

    Looks in short intervals read processes that are new since the last one, and of those that stay only the members:
    reading all of 500 processes would keep the daemon's loop busy for 10 ms, five times a second. A child that was
    forked without exec counts pages that it shares with its worker too, as the kernel tells them apart only slowly.
    """

    def __init__(self) -> None:
        self._group_of: dict[str, int] = {}

    def look(self, leaders: Collection[int]) -> dict[int, float]:
        """Private MB of each group's members beside its leader, by the leader's pid; groups of one are left out."""
        names = [name for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208 - as above
        self._group_of = {name: self._group_of.get(name) or _group_of(name) for name in names}
        found: dict[int, float] = {}
        for name, leader in self._group_of.items():
            if leader in leaders and leader != int(name):
                found[leader] = found.get(leader, 0.0) + (private_mb(int(name)) or 0.0)
        return found


def _group_of(name: str) -> int:
    """The group of a process; 0 when it is gone."""
    try:
        with open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123 - as above
            return int(file.read().rpartition(b")")[2].split()[2])
    except OSError:
        return 0
