"""Record golden bytes of the release that can be imported: `python -m golden.record [--archive]`, from tests/."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from golden import recordings
from golden.archive import make_archive
from golden.fixed import record_fixed
from golden.fresh import record_fresh
from golden.going_on import record_going_on

BRIEF_S = 65.0
"""The package of the market in bars of one second is over by then."""


def main(arguments: list[str]) -> int:
    """Record everything, with --archive the data directory too; the exit code."""
    if "--archive" in arguments:
        with tempfile.TemporaryDirectory() as folder:
            make_archive(Path(folder))
        time.sleep(BRIEF_S)
    with tempfile.TemporaryDirectory() as folder:
        for name, recording in record_fresh(Path(folder)).items():
            recordings.write(name, recording)
    with tempfile.TemporaryDirectory() as folder:
        recordings.write("going_on", record_going_on(Path(folder)))
    with tempfile.TemporaryDirectory() as folder:
        recordings.write("fixed", record_fixed(Path(folder)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
