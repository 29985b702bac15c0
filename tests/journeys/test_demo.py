"""The demo, as a new user runs it."""

from __future__ import annotations

import subprocess
import sys


def test_the_demo_ends_by_itself_and_the_bot_has_what_was_approved() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from tunesmith.cli import main; main()", "demo"],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    verdicts = [line.split()[1].rstrip(":") for line in lines if line.strip().startswith("verdict")]
    assert len(verdicts) == 2
    assert verdicts[1] == "approved", "the planted edge"
    assert sum(line.startswith("  package") for line in lines) == verdicts.count("approved")
    assert 'The grade "criteria"' in done.stdout
