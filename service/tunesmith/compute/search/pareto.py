"""Non-dominated rows: the maxima of a set of vectors.

Kung, Luccio & Preparata 1975, "On finding the maxima of a set of vectors": distinct rows in descending lexicographic
order can only be dominated by earlier ones, so halves are solved apart and the second is held against the first, in one
dimension less. That comparison splits both sets by the median of a dimension; in two dimensions it is a sweep.
O(n log n) for two columns, O(n log^(k-2) n) for k > 2, whatever the data.
"""

from __future__ import annotations

import numpy as np

from tunesmith.domain.array_types import Flags, Floats, Ints

_SMALL = 48
_MAX_SWEEPS = 64
_FEW_PAIRS = 20_000


def non_dominated(rows: Floats) -> Ints:
    """Indices of the rows of float64[n, k] that no row dominates (all columns at least as large, one larger).

    int64[m], by descending first column, then second, …; of equal rows the first stands for all. All are finite.
    """
    if not len(rows):
        return np.empty(0, np.int64)
    left = _without_the_plainly_dominated(rows)
    rows = rows[left]
    order = np.lexsort([left, *(-rows[:, column] for column in reversed(range(rows.shape[1])))])
    ordered = rows[order]
    distinct = np.concatenate([[True], (ordered[1:] != ordered[:-1]).any(axis=1)])
    order, ordered = order[distinct], np.ascontiguousarray(ordered[distinct])
    return np.asarray(left[order[_maxima(ordered)]], np.int64)


def _without_the_plainly_dominated(rows: Floats) -> Ints:
    """Indices of the rows that the ones with the greatest sums of scaled columns do not dominate, ascending.

    Of most sets of trials few are left; the sweep goes on while a pass takes one row in fifty away.
    """
    left = np.arange(len(rows))
    low = rows.min(axis=0)
    span = rows.max(axis=0) - low
    sums = np.divide(rows - low, span, out=np.zeros_like(rows), where=span > 0.0).sum(axis=1)
    for _ in range(_MAX_SWEEPS):
        if len(left) <= _SMALL:
            break
        at = int(np.argmax(sums[left]))
        strongest = rows[left[at]]
        sums[left[at]] = -1.0
        keep = (rows[left] > strongest).any(axis=1) | (rows[left] == strongest).all(axis=1)
        n_before, left = len(left), left[keep]
        if n_before - len(left) < n_before // 50:
            break
    return left


def _maxima(rows: Floats) -> Ints:
    """Indices of the non-dominated of distinct rows in descending order, ascending."""
    n, k = rows.shape
    if k == 1:
        return np.zeros(1, np.int64)
    if k == 2:
        before = np.concatenate([[-np.inf], np.maximum.accumulate(rows[:-1, 1])])
        keep = rows[:, 1] > before
        keep[0] = True
        return np.flatnonzero(keep)
    if n <= _SMALL:
        return np.flatnonzero(~_covered_by_earlier(rows))
    half = n // 2
    first = _maxima(rows[:half])
    second = half + _maxima(rows[half:])
    beaten = _covered(rows[second][:, 1:], rows[first][:, 1:])
    return np.concatenate([first, second[~beaten]])


def _covered_by_earlier(rows: Floats) -> Flags:
    at_least = np.asarray((rows[np.newaxis, :, 1:] >= rows[:, np.newaxis, 1:]).all(axis=2), bool)
    earlier = np.tri(len(rows), k=-1, dtype=bool)
    return np.asarray((at_least & earlier).any(axis=1))


def _covered(rows: Floats, by: Floats) -> Flags:
    """Which of `rows` float64[n, d] have a row of `by` float64[m, d] that is at least as large in every column."""
    n, d = rows.shape
    if not n or not len(by):
        return np.zeros(n, bool)
    if d == 1:
        return np.asarray(rows[:, 0] <= by[:, 0].max())
    if d == 2:
        return _covered_in_plane(rows, by)
    if n * len(by) <= _FEW_PAIRS:
        at_least = np.asarray((by[np.newaxis] >= rows[:, np.newaxis]).all(axis=2), bool)
        return np.asarray(at_least.any(axis=1))
    values = np.concatenate([rows[:, 0], by[:, 0]])
    middle = np.partition(values, len(values) // 2)[len(values) // 2]
    if middle == values.min():
        above = values[values > middle]
        if not len(above):
            return _covered(rows[:, 1:], by[:, 1:])
        middle = above.min()
    high, by_high = rows[:, 0] >= middle, by[:, 0] >= middle
    out = np.zeros(n, bool)
    out[high] = _covered(rows[high], by[by_high])
    low = np.flatnonzero(~high)
    low = low[~_covered(rows[low][:, 1:], by[by_high][:, 1:])]
    out[~high] = True
    out[low] = _covered(rows[low], by[~by_high])
    return out


def _covered_in_plane(rows: Floats, by: Floats) -> Flags:
    order = np.argsort(by[:, 0])
    x, highest = by[order, 0], np.maximum.accumulate(by[order, 1][::-1])[::-1]
    at = np.searchsorted(x, rows[:, 0], side="left")
    reached = np.append(highest, -np.inf)[at]
    return np.asarray((at < len(x)) & (reached >= rows[:, 1]))
