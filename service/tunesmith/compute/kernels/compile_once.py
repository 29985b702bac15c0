"""Processes that need the same kernel at the same time: one compiles it, the others wait and read what it has kept."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_LONGEST_WAIT_S = 120.0
"""After so long a process compiles for itself: whoever holds the lock may have been stopped."""
_PAUSE_S = 0.01

_held: set[Path] = set()


def compile_once(dispatcher: Any, lock: Path) -> None:
    """Have numba's `dispatcher` look into its cache and compile only while it holds the file `lock`.

    A lock that cannot be had, on a full or read-only disk or after `_LONGEST_WAIT_S`, is done without.
    """
    from numba.core.compiler_lock import global_compiler_lock

    compile_ = dispatcher.compile

    def compile_alone(signature: Any) -> Any:
        # The process's own lock comes first: threads that took the two in different orders would wait for each other.
        with global_compiler_lock, _alone(lock):
            return compile_(signature)

    dispatcher.compile = compile_alone


@contextlib.contextmanager
def _alone(lock: Path) -> Iterator[None]:
    descriptor = -1 if lock in _held else _open(lock)
    if descriptor < 0:
        yield
        return
    _held.add(lock)
    try:
        _wait_for(descriptor)
        yield
    finally:
        _held.discard(lock)
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_UN)  # a process forked off meanwhile has the descriptor as well
        os.close(descriptor)


def _open(lock: Path) -> int:
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        return os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        return -1


def _wait_for(descriptor: int) -> None:
    given_up = time.monotonic() + _LONGEST_WAIT_S
    while time.monotonic() < given_up:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_PAUSE_S)
        except OSError:
            return
        else:
            return


os.register_at_fork(after_in_child=_held.clear)
