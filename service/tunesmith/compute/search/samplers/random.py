"""Random search: uniform points that keep the conditions, none of them twice.

1. A discrete region whose size is exact: trial i is the cell at position i of a pseudo-random permutation of all cells.
2. A discrete region with a tie too large to be listed: blocks of trials own equal parts of the permuted cells, and take
   from their part, in order, those that keep the conditions. So that no part runs dry, there are at most half as many
   trials as the region is estimated to have points.
3. A discrete region of which some points are likelier than others (whole numbers of a log range): draws, each once.
4. A continuous region, or one of more cells than can be permuted: each trial draws until the conditions hold.
"""

from __future__ import annotations

import numpy as np

from tunesmith.compute.search.samplers.random_order import LARGEST, Permutation
from tunesmith.compute.search.samplers.sampler import NonLearning, Problem
from tunesmith.domain.array_types import Floats

_BLOCK = 1024


class Random(NonLearning):
    """`n_trials` draws, or every point once where the region has fewer. Raises `Invalid` where it has none.

    A discrete region's points are drawn once each. Where some are drawn more often than others, as the small numbers of
    a log range, draws that came before are left out, and what is never drawn comes in the end.
    """

    def __init__(self, problem: Problem) -> None:
        self.region, self.seed, self.n_trials = problem.region, problem.seed, problem.n_trials
        self.acceptance = self.region.acceptance
        self._permutation: Permutation | None = None
        if self.region.is_discrete:
            size = self.region.size
            self.n_trials = min(self.n_trials, size.n if size.exact else max(1, size.n // 2))
            if self.region.n_cells <= LARGEST:
                self._permutation = Permutation(self.region.n_cells, self.seed)
        self._distinct: _Distinct | None = None
        if self._permutation is not None and not all(d.has_equal_parts for d in self.region.dimensions):
            self._distinct = _Distinct(self)
        self._block_number, self._block = -1, np.empty((0, len(self.region.space.parameters)))

    def ask(self, start: int, stop: int) -> Floats:
        stop = min(stop, self.n_trials)
        if start >= stop:
            return self._block[:0]
        if self._permutation is None:
            return self.region.draw(self.seed, start, stop)
        return self.in_random_order(start, stop) if self._distinct is None else self._distinct.points(start, stop)

    def in_random_order(self, start: int, stop: int) -> Floats:
        """The points start to stop (exclusive) of a discrete region, each of them once and as likely as any other."""
        if self._permutation is None:
            return self._block[:0]
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


class _Distinct:
    """The points of a discrete region as they are drawn, each once: twice as many draws as trials, then the others."""

    def __init__(self, sampler: Random) -> None:
        self._sampler = sampler
        self._found = [np.empty((0, len(sampler.region.space.parameters)))]
        self._keys: set[bytes] = set()
        self._n_drawn = self._n_others = 0

    def points(self, start: int, stop: int) -> Floats:
        """The points of the trials start to stop (exclusive), float64[stop - start, p]; those before are made first."""
        while len(self._keys) < stop:
            fresh = self._draws() if self._n_drawn < 2 * self._sampler.n_trials else self._others()
            if not len(fresh):
                break
            new = []
            for row, point in enumerate(fresh + 0.0):
                key = point.tobytes()
                if key not in self._keys:
                    self._keys.add(key)
                    new.append(row)
            self._found.append(fresh[new])
        self._found = [np.concatenate(self._found)]
        return self._found[0][start:stop]

    def _draws(self) -> Floats:
        first, self._n_drawn = self._n_drawn, self._n_drawn + _BLOCK
        return self._sampler.region.draw(self._sampler.seed, first, self._n_drawn)

    def _others(self) -> Floats:
        first, self._n_others = self._n_others, self._n_others + _BLOCK
        if first >= self._sampler.n_trials:
            return self._found[0][:0]
        return self._sampler.in_random_order(first, min(self._n_others, self._sampler.n_trials))
