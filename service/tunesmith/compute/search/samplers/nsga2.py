"""NSGA-II: several targets at once (Deb, Pratap, Agarwal & Meyarivan 2002).

1. The first generation is spread over the region, after the warm points.
2. Of the parents and their offspring together, `population` survive: better fronts first, of one front the less crowded
   (DEAP's non-dominated sort and crowding distance); trials without a score only where there is nothing else.
3. Parents meet in tournaments of two: the better front wins, then the less crowded.
4. Pairs cross and offspring mutate (see `breeding`); an offspring that is known takes no trial.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from deap.base import Fitness
from deap.tools import sortLogNondominated
from deap.tools.emo import assignCrowdingDist

from tunesmith.compute.search.samplers.breeding import Breeding, breed
from tunesmith.compute.search.samplers.learner import Learner, best_first
from tunesmith.compute.search.samplers.sampler import Problem
from tunesmith.domain.array_types import Floats, Ints

_POPULATION = 12
_GROWTH = 10
_LARGEST = 1e300
"""Infinite scores are taken as this, so that crowding distances are numbers."""


class NSGA2(Learner):
    """Defaults: `population` a tenth of the trials so far, at least 12; `crossover` 0.9, `blend` 0.5, `mutation` 1/d
    (one axis of an offspring on average).
    """

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem, most_targets=problem.n_targets)
        self._population = problem.options.population
        self._breeding = Breeding.of(self)
        self._fitness = type("Maximized", (Fitness,), {"weights": (1.0,) * problem.n_targets})
        self._survivors = np.empty(0, np.int64)
        self._selected = 0

    def size(self, batch: int, start: int) -> int:
        return self._population or max(_POPULATION, start // _GROWTH)

    def propose(self, batch: int, n: int, rng: np.random.Generator) -> Floats:
        for start, stop in pairwise(edge for edge in self.edges if self._selected <= edge <= len(self.points)):
            trials = np.concatenate([self._survivors, np.arange(start, stop)])
            self._survivors = self._select(trials, self.size(0, stop))
            self._selected = stop
        parents = self.region.to_unit(self.points[self._survivors])

        def pairs(m: int) -> tuple[Floats, Floats]:
            first, second = rng.integers(0, len(parents), (2, m, 2)).min(axis=2)
            return parents[first], parents[second]

        return breed(self, self._breeding, pairs, n, rng)

    def _select(self, trials: Ints, n: int) -> Ints:
        """At most `n` of `trials` int64[m], the better front first, then the less crowded; int64[k]."""
        if self.problem.n_targets == 1:
            return trials[best_first(self.scores[trials, 0])][:n]
        scored = ~np.isnan(self.scores[trials]).any(axis=1)
        scores = np.clip(self.scores[trials[scored]], -_LARGEST, _LARGEST)
        rows = [
            _Individual(self._fitness(row), trial) for trial, row in zip(trials[scored], scores.tolist(), strict=True)
        ]
        chosen = []
        for front in sortLogNondominated(rows, n) if rows else []:
            assignCrowdingDist(front)
            chosen += [row.trial for row in sorted(front, key=lambda row: (-row.fitness.crowding_dist, row.trial))]
        return np.array([*chosen, *trials[~scored]], np.int64)[:n]


class _Individual:
    """What DEAP selects: something with a fitness."""

    __slots__ = ("fitness", "trial")

    def __init__(self, fitness: Fitness, trial: int) -> None:
        self.fitness = fitness
        self.trial = trial
