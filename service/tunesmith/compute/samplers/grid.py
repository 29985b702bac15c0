"""Grid search: every point of the grid, the last dimension fastest."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tunesmith.domain.space import Space


class Grid:
    """All points of the grid; `max_iterations` and `seed` do not matter. Nothing is materialized before it is asked."""

    def __init__(self, space: Space, max_iterations: int = 0, seed: int = 0) -> None:
        self.space = space

    @property
    def n_trials(self) -> int:
        return self.space.size

    def ask(self, start: int, stop: int) -> NDArray[np.float64]:
        return self.space.grid(start, stop)
