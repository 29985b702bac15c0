"""Processes that begin with their modules loaded: importing them takes the daemon over a second, its workers three.

Each is a process of its own otherwise, with its own arguments, environment, output, signals and exit code; those that
are forked from one server have the same hash seed; a server of another generation has another.
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any, Literal

SERVER = Path(__file__).with_name("forking_server.py")


WORKERS_FD = 3
"""Where a daemon finds the server of what its workers are forked from."""

FORK_SERVERS = "fork_servers"
"""A file in the daemon's folder with the pids of the processes that its workers are forked from."""

Kind = Literal["command", "daemon", "workers"]


@functools.cache
def server(kind: Kind, generation: int = 0) -> socket.socket:
    """The socket of a `forking_server.py`, which ends with this process."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen(
            [sys.executable, str(SERVER), str(theirs.fileno()), kind],
            stdin=subprocess.DEVNULL,
            pass_fds=(theirs.fileno(),),
            env={name: value for name, value in os.environ.items() if not is_setting(name)}
            | {"COLUMNS": "80", "TERM": "dumb"},
        )
    atexit.register(process.wait)
    atexit.register(ours.close)  # called first
    return ours


def is_setting(name: str) -> bool:
    """Whether an environment variable is a setting of ours; where kernels are kept is none."""
    return name.startswith("TUNESMITH_") and name != "TUNESMITH_KERNEL_CACHE"


class Forked:
    """What `subprocess.Popen` has of a process, for one of these. `out` and `err` are files that it writes to."""

    def __init__(
        self, of: socket.socket, arguments: list[str], environ: dict[str, str], out: Any, err: Any, *more: socket.socket
    ) -> None:
        """`more` come as the descriptors from 3 on."""
        self.args, self.returncode = arguments, None
        self._told, tell = os.pipe()
        self._status = b""
        asked = {"arguments": arguments, "environment": environ, "folder": str(Path.cwd())}
        try:
            fds = [out.fileno(), err.fileno(), tell, *(each.fileno() for each in more)]
            socket.send_fds(of, [json.dumps(asked).encode()], fds)
        finally:
            os.close(tell)
        while b" " not in self._status:
            self._read()
        self.pid = int(self._status.split()[0])

    def _read(self) -> None:
        came = os.read(self._told, 100)
        self._status += came
        if self._status.endswith(b"."):
            self.returncode: int | None = int(self._status.removesuffix(b".").split()[1])
        if not came or self.returncode is not None:
            os.close(self._told)
        assert came, "the server that forks is gone"

    def poll(self) -> int | None:
        """The exit code; None while it runs."""
        while self.returncode is None and select.select([self._told], [], [], 0)[0]:
            self._read()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """The exit code, when it has ended; `subprocess.TimeoutExpired` when that takes longer."""
        while self.returncode is None:
            if not select.select([self._told], [], [], timeout)[0]:
                assert timeout is not None
                raise subprocess.TimeoutExpired(self.args, timeout)
            self._read()
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """kill −9."""
        self.send_signal(signal.SIGKILL)
