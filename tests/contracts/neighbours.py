"""A search method that no file of the package knows: it tries the neighbours of the best point so far."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from tunesmith.compute.search.samplers import SAMPLERS, SearchMethod, register
from tunesmith.compute.search.samplers.learner import Learner, best_first


class Neighbours(Learner):
    """Eight points at a time around the best one, after `n_initial` that are spread over the region."""

    def size(self, batch: int, start: int) -> int:
        return 8 if batch else self.problem.options.n_initial or 16

    def propose(self, batch: int, n: int, rng: np.random.Generator) -> NDArray[np.float64]:
        best = self.points[best_first(self.scores[:, 0])[:1]]
        around = self.region.to_unit(best) + rng.normal(0.0, 0.1, (4 * n, len(self.axes)))
        none = self.points[:0]
        return self.filled(self.known.new(self.region.from_unit(around.clip(0.0, 1.0 - 1e-9)), none), n, rng)


NEIGHBOURS = SearchMethod("neighbours", Neighbours, ("n_initial",), learns=True)


@contextmanager
def neighbours() -> Iterator[None]:
    """The method stands in the table within."""
    register(NEIGHBOURS)
    yield
    del SAMPLERS["neighbours"]
