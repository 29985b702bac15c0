"""`tunesmith` as a process, in a terminal of 80 columns."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from forking import Forked, is_setting, server

COMMAND = [sys.executable, "-c", "import sys; sys.argv[0] = 'tunesmith'; from tunesmith.cli import main; main()"]
WIDTH = 80


def listen_to_ctrl_c() -> None:
    """For `preexec_fn`: what a shell starts in the background ignores Ctrl-C, and so would its children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def environment(**more: str) -> dict[str, str]:
    """This process's environment without settings of ours, at 80 columns and without colours."""
    kept = {name: value for name, value in os.environ.items() if not is_setting(name)}
    return {**kept, "COLUMNS": str(WIDTH), "TERM": "dumb", **more}


def finished(arguments: list[str], environ: dict[str, str], timeout_s: float) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, which has its modules loaded from the start; it has no input."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = Forked(server("command"), arguments, environ, out, err)
        try:
            process.wait(timeout_s)
        finally:
            process.kill()
        printed = [(file.seek(0), file.read().decode())[1] for file in (out, err)]
    lines = [text.replace("\r\n", "\n").replace("\r", "\n") for text in printed]
    return subprocess.CompletedProcess(arguments, process.wait(), *lines)


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
