"""Which points a search knows, and where there are new ones."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from tunesmith.compute.search.feasible_space import Region
from tunesmith.domain.array_types import Floats

_LISTED = 65_536
"""Grids up to this size are listed, so that the last points left are found as quickly as the first."""

_TRIES = 64
_MOST_DRAWN = 65_536


class Known:
    """The points of `region` that were told, `most` being how many it has at most."""

    def __init__(self, region: Region) -> None:
        self._region = region
        self._keys: set[bytes] = set()
        self._n_learned = 0
        self._all: Floats | None = None
        self.most = min(region.n_cells, sys.maxsize) if region.is_discrete else sys.maxsize
        if region.is_discrete and region.n_cells <= _LISTED:
            cells = region.points_at(np.arange(region.n_cells))
            self._all = cells[region.valid(cells)]
            self._all_keys = keys(self._all)
            self.most = len(self._all)

    def learn(self, points: Floats) -> None:
        """Take note of all `points` told so far float64[n, p], of which those known before come first."""
        self._keys.update(keys(points[self._n_learned :]))
        self._n_learned = max(self._n_learned, len(points))

    def new(self, points: Floats, beside: Floats | None = None) -> Floats:
        """Those of `points` float64[n, p] that are valid and neither known nor in `beside`, each once, in order."""
        if not len(points):
            return points
        seen = set() if beside is None else set(keys(beside))
        keep = np.flatnonzero(self._region.valid(points))
        fresh = []
        for row, key in zip(keep, keys(points[keep]), strict=True):
            if key not in self._keys and key not in seen:
                seen.add(key)
                fresh.append(row)
        return points[fresh]

    def left(self, beside: Floats) -> Floats | None:
        """All new points beside `beside`, where the region is small enough to be listed; float64[n, p]."""
        if self._all is None:
            return None
        taken = self._keys.union(keys(beside))
        return self._all[[i for i, key in enumerate(self._all_keys) if key not in taken]]

    def draw(self, n: int, beside: Floats, rng: np.random.Generator) -> Floats:
        """`n` new points at random beside `beside`, or as many as there are; float64[<= n, p]."""
        left = self.left(beside)
        if left is not None:
            return left[rng.permutation(len(left))[:n]]
        found, start, seed = beside, 0, int(rng.integers(2**62))
        for _ in range(_TRIES):
            missing = len(beside) + n - len(found)
            if missing <= 0:
                break
            stop = start + min(max(2 * missing, start, 16), _MOST_DRAWN)
            found = np.concatenate([found, self.new(self._region.draw(seed, start, stop), found)])
            start = stop
        return found[len(beside) : len(beside) + n]


def keys(points: Floats) -> list[bytes]:
    """What tells points float64[n, p] apart: the bytes of each row, -0 being 0."""
    rows = np.ascontiguousarray(points + 0.0)
    if not rows.size:
        return [b""] * len(points)
    found: Any = rows.view(np.dtype((np.void, rows.shape[1] * rows.itemsize))).ravel().tolist()
    return list(found)
