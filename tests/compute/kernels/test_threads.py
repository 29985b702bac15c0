"""Blocks of work: each done once, by this thread where no other is free, in a forked process too."""

from __future__ import annotations

import os
import threading

import pytest

from tunesmith.compute.kernels.threads import in_blocks


@pytest.mark.parametrize("n", [0, 1, 10, 97])
@pytest.mark.parametrize("n_threads", [1, 2, 5])
def test_every_block_is_done_once(n: int, n_threads: int) -> None:
    done: list[tuple[int, int]] = []
    in_blocks(lambda lo, hi: done.append((lo, hi)), n, 10, n_threads)
    assert sorted(done) == [(lo, min(lo + 10, n)) for lo in range(0, n, 10)]


def test_two_threads_work_at_once() -> None:
    both = threading.Barrier(2, timeout=30)
    names: set[str] = set()

    def work(lo: int, hi: int) -> None:
        both.wait()
        names.add(threading.current_thread().name)

    in_blocks(work, 2, 1, 2)
    assert len(names) == 2


def test_a_mistake_in_any_block_is_raised_after_all_have_ended() -> None:
    both = threading.Barrier(2, timeout=30)
    here = threading.get_ident()

    def work(lo: int, hi: int) -> None:
        both.wait()
        if threading.get_ident() != here:
            raise ValueError("elsewhere")

    with pytest.raises(ValueError, match="elsewhere"):
        in_blocks(work, 2, 1, 2)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_nested_and_forked_work_does_not_wait_for_threads_that_are_not_there() -> None:
    done: list[int] = []
    in_blocks(lambda lo, hi: in_blocks(lambda a, b: done.append(a), 20, 1, 8), 20, 1, 8)
    assert len(done) == 400
    child = os.fork()
    if child == 0:
        counted: list[int] = []
        in_blocks(lambda lo, hi: counted.append(lo), 50, 1, 2)
        os._exit(0 if len(counted) == 50 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
