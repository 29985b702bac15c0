"""A daemon in the background, started for a person who is at a terminal."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tunesmith.cli.daemon_connection import running_doors
from tunesmith.errors import Internal
from tunesmith.protocol.private_files import PRIVATE
from tunesmith.storage.atomic_files import make_folder

_START_TIMEOUT_S = 30.0
_POLL_S = 0.1
_LOG = "daemon.log"


def can_serve() -> bool:
    """Whether the daemon's packages are installed."""
    return importlib.util.find_spec("numba") is not None


def start_daemon(data_dir: Path, options: Sequence[str]) -> int:
    """Start a daemon that outlives this command; its process id once its doors are open. Raises `Internal`."""
    make_folder(data_dir)
    log = data_dir / _LOG
    command = [sys.executable, "-m", "tunesmith.app", f"--data-dir={data_dir}", *options]
    with os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, PRIVATE), "w") as file:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT, start_new_session=True
        )
    deadline = time.monotonic() + _START_TIMEOUT_S
    while running_doors(data_dir).get("pid") != process.pid:
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            process.wait()
            last = log.read_text().strip().splitlines()[-1:]
            raise Internal("the daemon did not start; " + (f"it said: {last[0]}" if last else f"see {log}"))
        time.sleep(_POLL_S)
    return process.pid
