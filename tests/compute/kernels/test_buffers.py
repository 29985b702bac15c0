"""Memory is lent to one at a time, and again when it is free."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from tunesmith.compute.kernels.buffers import Lent


def test_what_is_lent_is_free_again_when_the_block_ends() -> None:
    with Lent() as first, Lent() as second:
        here, there = first((3, 1000)), second(3000, np.float32)
        again = first((3, 1000), np.uint64)
        assert (here.shape, here.dtype, there.dtype, again.dtype) == ((3, 1000), np.float64, np.float32, np.uint64)
        assert not any(np.shares_memory(a, b) for a, b in ((here, there), (here, again), (there, again)))
    with Lent() as third:
        later = [third(3000), third(3000)]
        assert all(any(np.shares_memory(a, b) for b in (here, again)) for a in later)


def test_none_of_it_is_lent_to_two_threads_at_once() -> None:
    def work(mark: int) -> bool:
        with Lent() as new:
            mine = [new(n) for n in (0, 1, 5000, 700_000)]
            for array in mine:
                array[:] = mark
            return all((array == mark).all() for array in mine)

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(40)))
