"""Random search: uniform points that keep the conditions, none of them twice.

1. A discrete region whose size is exact: trial i is the cell at position i of a pseudo-random permutation of all cells.
2. A discrete region with a tie too large to be listed: blocks of trials own equal parts of the permuted cells, and take
   from their part, in order, those that keep the conditions. So that no part runs dry, there are at most half as many
   trials as the region is estimated to have points.
3. A continuous region, or one of more cells than can be permuted: each trial draws until the conditions hold.
"""

from __future__ import annotations

import numpy as np

from tunesmith.compute.search.samplers.random_order import LARGEST, Permutation
from tunesmith.compute.search.samplers.sampler import NonLearning, Problem
from tunesmith.domain.array_types import Floats

_BLOCK = 1024


class Random(NonLearning):
    """`n_trials` draws, or every point once where the region has fewer. Raises `Invalid` where it has none."""

    def __init__(self, problem: Problem) -> None:
        self.region, self.seed, self.n_trials = problem.region, problem.seed, problem.n_trials
        self.acceptance = self.region.acceptance
        self._permutation: Permutation | None = None
        if self.region.is_discrete:
            size = self.region.size
            self.n_trials = min(self.n_trials, size.n if size.exact else max(1, size.n // 2))
            if self.region.n_cells <= LARGEST:
                self._permutation = Permutation(self.region.n_cells, self.seed)
        self._block_number, self._block = -1, np.empty((0, len(self.region.space.parameters)))

    def ask(self, start: int, stop: int) -> Floats:
        stop = min(stop, self.n_trials)
        if start >= stop:
            return self._block[:0]
        if self._permutation is None:
            return self.region.draw(self.seed, start, stop)
        if self.region.size.exact:
            return self.region.points_at(self._permutation(np.arange(start, stop)))
        numbers = range(start // _BLOCK, -(-stop // _BLOCK))
        blocks = np.concatenate([self._points_of(number, self._permutation) for number in numbers])
        return blocks[start - numbers[0] * _BLOCK : stop - numbers[0] * _BLOCK]

    def _points_of(self, number: int, permutation: Permutation) -> Floats:
        """The points of one block of trials; float64[_BLOCK, p]."""
        if number != self._block_number:
            width = permutation.n // -(-self.n_trials // _BLOCK)
            position, end = number * width, (number + 1) * width
            slice_size = int(_BLOCK / self.acceptance) + _BLOCK
            found, n_found = [], 0
            while n_found < _BLOCK and position < end:
                cells = permutation(np.arange(position, min(end, position + slice_size)))
                points = self.region.points_at(cells)
                found.append(points[self.region.valid(points)])
                n_found += len(found[-1])
                position += slice_size
            self._block_number, self._block = number, np.concatenate(found)[:_BLOCK]
        return self._block
