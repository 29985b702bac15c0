"""Sobol's sequence, scrambled by the seed: each power of two of its points is spread evenly (Sobol 1967, Owen 1998).

Joe & Kuo's direction numbers and the scrambling are SciPy's (`scipy.stats.qmc.Sobol`). See `space_filling` for what
becomes of points that break conditions or repeat others.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from tunesmith.compute.search.samplers.sampler import Problem
from tunesmith.compute.search.samplers.space_filling import MOST_POSITIONS, SpaceFilling
from tunesmith.domain.array_types import Floats

_BITS = 30
_BLOCK = 1024


class Sobol(SpaceFilling):
    """A problem of more trials begins with the same ones, as long as the sequence has new points for them."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(replace(problem, n_trials=min(problem.n_trials, 2**_BITS)))
        self.n_positions = min(MOST_POSITIONS * self.n_trials, 2**_BITS)
        self._sequence: Any = None

    def unit(self, start: int, stop: int) -> Floats:
        if not self.region.n_dimensions:
            return np.zeros((stop - start, 0))
        first = start // _BLOCK * _BLOCK
        if self._sequence is None or self._sequence.num_generated > first:
            self._sequence = self._start()
        if self._sequence.num_generated < first:
            self._sequence.fast_forward(first - self._sequence.num_generated)
        blocks = [self._sequence.random(_BLOCK) for _ in range(first, stop, _BLOCK)]
        return np.concatenate(blocks)[start - first : stop - first]

    def _start(self) -> Any:
        from scipy.stats import qmc

        return qmc.Sobol(self.region.n_dimensions, bits=_BITS, seed=np.random.default_rng(self.problem.seed))
