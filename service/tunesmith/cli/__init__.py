"""The command line. It talks to the daemon through `tunesmith.client` and starts it as `python -m tunesmith.app`."""

from __future__ import annotations

import shutil
import sys
import textwrap
from typing import NoReturn

from tunesmith.errors import DeadlineExceeded, Invalid, TunesmithError

FAILED, USAGE, UNREACHABLE, NOT_APPROVED, INTERRUPTED = 1, 2, 3, 4, 130
"""Exit codes; 0 is done."""

_EXTRAS = {"typer": "cli", "rich": "cli", "cryptography": "verify"}


class WrongSettings(Invalid):
    """A setting that does not exist or is out of its bounds: wrong usage, not a refusal."""


def main() -> None:
    """Entry point of `tunesmith`: runs the command; a refusal is one line or two on standard error and an exit code."""
    try:
        from tunesmith.cli.commands import run

        sys.exit(run())
    except ModuleNotFoundError as error:
        if (error.name or "tunesmith").startswith("tunesmith"):
            raise
        extra = _EXTRAS.get(str(error.name), "service")
        _end(f"this needs the package {error.name}: pip install 'tunesmith[{extra}]'", FAILED)
    except WrongSettings as error:
        _end(error.message, USAGE)
    except DeadlineExceeded as error:
        _end(error.message, UNREACHABLE)
    except TunesmithError as error:
        _end(error.message, FAILED)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(FAILED)


def fit(text: str) -> list[str]:
    """The lines of a text, those that are wider than the terminal broken between words.

    A line of a command that goes on in the next one, after a backslash, stays whole: it is to be copied.
    """
    width = shutil.get_terminal_size().columns
    lines: list[str] = []
    for line in text.splitlines():
        if line.endswith(" \\"):
            lines.append(line)
            continue
        lines += textwrap.wrap(line, width, break_long_words=False, break_on_hyphens=False) or [""]
    return lines


def _end(says: str, code: int) -> NoReturn:
    print("\n".join(fit(f"tunesmith: {says}")), file=sys.stderr)
    sys.exit(code)
