"""The demo, as a new user runs it."""

from __future__ import annotations

import subprocess
import sys


def test_the_demo_ends_by_itself_with_a_tested_package_and_a_rejection() -> None:
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
    [real, planted] = [line.split()[1:] for line in lines if line.startswith("  verdict ")]
    assert real[0] in ("rejected", "paper"), "no edge was shown in these real candles"
    assert planted[0] == "approved", "the planted edge"
    assert "shuffled versions of this market" in " ".join(" ".join(lines).split()), "the reason, in figures"
    [package] = [line for line in lines if line.startswith("  package ")]
    assert "PLANTED/USDT" in package
    assert any(line.strip().startswith("grade tested, valid until") for line in lines)
    assert [line.split()[:3] for line in lines if line.startswith("  nothing ")] == [["nothing", "for", "BTC/USDT:"]]
