"""Genetic search: tournaments among the last generation and the best so far, crossover, mutation.

1. The first generation is spread over the region, after the warm points.
2. The parents of a generation are the `elite` best trials of all before it and the last ones told, `population` in all:
   a function of what was told, so that a search resumes without replaying its generations. The best is never lost.
3. Each parent of a pair wins a tournament of `tournament` parents drawn at random.
4. Pairs cross and offspring mutate (see `breeding`); an offspring that is known takes no trial.

Holland 1975; tournaments: Goldberg & Deb 1991.
"""

from __future__ import annotations

import numpy as np

from tunesmith.compute.search.samplers.breeding import Breeding, breed
from tunesmith.compute.search.samplers.learner import Learner, best_first
from tunesmith.compute.search.samplers.sampler import Problem
from tunesmith.domain.array_types import Floats, Ints

_POPULATION = 12
_GROWTH = 10
_ELITE = 0.5


class Genetic(Learner):
    """Defaults: `population` a tenth of the trials so far, at least 12, so that long searches come in few large
    generations; `crossover` 0.9, `blend` 0.5, `mutation` 1/d (one axis of an offspring, on average), `tournament` 3,
    `elite` half of the population.
    """

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        options = problem.options
        self._population = options.population
        self._elite = options.elite
        self._tournament = options.tournament or 3
        self._breeding = Breeding.of(self)

    def size(self, batch: int, start: int) -> int:
        return self._population or max(_POPULATION, start // _GROWTH)

    def propose(self, batch: int, n: int, rng: np.random.Generator) -> Floats:
        parents = self.region.to_unit(self.points[self._parents()])

        def pairs(m: int) -> tuple[Floats, Floats]:
            return self._winners(parents, m, rng), self._winners(parents, m, rng)

        return breed(self, self._breeding, pairs, n, rng)

    def _parents(self) -> Ints:
        """Trials that may become parents, the best first; int64[k]."""
        start = len(self.points)
        population = min(self.size(0, start), start)
        elite = min(round(_ELITE * population) if self._elite is None else self._elite, population)
        order = best_first(self.scores[:, 0])
        chosen, rest = order[:elite], order[elite:]
        last = np.sort(rest)[len(rest) - (population - elite) :]
        return np.concatenate([chosen, rest[np.isin(rest, last)]])

    def _winners(self, parents: Floats, n: int, rng: np.random.Generator) -> Floats:
        """The winners of `n` tournaments among `parents` float64[k, d], the best first; float64[n, d]."""
        winners: Ints = rng.integers(0, len(parents), (n, self._tournament)).min(axis=1)
        return parents[winners]
