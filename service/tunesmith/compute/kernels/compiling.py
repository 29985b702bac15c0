"""The decorators that make a Python function a compiled kernel, and the folder that keeps its machine code.

A kernel is compiled, and numba imported, at its first call: reading a rule or listing strategies needs neither. Machine
code is kept below the cache folder, in a subfolder named after a hash of all source that the kernel is compiled from
(see `source_stamps`), so a change in any of it is compiled anew. The cache folder is the first of these that can be
written: `TUNESMITH_KERNEL_CACHE`, `NUMBA_CACHE_DIR`, the user's cache directory, the system's temporary directory.
"""

from __future__ import annotations

import contextlib
import functools
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar, cast

from tunesmith.compute.kernels.compile_once import compile_once
from tunesmith.compute.kernels.source_stamps import stamp_of_file

F = TypeVar("F", bound=Callable[..., Any])


class Kernel:
    """A function that numba compiles when it is first called, from Python or from another kernel.

    It has every attribute of numba's dispatcher (`py_func`, `signatures`, `stats`).
    """

    def __init__(self, function: Callable[..., Any], options: dict[str, Any], *, beside: bool = False) -> None:
        functools.update_wrapper(self, function)
        self._function, self._options, self._beside = function, options, beside
        self._dispatcher: Any = None
        is_kept = options.get("cache", False) and not beside
        file = Path(function.__code__.co_filename)
        self._stamp = stamp_of_file(file, function.__module__) if is_kept else ""

    @property
    def compiled(self) -> Any:
        """numba's dispatcher, made at the first use."""
        if self._dispatcher is None:
            with _lock:
                if self._dispatcher is None:
                    self._dispatcher = self._made()
        return self._dispatcher

    @property
    def folder(self) -> Path | None:
        """Where the machine code is kept; None for a part of other kernels, and for one that is kept beside its
        source."""
        return cache_folder(self._stamp) if self._stamp else None

    @property
    def _numba_type_(self) -> Any:
        # numba asks this of every global that a kernel calls
        return self.compiled._numba_type_

    def __call__(self, *args: Any) -> Any:
        return self.compiled(*args)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.compiled, name)

    def _made(self) -> Any:
        import numba

        before = numba.config.CACHE_DIR
        numba.config.CACHE_DIR = str(self.folder or "")
        try:
            dispatcher = numba.njit(error_model="numpy", **self._options)(self._function)
        finally:
            numba.config.CACHE_DIR = before
        if self._options.get("cache"):
            _survive_full_disk(dispatcher)
            name = f"{Path(self._function.__code__.co_filename).stem}.{self._function.__qualname__}"
            compile_once(dispatcher, Path(dispatcher._cache.cache_path) / f"{name}.lock")
        return dispatcher


def kernel(function: F, *, allocates: bool = False, beside: bool = False) -> F:
    """Compile `function` on its first call: no Python objects, GIL released, IEEE arithmetic, result cached on disk.

    `allocates` lets it, and what is compiled with it, make arrays. `beside` keeps the machine code in the folder of the
    source: for a generated kernel, whose folder is named after what it imports already.
    """
    return cast(F, Kernel(function, {"nogil": True, "cache": True, "_nrt": allocates}, beside=beside))


def inlined(function: F) -> F:
    """A part of kernels, compiled into each caller: handing tuples of arrays to a call costs more than the work."""
    return cast(F, Kernel(function, {"forceinline": True, "_nrt": False}))


def cache_folder(stamp: str = "") -> Path:
    """The folder that holds compiled kernels, or the subfolder of those with that stamp; made when missing."""
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


def _candidates() -> Iterator[Path]:
    for variable in ("TUNESMITH_KERNEL_CACHE", "NUMBA_CACHE_DIR"):
        if os.environ.get(variable):
            yield Path(os.environ[variable]).expanduser()
    user = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    yield Path(user).expanduser() / "tunesmith" / "kernels"
    yield Path(tempfile.gettempdir()) / f"tunesmith-kernels-{os.getuid()}"


def _survive_full_disk(dispatcher: Any) -> None:
    """Have a kernel that the disk does not take (full, read-only) stay in this process's memory alone."""
    cache = dispatcher._cache
    save = cache.save_overload

    def save_overload(*overload: Any) -> None:
        with contextlib.suppress(OSError):
            save(*overload)

    cache.save_overload = save_overload


_lock = threading.RLock()
