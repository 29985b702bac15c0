"""Latin hypercube: each axis of the unit cube is cut into as many parts as the design has points, one point in each.

McKay, Beckman & Conover 1979. The parts of an axis are taken in a pseudo-random order of their own, and each point lies
at random within its part. With conditions the design has as many more points as fall outside the region; see
`space_filling` for what becomes of points that break conditions or repeat others.
"""

from __future__ import annotations

import math

import numpy as np

from tunesmith.compute.search.samplers.random_order import Permutation
from tunesmith.compute.search.samplers.sampler import Problem
from tunesmith.compute.search.samplers.space_filling import MOST_POSITIONS, SpaceFilling
from tunesmith.domain.array_types import Floats

_WORDS_PER_COUNTER = 4
_WITHIN, _ORDER = 0, 1


class LatinHypercube(SpaceFilling):
    """A design for all of the problem's trials: a problem of more trials has another design."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        share = max(self.region.share, 1.0 / MOST_POSITIONS)
        self.n_positions = math.ceil(self.n_trials / share)
        axes = range(self.region.n_dimensions)
        self._orders = [Permutation(self.n_positions, (problem.seed, _ORDER, axis)) for axis in axes]

    def unit(self, start: int, stop: int) -> Floats:
        n_axes = len(self._orders)
        counters = max(1, -(-n_axes // _WORDS_PER_COUNTER))
        bits = np.random.Philox(np.random.SeedSequence((self.problem.seed, _WITHIN))).advance(start * counters)
        unit = np.random.Generator(bits).random((stop - start, counters * _WORDS_PER_COUNTER))[:, :n_axes]
        positions = np.arange(start, stop)
        for axis, order in enumerate(self._orders):
            unit[:, axis] += order(positions)
        return np.minimum(unit / self.n_positions, 1.0 - 2.0**-53)
