"""Points and what they are worth on one draw, each evaluated once however many searches tried it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from tunesmith.compute.decision.nulls.shuffled_ground import Statistics
from tunesmith.domain.array_types import Floats, Words
from tunesmith.errors import Internal

_ODD = np.uint64(0x9E3779B97F4A7C15)
_SHIFT = np.uint64(29)


class PointTable:
    """`evaluate` gives the statistics of points float64[n, p]; it is asked for what is not in the table yet."""

    def __init__(self, n_parameters: int, evaluate: Callable[[Floats], Statistics]) -> None:
        self._evaluate = evaluate
        self._keys = np.empty(0, np.uint64)
        self._points = np.empty((0, n_parameters))
        self._t = np.empty(0)
        self._counts = np.empty(0, np.bool_)

    def make(self, asked: Sequence[Floats]) -> None:
        """Evaluate all points of the arrays `asked`, float64[n, p] each, that are not there yet, in one call."""
        points = np.concatenate([np.empty((0, self._points.shape[1])), *asked])
        keys = keys_of(points)
        fresh, first = np.unique(keys, return_index=True)
        first = first[self._at(fresh) < 0]
        if not len(first):
            return
        new = points[first]
        order = np.lexsort(new.T[::-1]) if new.shape[1] else np.arange(len(new))  # a rule may have no parameters
        found = self._evaluate(np.ascontiguousarray(new[order]))
        self._keys = np.concatenate([self._keys, keys[first][order]])
        self._points = np.concatenate([self._points, new[order]])
        self._t = np.concatenate([self._t, found.t])
        self._counts = np.concatenate([self._counts, found.counts])
        rank = np.argsort(self._keys)
        self._keys, self._points, self._t = self._keys[rank], self._points[rank], self._t[rank]
        self._counts = self._counts[rank]

    def look(self, points: Floats) -> Statistics:
        """The statistics of `points` float64[n, p], which are in the table."""
        at = self._at(keys_of(points))
        if (at < 0).any() or not np.array_equal(self._points[at], points):
            raise Internal("a point was looked up that was not evaluated, or two points have one key of 64 bits")
        return Statistics(self._t[at], self._counts[at])

    def _at(self, keys: Words) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        """Where `keys` uint64[n] are in the table, -1 where they are not; int64[n]."""
        if not len(self._keys):
            return np.full(len(keys), -1)
        at = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        return np.where(self._keys[at] == keys, at, -1)


def keys_of(points: Floats) -> Words:
    """A number for each of `points` float64[n, p], the same for equal points, and for others by chance; uint64[n]."""
    key = np.zeros(len(points), np.uint64)
    for column in (points + 0.0).T:
        key = (key ^ np.ascontiguousarray(column).view(np.uint64)) * _ODD
        key ^= key >> _SHIFT
    return key
