"""Search methods: which points to try, in which order.

One file a method, one line in `SAMPLERS`. Trial i depends on the space, the seed and i alone, never on who runs it or
how many run at once, so that a search can be split into ranges of trials, stopped and resumed to the bit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tunesmith.compute.samplers.grid import Grid
from tunesmith.compute.samplers.random import Random
from tunesmith.domain.space import Space


class Sampler(Protocol):
    """A search method bound to a space: `n_trials` trials, of which any range can be asked for."""

    @property
    def n_trials(self) -> int: ...

    def ask(self, start: int, stop: int) -> NDArray[np.float64]:
        """Points of the trials start to stop (exclusive); float64[stop - start, p]."""
        ...


SAMPLERS: dict[str, Callable[[Space, int, int], Sampler]] = {"grid": Grid, "random": Random}
"""Method name → `(space, max_iterations, seed) -> Sampler`."""


AUTO_GRID = 10_000
"""Points up to which `auto` takes the whole grid, though `max_iterations` be less: that is a second or two."""


def choose_method(space: Space, method: str | None, max_iterations: int) -> str:
    """`method`, or for "auto" and None: the grid where it is discrete and cheap, else random."""
    if method not in (None, "auto"):
        return method
    return "grid" if space.is_discrete and space.size <= max(max_iterations, AUTO_GRID) else "random"
