"""What designs that fill a space have in common: positions in the unit cube, sifted to new points of the region.

1. Position j of the design becomes a point (`Region.from_unit`).
2. In a continuous region without conditions trial i is the point of position i.
3. Otherwise the trials are, in the order of the design, the points that keep the conditions and did not occur before:
   leaving points out of a design keeps the others as even as they were.
4. Where most points of the design that keep the conditions occurred before, because a discrete region is nearly used
   up, and where the design ends, the rest are trials of random search that did not occur before.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace

import numpy as np

from tunesmith.compute.search.samplers.random import Random
from tunesmith.compute.search.samplers.sampler import NonLearning, Problem
from tunesmith.domain.array_types import Floats

MOST_POSITIONS = 32
"""Positions looked at for each trial, at most."""
_SLICE = 4096
_LEAST_NEW = 0.25
"""Share of a slice's points in the region that must be new for the design to be worth going on with."""


class SpaceFilling(NonLearning, ABC):
    """A design; the subclass says how many positions it has, and where. Raises `Invalid` where the region is empty."""

    n_positions: int

    def __init__(self, problem: Problem) -> None:
        self.problem, self.region = problem, problem.region
        self.n_trials = Random(problem).n_trials
        self._is_sifted = self.region.is_discrete or bool(self.region.conditions)
        self._found = [np.empty((0, len(self.region.space.parameters)))]
        self._n_found = self._n_looked_at = self._n_spare = 0
        self._keys: set[bytes] = set()
        self._spare: Random | None = None

    @abstractmethod
    def unit(self, start: int, stop: int) -> Floats:
        """The positions start to stop (exclusive) of the design; float64[stop - start, n_dimensions] in [0, 1)."""

    def ask(self, start: int, stop: int) -> Floats:
        stop = min(stop, self.n_trials)
        if start >= stop:
            return self._found[0][:0]
        if not self._is_sifted:
            return self.region.from_unit(self.unit(start, stop))
        while self._n_found < stop and self._n_looked_at < self.n_positions:
            self._look()
        while self._n_found < stop and self._fill():
            pass
        if len(self._found) > 1:
            self._found = [np.concatenate(self._found)]
        return self._found[0][start:stop]

    def _look(self) -> None:
        first = self._n_looked_at
        self._n_looked_at = min(self.n_positions, first + _SLICE)
        points = self.region.from_unit(self.unit(first, self._n_looked_at))
        before = self._n_found
        kept = points[self.region.valid(points)]
        self._take(kept)
        if self._n_found - before < _LEAST_NEW * len(kept):
            self.n_positions = self._n_looked_at

    def _fill(self) -> bool:
        """Whether random search had trials left to take."""
        if self._spare is None:
            self._spare = Random(replace(self.problem, n_trials=2 * self.n_trials))
        points = self._spare.ask(self._n_spare, self._n_spare + _SLICE)
        self._n_spare += len(points)
        self._take(points)
        return len(points) > 0

    def _take(self, points: Floats) -> None:
        if self.region.is_discrete:
            new = []
            for row, point in enumerate(points + 0.0):
                key = point.tobytes()
                if key not in self._keys:
                    self._keys.add(key)
                    new.append(row)
            points = points[new]
        self._found.append(points)
        self._n_found += len(points)
