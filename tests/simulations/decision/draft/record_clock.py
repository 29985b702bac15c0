"""The record clock: how many independent tries the searches on one market amount to.

A user who searches again and again and asks for a verdict when the in-sample result is good has made as many tries as
those searches set records, however often a verdict was asked. On the first `N_DRAWS` permuted markets each search adds
the share of the highest draws at which it beats all searches before it (Rényi 1962 for records of independent values).
The share is counted in 21sts of a try, with one draw added above and below, so that it is rather too large, and so that
the count is an integer, the same on every machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

N_DRAWS = 99
TAIL = 20
TRY = TAIL + 1
"""Ticks of one independent try."""


class Clock(NamedTuple):
    """The state after some searches: `ticks`, and the largest statistic so far on each draw, float64[`N_DRAWS`].

    `boundary_ms` is where the hold-out began when the last search was counted; None before the first.
    """

    ticks: int
    best: NDArray[np.float64]
    boundary_ms: int | None = None

    @property
    def tries(self) -> float:
        """Independent tries, at least 1 after the first search."""
        return self.ticks / TRY


def new_clock() -> Clock:
    """A clock that has counted nothing."""
    return Clock(0, np.full(N_DRAWS, -np.inf))


def counted(clock: Clock, null: NDArray[np.float64], boundary_ms: int, *, dominated: bool = False) -> Clock:
    """Count a search by its null vector, float64[≥ `N_DRAWS`] (-inf: no eligible trial on that draw).

    The first search, and the first after the hold-out has moved, is a whole try. `dominated` says that the search tried
    nothing that an earlier one had not tried: it can set no record and costs nothing.
    """
    top = np.maximum(clock.best, null[:N_DRAWS])
    if clock.boundary_ms != boundary_ms:
        return Clock(clock.ticks + TRY, top, boundary_ms)
    if dominated:
        return Clock(clock.ticks, top, boundary_ms)
    return Clock(clock.ticks + 1 + _records(clock.best, top), top, boundary_ms)


def recounted(nulls: Sequence[NDArray[np.float64]], boundary_ms: int, ticks: int) -> Clock:
    """The clock with `ticks` whose searches are `nulls` on the draws of another boundary: nothing is counted anew."""
    best = np.full(N_DRAWS, -np.inf)
    for null in nulls:
        best = np.maximum(best, null[:N_DRAWS])
    return Clock(ticks, best, boundary_ms)


def _records(before: NDArray[np.float64], after: NDArray[np.float64]) -> int:
    """On how many of the `TAIL` highest draws of `after` the level of the lowest of them was reached only now."""
    highest = np.lexsort((np.arange(N_DRAWS), -after))[:TAIL]
    level = after[highest[-1]]
    return int(np.sum((before[highest] < level) & (after[highest] > before[highest])))
