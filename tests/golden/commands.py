"""Commands of `tunesmith` run in one process after another's fashion: exit code, standard output as JSON, errors."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any


def run(folder: Path, commands: list[list[str]], environ: dict[str, str]) -> list[dict[str, Any]]:
    """What each command says on the data directory `folder`, one after the other in one process."""
    asked = json.dumps([[*command, "--data-dir", str(folder)] for command in commands])
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TUNESMITH_")}
    caches = {name: value for name, value in os.environ.items() if name == "TUNESMITH_KERNEL_CACHE"}
    done = subprocess.run(
        [sys.executable, __file__],
        input=asked,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**kept, **caches, **environ, "COLUMNS": "80", "TERM": "dumb"},
    )
    assert done.returncode == 0, done.stderr
    said: list[dict[str, Any]] = json.loads(done.stdout)
    return said


def _one(arguments: list[str]) -> dict[str, Any]:
    from tunesmith.cli import main

    sys.argv = ["tunesmith", *arguments]
    out, err, code = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
    text = out.getvalue()
    try:
        told = json.loads(text)
    except ValueError:
        told = text
    return {"command": arguments[:-2], "code": code, "out": told, "err": err.getvalue()}


if __name__ == "__main__":
    print(json.dumps([_one(arguments) for arguments in json.load(sys.stdin)]))
