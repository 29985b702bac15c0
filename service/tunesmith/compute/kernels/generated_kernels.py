"""Generated kernels on disk, so that a rule is compiled once on a machine and not once in a process.

A kernel's source stands in a file named by the source's hash, in a folder named after a hash of the modules that it
imports; numba keeps the machine code beside it. Files appear by an atomic rename with a fixed time stamp, so that
processes that write the same kernel at once agree on it. The oldest are removed when there are too many: rules come
from the network.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tunesmith.compute.kernels.compiling import cache_folder
from tunesmith.compute.kernels.source_stamps import stamp_of_source

Kernel = Callable[..., None]

MAX_KEPT = 1_000
"""Kernels on disk, about 100 kB each; one that is loaded holds 1.5 MB of memory."""

PARTS: dict[str, Any] = {}
"""Compiled functions that generated kernels call, by the hash of what they are made of."""

_loaded: dict[str, Kernel] = {}
_lock = threading.Lock()


def kernel_name(source: str) -> str:
    """The name under which a kernel's source is kept."""
    return f"tunesmith_kernel_{hashlib.sha256(source.encode()).hexdigest()[:32]}"


def is_compiled(source: str) -> bool:
    """Whether this kernel is loaded, or has been compiled on this machine before."""
    name = kernel_name(source)
    return name in _loaded or any((_folder_of(source) / "__pycache__").glob(f"{name}.conditions-*.nbi"))


def n_loaded() -> int:
    """How many kernels this process holds; they stay until it ends."""
    return len(_loaded)


def load_kernel(source: str) -> Kernel:
    """The function `conditions` that `source` defines; compiled at its first call unless the cache has it.

    `source` is always the product's own (see `emit`). Safe from several threads and processes at once.
    """
    name = kernel_name(source)
    with _lock:
        if name not in _loaded:
            try:
                _loaded[name] = _import(name, _written(_folder_of(source), name, source))
            except FileNotFoundError:  # removed by another process between the two
                _loaded[name] = _import(name, _written(_folder_of(source), name, source))
        return _loaded[name]


def _folder_of(source: str) -> Path:
    return cache_folder(stamp_of_source(source))


def _written(folder: Path, name: str, source: str) -> Path:
    target = folder / f"{name}.py"
    if target.exists() and target.read_text(encoding="utf-8") == source:
        return target
    handle, temporary = tempfile.mkstemp(dir=folder, prefix=f".{name}", suffix=".tmp")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(source)
        os.utime(temporary, (0, 0))
        os.replace(temporary, target)  # noqa: PTH105 - the temporary name is text
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)  # noqa: PTH108
    _remove_oldest(folder)
    return target


def _remove_oldest(folder: Path) -> None:
    """Bring the kernels in `folder` down to nine tenths of `MAX_KEPT` where there are more than that."""
    born: list[tuple[float, Path]] = []
    for path in folder.glob("tunesmith_kernel_*.py"):
        with contextlib.suppress(FileNotFoundError):
            born.append((path.stat().st_ctime, path))
    surplus = len(born) - MAX_KEPT * 9 // 10 if len(born) > MAX_KEPT else 0
    for _, path in sorted(born)[:surplus]:
        for file in (path, *(folder / "__pycache__").glob(f"{path.stem}.*")):
            file.unlink(missing_ok=True)


def _import(name: str, path: Path) -> Kernel:
    # numba finds a kernel's module again by name when it loads machine code from the disk
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(str(path))
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    kernel: Kernel = module.conditions
    return kernel
