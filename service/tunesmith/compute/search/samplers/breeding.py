"""Offspring: crossover and mutation in the unit cube, for genetic and nsga2.

The operators are those of DEAP (cxUniform, cxBlend, mutUniformInt, mutGaussian), on whole generations at once and with
a random stream of their own: DEAP's draw from Python's global one, which a search that resumes to the bit cannot share.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tunesmith.compute.search.samplers.axes import Axes
from tunesmith.compute.search.samplers.learner import Learner
from tunesmith.domain.array_types import Floats

_ALPHA = 0.5
"""How far a blend reaches beyond its parents, as a share of their distance (BLX-0.5, Eshelman & Schaffer 1993)."""

_ROUNDS = 8


@dataclass(frozen=True)
class Breeding:
    """Shares in [0, 1]: pairs that cross (`crossover`), axes of such a pair that blend instead of being swapped
    (`blend`), axes of an offspring that mutate (`mutation`).
    """

    crossover: float
    blend: float
    mutation: float

    @classmethod
    def of(cls, learner: Learner) -> Breeding:
        """As the options of the learner's problem say, and the defaults where they are silent."""
        options = learner.problem.options
        return cls(
            crossover=0.9 if options.crossover is None else options.crossover,
            blend=0.5 if options.blend is None else options.blend,
            mutation=1.0 / max(len(learner.axes), 1) if options.mutation is None else options.mutation,
        )

    def offspring(self, axes: Axes, mothers: Floats, fathers: Floats, rng: np.random.Generator) -> Floats:
        """One offspring of each pair of `mothers` and `fathers` float64[n, d]; float64[n, d]."""
        swapped = rng.random(mothers.shape) < 0.5
        blended = (rng.random(mothers.shape) < self.blend) & ~axes.categorical
        crossed = rng.random((len(mothers), 1)) < self.crossover
        reach = rng.uniform(-_ALPHA, 1.0 + _ALPHA, mothers.shape)
        child = np.where(blended, mothers + reach * (fathers - mothers), np.where(swapped, fathers, mothers))
        child = np.where(crossed, child, mothers)
        mutates = rng.random(mothers.shape) < self.mutation
        return np.where(mutates, self._mutated(axes, child, rng), _reflected(child))

    def _mutated(self, axes: Axes, unit: Floats, rng: np.random.Generator) -> Floats:
        """A choice becomes any other; a number takes a normal step of a scale anywhere from one cell to a half."""
        scale = np.exp(rng.uniform(np.log(np.minimum(axes.cell, 0.5)), np.log(0.5), unit.shape))
        step = rng.standard_normal(unit.shape) * scale
        discrete = np.sign(step) * np.maximum(np.abs(step), axes.cell)
        moved = _reflected(unit + np.where(axes.sizes > 0, discrete, step))
        other = (unit + rng.integers(1, np.maximum(axes.sizes, 2), unit.shape) / np.maximum(axes.sizes, 1)) % 1.0
        return np.where(axes.categorical, other, moved)


def breed(
    learner: Learner,
    breeding: Breeding,
    pairs: Callable[[int], tuple[Floats, Floats]],
    n: int,
    rng: np.random.Generator,
) -> Floats:
    """`n` new points bred of `pairs(m)`, parents float64[m, d] each, or as many as there are; float64[<= n, p].

    An offspring that is known has its score already, and takes no trial; where hardly any is new, the rest is random.
    """
    found = learner.points[:0]
    for _ in range(_ROUNDS):
        mothers, fathers = pairs(n + 8)
        children = learner.region.from_unit(breeding.offspring(learner.axes, mothers, fathers, rng))
        found = np.concatenate([found, learner.known.new(children, found)])
        if len(found) >= n:
            break
    return learner.filled(found, n, rng)


def _reflected(unit: Floats) -> Floats:
    """`unit` folded back at the ends of [0, 1]."""
    folded = np.abs(unit) % 2.0
    return np.where(folded > 1.0, 2.0 - folded, folded)
