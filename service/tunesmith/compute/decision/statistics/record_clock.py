"""The record clock: how many independent tries the searches on one market amount to.

A user who searches again and again and asks for a verdict when the in-sample result is good has made as many tries as
those searches set records, however often a verdict was asked. On the first `N_DRAWS` shuffled markets each search adds
the share of the highest draws at which it beats all searches before it (Rényi 1962 for records of independent values).
The share is counted in 21sts of a try, with one draw added above and below, so that it is rather too large, and so that
the count is an integer, the same on every machine.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tunesmith.domain.array_types import Floats

N_DRAWS = 99
TAIL = 20
TRY = TAIL + 1
"""Ticks of one independent try."""


class Clock(NamedTuple):
    """The state after some searches: `ticks`, and the largest statistic so far on each draw, float64[`N_DRAWS`].

    `era_ms` is where the hold-out began when the last search was counted; None before the first.
    """

    ticks: int
    best: Floats
    era_ms: int | None = None

    @property
    def tries(self) -> float:
        """How many independent tries the ticks are."""
        return self.ticks / TRY


def new_clock() -> Clock:
    """A clock that has counted nothing."""
    return Clock(0, np.full(N_DRAWS, -np.inf))


def count_search(clock: Clock, null: Floats, era_ms: int, *, adds_nothing: bool = False) -> Clock:
    """Count a search by its null vector, float64[at least `N_DRAWS`], -inf on draws where it finds nothing.

    The first search, and the first after the hold-out has moved, is a whole try. `adds_nothing` says that the search
    tried nothing that an earlier one had not tried: it can set no record and costs nothing.
    """
    top = np.maximum(clock.best, null[:N_DRAWS])
    if clock.era_ms != era_ms:
        return Clock(clock.ticks + TRY, top, era_ms)
    if adds_nothing:
        return clock
    return Clock(clock.ticks + 1 + _records(clock.best, top), top, era_ms)


def _records(before: Floats, after: Floats) -> int:
    """On how many of the `TAIL` highest draws of `after` the level of the lowest of them was reached only now."""
    highest = np.lexsort((np.arange(N_DRAWS), -after))[:TAIL]
    level = after[highest[-1]]
    return int(np.sum((before[highest] < level) & (after[highest] > before[highest])))
