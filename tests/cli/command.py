"""`tunesmith` as a process, in a terminal of 80 columns."""

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
import tempfile
from pathlib import Path
from typing import Any

COMMAND = [sys.executable, "-c", "import sys; sys.argv[0] = 'tunesmith'; from tunesmith.cli import main; main()"]
WIDTH = 80


def listen_to_ctrl_c() -> None:
    """For `preexec_fn`: what a shell starts in the background ignores Ctrl-C, and so would its children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def environment(**more: str) -> dict[str, str]:
    """This process's environment without settings of ours, at 80 columns and without colours."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TUNESMITH_")}
    return {**kept, "COLUMNS": str(WIDTH), "TERM": "dumb", **more}


@functools.cache
def command_server() -> socket.socket:
    """The socket of a `command_server.py`, which ends with this process."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("command_server.py")), str(theirs.fileno())],
            stdin=subprocess.DEVNULL,
            pass_fds=(theirs.fileno(),),
            env=environment(),
        )
    atexit.register(process.wait)
    atexit.register(ours.close)  # called first
    return ours


def finished(arguments: list[str], environ: dict[str, str], timeout_s: float) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, which has its modules loaded from the start; it has no input."""
    asked = json.dumps({"arguments": arguments, "environment": environ, "folder": str(Path.cwd())}).encode()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        told, tell = os.pipe()
        try:
            socket.send_fds(command_server(), [asked], [out.fileno(), err.fileno(), tell])
        finally:
            os.close(tell)
        try:
            code = exit_code(told, timeout_s)
        finally:
            os.close(told)
        printed = [(file.seek(0), file.read().decode())[1] for file in (out, err)]
    lines = [text.replace("\r\n", "\n").replace("\r", "\n") for text in printed]
    return subprocess.CompletedProcess(arguments, code, *lines)


def exit_code(told: int, timeout_s: float) -> int:
    """What the pipe `told` says of a command's end: its process id, and then its exit code and a point."""
    status = b""
    while not status.endswith(b"."):
        if not select.select([told], [], [], timeout_s)[0]:
            pid = int(status.split()[0])
            os.kill(pid, signal.SIGKILL)
            raise AssertionError(f"the command did not end in {timeout_s:g} s")
        came = os.read(told, 100)
        assert came, "the server of commands is gone"
        status += came
    return int(status.removesuffix(b".").split()[1])


def run(*arguments: str | Path, timeout_s: float = 90.0, **environ: str) -> subprocess.CompletedProcess[str]:
    """The finished command; what it printed has no traceback, and fits the width but for words that are longer."""
    done = finished([*map(str, arguments)], environment(**environ), timeout_s)
    assert "Traceback" not in done.stderr + done.stdout, done.stderr
    if not {"--json", "schema", "--code"} & set(map(str, arguments)):
        too_wide = [line for line in (done.stdout + done.stderr).splitlines() if len(line.rstrip()) > WIDTH]
        assert [line for line in too_wide if max(map(len, line.split())) < WIDTH // 2] == []
    return done


def said(done: subprocess.CompletedProcess[str]) -> str:
    """Everything that it printed, with each run of spaces and line ends as one space."""
    return " ".join((done.stdout + done.stderr).split())


def read(*arguments: str | Path, **environ: str) -> Any:
    """What the command prints with --json; it must succeed."""
    done = run(*arguments, "--json", **environ)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
