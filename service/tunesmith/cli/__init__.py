"""The command line. It talks to the daemon through `tunesmith.client` and starts it as `python -m tunesmith.app`."""

from __future__ import annotations

import sys

from tunesmith.errors import TunesmithError


def main() -> None:
    """Entry point of `tunesmith`: runs the command, prints refusals as one line and exits 1, usage errors exit 2."""
    try:
        from tunesmith.cli.commands import app
    except ModuleNotFoundError as error:
        if (error.name or "tunesmith").startswith("tunesmith"):
            raise
        sys.exit(f"The command line needs the package {error.name}: pip install 'tunesmith[service]'")
    try:
        app()
    except TunesmithError as error:
        sys.exit(f"tunesmith: {error.message}")
    except KeyboardInterrupt:
        sys.exit(130)
