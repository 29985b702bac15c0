"""Record golden bytes of the release that can be imported: `python -m golden.record`, from tests/."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from golden import recordings
from golden.fresh import record_fresh


def main() -> int:
    """Record everything; the exit code."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        for name, recording in record_fresh(Path(folder)).items():
            recordings.write(name, recording)
        print(f"{time.monotonic() - began:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
