"""Coordinates of a strategy's parameters, in which the points of one search can be moved as a whole.

A user who narrows down searches around the winner of the search before. On a permuted market that winner lies elsewhere,
and so would the narrowed search: its points are moved by as much as the winner moved, as one rigid body, and no further
than the box of all searches of the strategy reaches.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tunesmith.domain.parameters import Parameter
from tunesmith.domain.space.dimension import Dimension
from tunesmith.domain.space.space import Space

Point = NDArray[np.float64]

_MOST_VALUES = 100_000
_NEAR = 1e-6


@dataclass(frozen=True, eq=False)
class Axis:
    """One parameter's coordinate over the ranges of all searches of a strategy.

    `kind` is step (the number of steps above the lowest value), values (the rank among all values used), scale (the
    value itself, or its logarithm) or category, which has no order and is exchanged instead of moved.
    """

    kind: str
    ladder: Dimension | None = None
    values: NDArray[np.float64] | None = None
    log: bool = False

    def place(self, codes: NDArray[np.float64]) -> NDArray[np.float64]:
        """Coordinates of `codes` float64[n]; float64[n]."""
        if self.ladder is not None:
            found = (codes - self.ladder.low) / float(self.ladder.step or 1.0)
            nearest = np.rint(found)
            return np.where(np.abs(found - nearest) < _NEAR, nearest, found)
        if self.values is not None:
            return np.searchsorted(self.values, codes).astype(np.float64)
        return np.log(codes) if self.log else codes

    def code(self, places: NDArray[np.float64]) -> NDArray[np.float64]:
        """The codes at these coordinates, the inverse of `place`."""
        if self.ladder is not None:
            whole = np.rint(places)
            between = self.ladder.low + places * float(self.ladder.step or 1.0)
            return np.where(np.abs(whole - places) < _NEAR, self.ladder.at(whole.astype(np.int64)), between)
        if self.values is not None:
            return self.values[np.clip(np.rint(places).astype(np.int64), 0, len(self.values) - 1)]
        return np.exp(places) if self.log else places


@dataclass(frozen=True, eq=False)
class Frame:
    """The axes of every parameter, and the box of all searches: `low` and `high` float64[p] in coordinates."""

    axes: tuple[Axis, ...]
    low: Point
    high: Point

    def shift(self, found: Point, real: Point, box: tuple[Point, Point]) -> Point:
        """How far a search with the box `box` moves when the best point is `found` and not `real`; float64[p].

        Whole steps where there are steps, and no further than the box of all searches; 0 for categories.
        """
        moved = np.zeros(len(self.axes))
        for i, axis in enumerate(self.axes):
            if axis.kind == "category":
                continue
            by = float(axis.place(found[i : i + 1])[0] - axis.place(real[i : i + 1])[0])
            if axis.kind != "scale":
                by = float(np.rint(by))
            moved[i] = min(max(by, self.low[i] - box[0][i]), self.high[i] - box[1][i])
        return moved

    def box(self, spaces: Sequence[Space]) -> tuple[Point, Point]:
        """The least and the greatest coordinates of the points of `spaces`; float64[p] each."""
        ends = [[_ends(space, i) for space in spaces] for i in range(len(self.axes))]
        low = [float(axis.place(np.array([min(low for low, _ in each)]))[0]) for axis, each in zip(self.axes, ends)]  # noqa: B905
        high = [float(axis.place(np.array([max(high for _, high in each)]))[0]) for axis, each in zip(self.axes, ends)]  # noqa: B905
        return np.array(low), np.array(high)

    def moved(self, points: Point, by: Point, found: Point, real: Point) -> Point:
        """`points` float64[n, p] moved by `by` float64[p]; of categories the real best's and the found one's change."""
        out = points.copy()
        for i, axis in enumerate(self.axes):
            if axis.kind == "category":
                out[:, i] = np.where(
                    points[:, i] == real[i], found[i], np.where(points[:, i] == found[i], real[i], points[:, i])
                )
            elif by[i]:
                out[:, i] = axis.code(axis.place(points[:, i]) + by[i])
        return out


def frame_of(parameters: Sequence[Parameter], spaces: Sequence[Space]) -> Frame:
    """The frame in which all of `spaces`, searched by one strategy, have coordinates."""
    axes = tuple(_axis(parameter, i, spaces) for i, parameter in enumerate(parameters))
    empty = Frame(axes, np.zeros(len(axes)), np.zeros(len(axes)))
    low, high = empty.box(spaces)
    return Frame(axes, low, high)


def _axis(parameter: Parameter, column: int, spaces: Sequence[Space]) -> Axis:
    if parameter.kind in ("choice", "bool"):
        return Axis("category")
    used = [_dimension(space, column) for space in spaces]
    if any(not dimension.is_discrete for dimension in used):
        lowest = min(dimension.low for dimension in used if not dimension.values)
        logs = any(dimension.log for dimension in used if not dimension.is_discrete)
        return Axis("scale", log=logs and lowest > 0.0 and all(_ends(space, column)[0] > 0.0 for space in spaces))
    ladders = [dimension for dimension in used if not dimension.values and dimension.step is not None]
    singles = [dimension for dimension in used if not dimension.values and dimension.step is None]
    listed = [dimension for dimension in used if dimension.values]
    if not listed and ladders:
        step = min(float(dimension.step or math.inf) for dimension in ladders)
        low = min(dimension.low for dimension in (*ladders, *singles))
        high = max(dimension.high for dimension in (*ladders, *singles))
        return Axis("step", ladder=Dimension(parameter, low, high, step))
    values = np.unique(np.concatenate([_values(dimension) for dimension in used]))
    return Axis("values", values=values)


def _values(dimension: Dimension) -> NDArray[np.float64]:
    n = min(dimension.size, _MOST_VALUES)
    return dimension.at(np.arange(n))


def _dimension(space: Space, column: int) -> Dimension:
    """The dimension of a parameter; one that is not searched has its fixed value alone."""
    parameter = space.parameters[column]
    for dimension in space.dimensions:
        if dimension.name == parameter.name:
            return dimension
    value = space.fixed[parameter.name]
    return Dimension(parameter, value, value)


def _ends(space: Space, column: int) -> tuple[float, float]:
    dimension = _dimension(space, column)
    if dimension.values:
        return min(dimension.values), max(dimension.values)
    return dimension.low, dimension.high
