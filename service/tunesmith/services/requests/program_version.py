"""Which program computes and decides: hashes over whole packages, the libraries and the kind of machine.

They are part of every cache key and of every verdict's evidence. A number that was computed by other code is then never
taken from the cache, and a replay can say that the program has changed. A list of files goes stale when a file is
added; these are the packages that the code which computes, or decides, may import, and a test compares them with the
import rules.
"""

from __future__ import annotations

import functools
import hashlib
import os
import platform
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

ENGINE = (
    "compute",
    "config.py",
    "domain",
    "errors.py",
    "protocol",
    "storage",
    "telemetry.py",
    "workers",
)
"""What computes numbers: the workers and everything that they may import."""

DECISIONS = ("masking.py", "plain_text.py", "services")
"""What decides beside the engine: the services and what else they may import."""

LIBRARIES = (
    "bidask",
    "deap",
    "exchange_calendars",
    "llvmlite",
    "msgspec",
    "numba",
    "numpy",
    "optuna",
    "pandas",
    "pyarrow",
    "scikit-learn",
    "scipy",
    "threadpoolctl",
    "vectorbt",
    "vectorbt-rust",
)
"""Libraries that numbers are computed with: those that `compute` and `domain` import, and vectorbt's second engine."""

PACKAGE = Path(__file__).resolve().parents[2]


@functools.cache
def engine_version() -> str:
    """Hash everything that decides a number; the same for as long as the process lives."""
    python = ".".join(platform.python_version_tuple()[:2])
    libraries = [f"{name} {_installed_version(name)}" for name in LIBRARIES]
    return _hash_of(ENGINE, "\n".join([platform.machine(), f"python {python}", *libraries]))


@functools.cache
def program_version() -> str:
    """Hash everything that decides a number, a verdict or a reply; the same for as long as the process lives."""
    return _hash_of(DECISIONS, engine_version())


def _hash_of(rooms: Sequence[str], beside: str) -> str:
    digest = hashlib.sha256(f"{beside}\n".encode())
    for room in rooms:
        for name, content in _contents(room):
            digest.update(f"{name} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def _contents(room: str) -> Iterator[tuple[str, bytes]]:
    """Each file of a package, or one module, with its path in `PACKAGE`; in the order of their paths."""
    if room.endswith(".py"):
        yield room, (PACKAGE / room).read_bytes()
        return
    for folder, folders, files in os.walk(PACKAGE / room):
        folders[:] = sorted(name for name in folders if name != "__pycache__")
        below = Path(folder).relative_to(PACKAGE).as_posix()
        for name in sorted(files):
            yield f"{below}/{name}", _content_of(f"{folder}/{name}")


def _content_of(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - hundreds of them while the daemon starts
        return file.read()


def _installed_version(name: str) -> str:
    # `importlib.metadata.version` parses the whole file, which takes 15 ms for numpy's.
    try:
        head = (distribution(name).read_text("METADATA") or "").partition("\nVersion:")[2]
    except PackageNotFoundError:
        return "absent"
    return head.partition("\n")[0].strip()
