"""A space under conditions as a product: what conditions tie together is one factor, everything else stands alone.

Grid search, random search and sizes then count as in a plain product of dimensions. A tied factor of at most `LISTED`
combinations is gone through once, in slices, and remembers those that keep the conditions; a larger one counts all of
its combinations, and whoever uses it has to look.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunesmith.compute.rules.feasibility import Condition
from tunesmith.domain.array_types import Flags, Floats
from tunesmith.domain.dimension import Dimension, digits
from tunesmith.domain.space import Space

LISTED = 2**23
"""Combinations up to which a factor lists those that keep the conditions: half a second, and 32 MB at most."""
_SLICE = 2**15


@dataclass(frozen=True, eq=False)
class Factor:
    """`n_cells` grid points of some dimensions, the last dimension fastest.

    `kept` uint32[n_cells] are those of all combinations that keep the conditions; None means all of them.
    `is_exact`: every cell keeps the conditions on these dimensions. `is_drawn`: the cells are also all there is to
    draw, each as often as any other: no dimension is continuous or the whole numbers of a log range.
    """

    dimensions: tuple[Dimension, ...]
    n_cells: int
    kept: NDArray[np.uint32] | None
    is_exact: bool
    is_drawn: bool
    conditions: tuple[Condition, ...] = ()

    def columns(self, cell: NDArray[np.integer[Any]]) -> dict[str, Floats]:
        """Codes float64[n] by name of the cells int[n]."""
        places = digits(cell if self.kept is None else self.kept[cell], [d.size for d in self.dimensions])
        return {d.name: d.at(place) for d, place in zip(self.dimensions, places, strict=True)}


def factorize(space: Space, conditions: Sequence[Condition]) -> tuple[Factor, ...]:
    """The factors of `space`, in the order of their first dimensions."""
    return tuple(_factor(space, group, tied) for group, tied in _groups(space, conditions))


def fixed_conditions(space: Space, conditions: Sequence[Condition]) -> tuple[Condition, ...]:
    """Those that name no searched dimension: they hold for all points or for none."""
    searched = {dimension.name for dimension in space.dimensions}
    return tuple(c for c in conditions if not searched & {space.parameters[column].name for column in c.columns})


def _groups(
    space: Space, conditions: Sequence[Condition]
) -> Iterator[tuple[tuple[Dimension, ...], tuple[Condition, ...]]]:
    """Dimensions that conditions connect, with these conditions."""
    order = {dimension.name: i for i, dimension in enumerate(space.dimensions)}
    names = [parameter.name for parameter in space.parameters]
    named = [[order[names[c]] for c in condition.columns if names[c] in order] for condition in conditions]
    leader = list(range(len(order)))
    for numbers in named:
        joined = {leader[i] for i in numbers}
        leader = [min(joined) if one in joined else one for one in leader]
    for first in sorted(set(leader)):
        group = tuple(d for d, one in zip(space.dimensions, leader, strict=True) if one == first)
        tied = (c for c, numbers in zip(conditions, named, strict=True) if numbers and leader[numbers[0]] == first)
        yield group, tuple(tied)


def _factor(space: Space, group: tuple[Dimension, ...], tied: tuple[Condition, ...]) -> Factor:
    n = math.prod(dimension.size for dimension in group)
    is_drawn = all(dimension.has_equal_parts for dimension in group)
    if not tied:
        return Factor(group, n, None, is_exact=True, is_drawn=is_drawn)
    if n > LISTED:
        return Factor(group, n, None, is_exact=False, is_drawn=False, conditions=tied)
    whole = Factor(group, n, None, is_exact=False, is_drawn=False)
    slices = [np.arange(start, min(n, start + _SLICE), dtype=np.int32) for start in range(0, n, _SLICE)]
    kept = [cell[_hold(space, tied, whole.columns(cell), len(cell))].astype(np.uint32) for cell in slices]
    listed = np.concatenate(kept)
    return Factor(group, len(listed), listed, is_exact=True, is_drawn=is_drawn, conditions=tied)


def _hold(space: Space, conditions: Sequence[Condition], columns: Mapping[str, Floats], n: int) -> Flags:
    points = space.assemble(n, columns)
    result = np.ones(n, np.bool_)
    for condition in conditions:
        result &= condition.holds(points)
    return result
