"""Blocks of work shared among threads: useful because compiled kernels release the GIL."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor


def in_blocks(work: Callable[[int, int], object], n: int, length: int, n_threads: int) -> None:
    """Call `work(lo, hi)` for stretches of `length` that make up 0 … n - 1, each once, on up to `n_threads` threads.

    This thread is one of them, so that nothing waits for a thread to be free; each takes the next block when it is
    done with one. Returns when all are done; an exception of any block is raised.
    """
    blocks = iter(range(0, n, length))

    def take_turns() -> None:
        for lo in blocks:
            work(lo, min(lo + length, n))

    n_helpers = min(n_threads, -(-n // length)) - 1
    helpers = [_pool.submit(take_turns) for _ in range(n_helpers)]
    try:
        take_turns()
    finally:
        # A helper that has not begun by now has nothing left to do.
        begun = [helper for helper in helpers if not helper.cancel()]
        errors = [error for helper in begun if (error := helper.exception()) is not None]
    if errors:
        raise errors[0]


def _start() -> None:
    # Threads are kept for the next call, and are not there in a process forked off.
    global _pool
    _pool = ThreadPoolExecutor(max(os.cpu_count() or 1, 2), thread_name_prefix="tunesmith-compute")


_pool: ThreadPoolExecutor
_start()
os.register_at_fork(after_in_child=_start)
