"""Zoom: successive narrowing around the best.

1. The first round is spread over the region, after the warm points.
2. Each of the next `rounds` rounds is spread over a box around the best so far, every side `shrink` times as long as in
   the round before, but never less than from one value to its neighbours. A choice stays at the best's value more
   often the smaller the box is.
3. Then the search begins again with a round over the whole region, and narrows around the best of all.

A box that has too few new points left is widened.
"""

from __future__ import annotations

import numpy as np

from tunesmith.compute.search.samplers.learner import Learner, best_first, latin_hypercube
from tunesmith.compute.search.samplers.sampler import Problem
from tunesmith.domain.array_types import Floats

_INITIAL = 12
_SHRINK = 0.6
_ROUNDS = 6
_TRIES = 4


class Zoom(Learner):
    """Defaults: `n_initial` 12 points, as many in every round after, `shrink` 0.6, `rounds` 6."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self._n_initial = problem.options.n_initial or _INITIAL
        self._shrink = problem.options.shrink or _SHRINK
        self._rounds = problem.options.rounds or _ROUNDS

    def size(self, batch: int, start: int) -> int:
        return self._n_initial

    def propose(self, batch: int, n: int, rng: np.random.Generator) -> Floats:
        narrowed = batch % (self._rounds + 1)
        if not narrowed or np.isnan(self.scores).all():
            return self.spread(n, rng)
        best = self.points[best_first(self.scores[:, 0])[:1]]
        side = self._shrink**narrowed
        found = self.points[:0]
        while len(found) < n and side < 2.0:
            for _ in range(_TRIES):
                box = self._box(self.region.to_unit(best)[0], side, n, rng)
                found = np.concatenate([found, self.known.new(self.region.from_unit(box), found)])[:n]
            side /= self._shrink
        return self.filled(found, n, rng)

    def _box(self, centre: Floats, side: float, n: int, rng: np.random.Generator) -> Floats:
        """`n` positions spread over the box around `centre` float64[d] within the unit cube; float64[n, d]."""
        cube = latin_hypercube(n, len(self.axes), rng)
        reach = np.maximum(side / 2.0, 1.5 * self.axes.cell)
        low, high = np.maximum(centre - reach, 0.0), np.minimum(centre + reach, 1.0)
        stays = self.axes.categorical & (rng.random(cube.shape) >= side)
        return np.where(stays, centre, np.where(self.axes.categorical, cube, low + cube * (high - low)))
