"""What the worker of a checkup runs: the daemon's own chunk table and warm-up, and a look around."""

from __future__ import annotations

import importlib
import time
from typing import Any

from tunesmith.compute.kernels.compiling import cache_folder
from tunesmith.compute.strategies.installed import installed
from tunesmith.workers.chunks.chunk_table import CHUNKS as CHUNKS_OF_DAEMON
from tunesmith.workers.chunks.warm_ups import load_kernels

_warm_up: dict[str, Any] = {}


def warm_up() -> None:
    """The daemon's warm-up, timed; whether kernels were compiled or came from the cache."""
    folder = cache_folder()
    n_before = _n_kernels()
    began = time.monotonic()
    load_kernels()
    _warm_up.update(
        folder=str(folder),
        n_cached=n_before,
        n_compiled=_n_kernels() - n_before,
        seconds=time.monotonic() - began,
    )


def look(packages: list[str]) -> dict[str, Any]:
    """`packages`: for each module its version, or the error of importing it here; `kernels`: how the warm-up went.

    `strategies`: the ids of the installed strategies, and `failures`: the entry points that gave none.
    """
    found = installed()
    return {
        "packages": {name: _imported(name) for name in packages},
        "kernels": _warm_up,
        "strategies": list(found.strategies),
        "failures": [failure._asdict() for failure in found.failures],
    }


def _imported(name: str) -> dict[str, str | None]:
    try:
        module = importlib.import_module(name)
    except Exception as error:  # whatever a broken package raises is the finding
        return {"error": f"{type(error).__name__}: {error}", "version": None}
    return {"error": None, "version": str(getattr(module, "__version__", ""))}


def _n_kernels() -> int:
    return sum(1 for _ in cache_folder().rglob("*.nbc"))


CHUNKS = {**CHUNKS_OF_DAEMON, "look": look}
