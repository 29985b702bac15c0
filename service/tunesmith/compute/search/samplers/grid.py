"""Grid search: every point of the grid that keeps the conditions, the last dimension fastest, or each n-th of them."""

from __future__ import annotations

import numpy as np

from tunesmith.compute.search.feasible_space import Region
from tunesmith.compute.search.independent_parts import LISTED
from tunesmith.compute.search.samplers.sampler import NonLearning, Problem
from tunesmith.domain.array_types import Floats, Ints
from tunesmith.errors import Invalid

_SLICE = 2**16


class Grid(NonLearning):
    """All points, or with `every` each n-th, however many trials and whatever seed the problem names.

    An `every` that shares a factor with the number of values of the last dimensions never meets some of these: take a
    prime. Dimensions that conditions tie together count as one, at the place of the first of them. Nothing is made
    before it is asked, but where a tie is too large to be listed: then `every` counts all its combinations, and those
    of them that keep the conditions are listed here. Raises `Invalid` where there is none, or too many to go through.
    """

    def __init__(self, problem: Problem) -> None:
        self.region = problem.region
        self._every = problem.options.every or 1
        self._cells = None if self.region.size.exact else _valid_cells(self.region, self._every)
        self.n_trials = -(-self.region.size.n // self._every) if self._cells is None else len(self._cells)
        if not self.n_trials:
            path = self.region.conditions[-1].path
            raise Invalid(
                "no point of the grid keeps the conditions; widen the ranges, or make the steps finer", path=path
            )

    def ask(self, start: int, stop: int) -> Floats:
        stop = max(start, min(stop, self.n_trials))
        if self._cells is not None:
            return self.region.points_at(self._cells[start:stop])
        return self.region.points_at(np.arange(start, stop, dtype=np.int64) * self._every)


def _valid_cells(region: Region, every: int) -> Ints:
    n = -(-region.n_cells // every)
    if n > LISTED:
        raise Invalid(
            f"the conditions tie {region.n_cells:,} combinations together, and a grid goes through {LISTED:,} at most: "
            f"make the steps coarser, take every {-(-region.n_cells // LISTED):,}th, or use random",
            path=region.conditions[-1].path,
        )
    found = []
    for start in range(0, n, _SLICE):
        cells = np.arange(start, min(n, start + _SLICE), dtype=np.int64) * every
        found.append(cells[region.valid(region.points_at(cells))])
    return np.concatenate(found)
