"""Where compiled kernels are kept, and the decorator that compiles them.

numba recompiles a function when the file that holds it changes, but not when a function it calls does, and it writes
beside the source, which may be read-only. So the kernels are cached below a folder of our choice, in a subfolder named
after a hash of every kernel's source. The folder is, in this order: `TUNESMITH_KERNEL_CACHE`, `NUMBA_CACHE_DIR`, the
user's cache directory, the system's temporary directory.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numba

F = TypeVar("F", bound=Callable[..., Any])

_SOURCES = ("kernels/*.py", "simulation/*.py", "measures/*.py", "strategies/*.py", "indicators/*.py")


def cache_folder() -> Path:
    """The folder that holds this version's compiled kernels; made when missing."""
    stamp = _source_stamp()
    for folder in _candidates():
        path = folder / stamp
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.mkdir(exist_ok=True)
            tempfile.TemporaryFile(dir=path).close()
            is_ours = folder.stat().st_uid == os.getuid()
        except OSError:
            continue
        # What is in a cache is executed: a folder that another user has laid out is not taken.
        if is_ours:
            return path
    raise OSError("no folder to keep compiled kernels in; set TUNESMITH_KERNEL_CACHE to a writable one")


def kernel(function: F, *, allocates: bool = False) -> F:
    """Compile `function` on its first call: no Python objects, GIL released, IEEE arithmetic, result cached on disk.

    `allocates` lets it, and what is compiled with it, make arrays.
    """
    with _lock:
        before = numba.config.CACHE_DIR
        numba.config.CACHE_DIR = str(_FOLDER)
        try:
            compiled: F = numba.njit(nogil=True, cache=True, error_model="numpy", _nrt=allocates)(function)
        finally:
            numba.config.CACHE_DIR = before
    forgive(compiled)
    return compiled


def inlined(function: F) -> F:
    """A part of kernels, compiled into each caller: handing tuples of arrays to a call costs more than the work."""
    part: F = numba.njit(error_model="numpy", forceinline=True, _nrt=False)(function)
    return part


def forgive(compiled: Any) -> None:
    """Have a kernel that the disk does not take (full, read-only) stay in this process's memory alone."""
    cache = compiled._cache
    save = cache.save_overload

    def save_overload(*overload: Any) -> None:
        with contextlib.suppress(OSError):
            save(*overload)

    cache.save_overload = save_overload


def _candidates() -> Iterator[Path]:
    for variable in ("TUNESMITH_KERNEL_CACHE", "NUMBA_CACHE_DIR"):
        if os.environ.get(variable):
            yield Path(os.environ[variable]).expanduser()
    user = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    yield Path(user).expanduser() / "tunesmith" / "kernels"
    yield Path(tempfile.gettempdir()) / f"tunesmith-kernels-{os.getuid()}"


def _source_stamp() -> str:
    here = Path(__file__).parents[1]
    digest = hashlib.sha256(numba.__version__.encode())
    for pattern in _SOURCES:
        for path in sorted(here.glob(pattern)):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


_FOLDER = cache_folder()
_lock = threading.Lock()
