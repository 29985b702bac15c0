"""Coordinates of a strategy's parameters, in which the points of one search can be moved as a whole.

A user narrows a search down to what is around the winner of the search before. On a shuffled market that winner lies
elsewhere, and so would the narrowed search: its points are moved by as much as the winner moved, all by the same, and
no further than the ranges of all searches of the strategy reach.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tunesmith.domain.array_types import Floats
from tunesmith.domain.dimension import Dimension
from tunesmith.domain.parameters import Parameter

Uses = tuple[Dimension, ...]
"""The values that a search used of each parameter, in declared order; one value where it is not searched."""

_MOST_VALUES = 100_000
_NEAR = 1e-6


@dataclass(frozen=True, eq=False)
class Axis:
    """One parameter's coordinate over the ranges of all searches of a strategy.

    `kind` is step (the number of steps of `ladder` above its lowest value), values (the rank among all `values` that
    were used), scale (the value itself, or with `log` its logarithm) or category, which has no order: its values are
    exchanged instead of moved.
    """

    kind: Literal["step", "values", "scale", "category"]
    ladder: Dimension | None = None
    values: Floats | None = None
    log: bool = False

    def place(self, codes: Floats) -> Floats:
        """Coordinates of `codes` float64[n]; float64[n]."""
        if self.ladder is not None:
            found = (codes - self.ladder.low) / float(self.ladder.step or 1.0)
            nearest = np.rint(found)
            return np.where(np.abs(found - nearest) < _NEAR, nearest, found)
        if self.values is not None:
            return np.searchsorted(self.values, codes).astype(np.float64)
        return np.log(codes) if self.log else codes

    def code(self, places: Floats) -> Floats:
        """The codes at these coordinates, the inverse of `place`."""
        if self.ladder is not None:
            whole = np.rint(places)
            between = self.ladder.low + places * float(self.ladder.step or 1.0)
            between = np.rint(between) if self.ladder.parameter.kind == "int" else between
            return np.where(np.abs(whole - places) < _NEAR, self.ladder.at(whole.astype(np.int64)), between)
        if self.values is not None:
            return self.values[np.clip(np.rint(places).astype(np.int64), 0, len(self.values) - 1)]
        return np.exp(places) if self.log else places

    def ends(self, used: Sequence[Dimension]) -> tuple[float, float]:
        """The least and the greatest coordinate of what was used."""
        if self.kind == "category":
            return 0.0, 0.0
        edges = np.array([_ends(dimension) for dimension in used])
        places = self.place(np.array([edges[:, 0].min(), edges[:, 1].max()]))
        return float(places[0]), float(places[1])


@dataclass(frozen=True, eq=False)
class Frame:
    """The axes of all parameters and how far a search may move on each: from `least` to `most`, float64[p]."""

    axes: tuple[Axis, ...]
    least: Floats
    most: Floats

    @property
    def stays(self) -> bool:
        """Whether the search reaches as far as all searches together, so that it never moves."""
        return not (self.least.any() or self.most.any() or any(axis.kind == "category" for axis in self.axes))

    def shift(self, found: Floats, real: Floats) -> Floats:
        """By how much the search moves when the best point is `found` instead of `real`; float64[p], in coordinates.

        Whole steps where there are steps; 0 for categories.
        """
        moved = np.zeros(len(self.axes))
        for i, axis in enumerate(self.axes):
            if axis.kind == "category":
                continue
            by = float(axis.place(found[i : i + 1])[0] - axis.place(real[i : i + 1])[0])
            moved[i] = min(max(by if axis.kind == "scale" else round(by), self.least[i]), self.most[i])
        return moved

    def part(self, by: Floats, divisor: float) -> Floats:
        """A part of a shift, in whole steps where there are steps."""
        is_scale = np.array([axis.kind == "scale" for axis in self.axes], np.bool_)
        return np.where(is_scale, by / divisor, np.trunc(by / divisor))

    def moved(self, points: Floats, by: Floats, found: Floats, real: Floats) -> Floats:
        """`points` float64[n, p] moved by `by` float64[p]; of categories, `found` and `real` change places."""
        out = points.copy()
        for i, axis in enumerate(self.axes):
            if axis.kind == "category":
                is_real, is_found = points[:, i] == real[i], points[:, i] == found[i]
                out[:, i] = np.where(is_real, found[i], np.where(is_found, real[i], points[:, i]))
            elif by[i]:
                out[:, i] = axis.code(axis.place(points[:, i]) + by[i])
        return out


def frame_of(parameters: Sequence[Parameter], own: Uses, others: Sequence[Uses]) -> Frame:
    """The frame of a search that used `own`, beside the earlier ones that used `others`."""
    together = [list(dict.fromkeys([own[i], *(uses[i] for uses in others)])) for i in range(len(parameters))]
    axes = tuple(_axis(parameter, used) for parameter, used in zip(parameters, together, strict=True))
    whole = np.array([axis.ends(used) for axis, used in zip(axes, together, strict=True)]).reshape(-1, 2)
    alone = np.array([axis.ends([used]) for axis, used in zip(axes, own, strict=True)]).reshape(-1, 2)
    return Frame(axes, whole[:, 0] - alone[:, 0], whole[:, 1] - alone[:, 1])


def uses_of_points(parameters: Sequence[Parameter], points: Floats) -> Uses:
    """What points that were listed one by one, float64[n, p], used of each parameter."""
    found = []
    for i, parameter in enumerate(parameters):
        values = np.unique(points[:, i])
        one = float(values[0]) if len(values) else 0.0
        found.append(Dimension(parameter, one, one) if len(values) < 2 else Dimension(parameter, values=tuple(values)))
    return tuple(found)


def _axis(parameter: Parameter, used: Sequence[Dimension]) -> Axis:
    edges = [_ends(dimension) for dimension in used]
    if {end for pair in edges for end in pair} == {edges[0][0]}:
        return Axis("values", values=np.array(edges[0][:1]))
    if parameter.kind in ("choice", "bool"):
        return Axis("category")
    if any(not dimension.is_discrete for dimension in used):
        return Axis("scale", log=min(low for low, _ in edges) > 0.0 and any(dimension.log for dimension in used))
    ladders = [dimension for dimension in used if not dimension.values and dimension.size > 1]
    is_listed = any(dimension.values for dimension in used)
    if ladders and not is_listed:
        step = min(float(dimension.step or math.inf) for dimension in ladders)
        low, high = min(dimension.low for dimension in ladders), max(high for _, high in edges)
        return Axis("step", ladder=Dimension(parameter, low, high, step))
    values = np.unique(
        np.concatenate([dimension.at(np.arange(min(dimension.size, _MOST_VALUES))) for dimension in used])
    )
    return Axis("values", values=values)


def _ends(dimension: Dimension) -> tuple[float, float]:
    """The least and the greatest value that a dimension has."""
    if dimension.values:
        return min(dimension.values), max(dimension.values)
    if dimension.step is not None:
        return dimension.low, float(dimension.at(np.array([dimension.size - 1]))[0])
    return dimension.low, dimension.high
