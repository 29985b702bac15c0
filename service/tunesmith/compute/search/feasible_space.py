"""The part of a parameter space that keeps the conditions between parameters: what a search searches.

A cell is a grid point of the space by number, the last dimension fastest; dimensions that conditions tie together count
as one, of which only the combinations that keep the conditions have numbers (see `factors`). Where such a tie is too
large to be listed (`size.exact` is false), cells are all of its combinations and some break the conditions.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tunesmith.compute.rules.feasibility import RANGES_PATH, Condition
from tunesmith.compute.search.independent_parts import Factor, factorize, fixed_conditions
from tunesmith.domain.array_types import Flags, Floats, Ints
from tunesmith.domain.dimension import Dimension, digits
from tunesmith.domain.space import Space
from tunesmith.errors import Invalid

_SAMPLE = 2**16
_SAMPLES = 16
_ENOUGH = 256
"""Hits that make an estimated share good to a tenth or so."""
_WORDS_PER_COUNTER = 4
_ATTEMPTS = 2**17
"""Draws of one trial at most; where one draw of 4,000 hits, all of them miss once in 10^14 trials."""


@dataclass(frozen=True, slots=True)
class Size:
    """A number of points, `exact` or estimated from a sample."""

    n: int
    exact: bool


@dataclass(frozen=True, eq=False)
class Region:
    """`space` where all `conditions` hold. Nothing is listed or drawn before it is asked for.

    A point is a row of codes float64[p], one column for each of the strategy's parameters, as in `Space`.
    """

    space: Space
    conditions: tuple[Condition, ...] = ()

    def valid(self, points: Floats) -> Flags:
        """Which of `points` float64[n, p] keep all conditions; bool[n]."""
        result = np.ones(len(points), np.bool_)
        for condition in self.conditions:
            result &= condition.holds(points)
        return result

    @cached_property
    def dimensions(self) -> tuple[Dimension, ...]:
        """The searched dimensions that have more than one value: the axes of the unit cube."""
        return tuple(dimension for dimension in self.space.dimensions if dimension.size > 1)

    @property
    def n_dimensions(self) -> int:
        return len(self.dimensions)

    @property
    def is_discrete(self) -> bool:
        """Whether the cells hold every point of the region (no continuous dimension)."""
        return self.space.is_discrete

    @cached_property
    def factors(self) -> tuple[Factor, ...]:
        """The region as a product."""
        return factorize(self.space, self.conditions)

    @cached_property
    def n_cells(self) -> int:
        """How many cells have numbers; may be astronomically large."""
        return math.prod(factor.n_cells for factor in self.factors) if self._fixed_hold else 0

    @cached_property
    def size(self) -> Size:
        """How many grid points keep the conditions; estimated where a tie is too large to be listed."""
        if not self.n_cells or all(factor.is_exact for factor in self.factors):
            return Size(self.n_cells, exact=True)
        hits, n = self._hits(self._random_cells)
        return Size(self.n_cells * hits // n, exact=False)

    def points_at(self, cell: Ints) -> Floats:
        """Points of the cells int64[n]; float64[n, p]. With an exact size each keeps the conditions, else look."""
        columns: dict[str, Floats] = {}
        places = digits(cell, [factor.n_cells for factor in self.factors])
        for factor, place in zip(self.factors, places, strict=True):
            columns |= factor.columns(place)
        return self.space.assemble(len(cell), columns)

    @cached_property
    def acceptance(self) -> float:
        """The share of what is drawn, before anything is rejected, that keeps the conditions: 1, or an estimate.

        Raises `Invalid` with a condition's path where no point keeps them, or fewer of the drawn than one in 4,000.
        """
        empty = [factor for factor in self.factors if factor.is_drawn and not factor.n_cells]
        if empty or not self._fixed_hold:
            broken = empty[0].conditions if empty else fixed_conditions(self.space, self.conditions)
            self._refuse(broken, "no point keeps")
        if not self._must_look:
            return 1.0
        hits, n = self._hits(lambda start, stop: self._drawn(0, 0, start, stop))
        if hits < _ENOUGH:
            tied = tuple(c for factor in self.factors if not factor.is_drawn for c in factor.conditions)
            self._refuse(tied, f"{hits or 'none'} of {n:,} points drawn at random keep")
        return hits / n

    @cached_property
    def share(self) -> float:
        """The share of the unit cube (see `from_unit`) that keeps the conditions; an estimate, 0 where none was hit."""
        if not self.conditions:
            return 1.0
        if self.is_discrete and self.size.exact:
            return self.size.n / self.space.size
        generator = np.random.Generator(np.random.Philox(0))
        hits, n = self._hits(lambda start, stop: self.from_unit(generator.random((stop - start, self.n_dimensions))))
        return hits / n

    def draw(self, seed: int, start: int, stop: int) -> Floats:
        """Uniform points that keep the conditions for the trials start to stop (exclusive); float64[stop - start, p].

        Attempt k of trial i is block (k, i) of the counter of one Philox generator (Salmon et al. 2011), so that a
        trial's point depends on the seed and its number alone; attempts go on until one keeps the conditions. A tie
        that is listed is drawn from its list. Raises `Invalid` as `acceptance` does.
        """
        points = self._drawn(seed, 0, start, stop) if self.acceptance else np.empty((0, len(self.space.parameters)))
        if not self._must_look:
            return points
        pending = np.flatnonzero(~self.valid(points))
        for attempt in range(1, _ATTEMPTS):
            if not len(pending):
                return points
            low, high = int(pending[0]), int(pending[-1]) + 1
            points[pending] = self._drawn(seed, attempt, start + low, start + high)[pending - low]
            pending = pending[~self.valid(points[pending])]
        raise Invalid(f"{_ATTEMPTS:,} draws of one trial broke the conditions", path=self.conditions[-1].path)

    def from_unit(self, unit: Floats) -> Floats:
        """Points at `unit` float64[n, n_dimensions] in [0, 1]; float64[n, p]. They may break the conditions.

        Values ascend along each axis (choices in declared order); log dimensions are even in the logarithm.
        """
        columns = {d.name: d.sample(unit[:, i]) for i, d in enumerate(self.dimensions)}
        return self._with_single_values(columns, len(unit))

    def to_unit(self, points: Floats) -> Floats:
        """Where `points` float64[n, p] lie in the unit cube; float64[n, n_dimensions].

        The inverse of `from_unit`: discrete values at the middle of their part, what lies outside at the nearest value.
        """
        unit = np.empty((len(points), self.n_dimensions))
        for i, dimension in enumerate(self.dimensions):
            unit[:, i] = dimension.unit(points[:, self._column[dimension.name]])
        return unit

    def neighbours(self, point: Floats) -> Floats:
        """The points beside `point` float64[p] that keep the conditions; float64[m, p].

        In each dimension alone: one value up and down, 5 % of the range where it is continuous, and every other choice.
        """
        rows = [point]
        for dimension in self.dimensions:
            column = self._column[dimension.name]
            for code in dimension.beside(float(point[column])):
                row = point.copy()
                row[column] = code
                rows.append(row)
        beside = np.array(rows[1:]).reshape(-1, len(point))
        return beside[self.valid(beside)]

    @cached_property
    def _column(self) -> dict[str, int]:
        return {parameter.name: column for column, parameter in enumerate(self.space.parameters)}

    @cached_property
    def _fixed_hold(self) -> bool:
        point = self.space.assemble(1, {})
        return all(c.holds(point)[0] for c in fixed_conditions(self.space, self.conditions))

    @cached_property
    def _must_look(self) -> bool:
        return any(factor.conditions and not factor.is_drawn for factor in self.factors)

    def _drawn(self, seed: int, attempt: int, start: int, stop: int) -> Floats:
        """What the given attempt of each trial draws, kept or not; float64[stop - start, p]."""
        counters = max(1, -(-self.n_dimensions // _WORDS_PER_COUNTER))
        bits = np.random.Philox(np.random.SeedSequence(seed)).advance((attempt << 128) + start * counters)
        unit = np.random.Generator(bits).random((stop - start, counters * _WORDS_PER_COUNTER))
        columns: dict[str, Floats] = {}
        axis = {dimension.name: i for i, dimension in enumerate(self.dimensions)}
        for factor in self.factors:
            axes = [axis[d.name] for d in factor.dimensions if d.name in axis]
            if factor.kept is not None and factor.is_drawn:
                position = unit[:, axes[0]] if axes else np.zeros(stop - start)
                cell = (position * factor.n_cells).astype(np.int64)
                columns |= factor.columns(np.minimum(cell, factor.n_cells - 1))
            else:
                columns |= {self.dimensions[i].name: self.dimensions[i].sample(unit[:, i]) for i in axes}
        return self._with_single_values(columns, stop - start)

    def _with_single_values(self, columns: dict[str, Floats], n: int) -> Floats:
        single = {d.name: d.at(np.zeros(n, np.int64)) for d in self.space.dimensions if d.size == 1}
        return self.space.assemble(n, columns | single)

    def _random_cells(self, start: int, stop: int) -> Floats:
        generator = np.random.Generator(np.random.Philox(np.random.SeedSequence((1, start))))
        columns: dict[str, Floats] = {}
        for factor in self.factors:
            columns |= factor.columns(generator.integers(0, min(factor.n_cells, 2**63 - 1), stop - start))
        return self.space.assemble(stop - start, columns)

    def _hits(self, some: Callable[[int, int], Floats]) -> tuple[int, int]:
        """How many of a sample keep the conditions, and how large it had to be."""
        hits = n = 0
        while hits < _ENOUGH and n < _SAMPLES * _SAMPLE:
            hits += int(self.valid(some(n, n + _SAMPLE)).sum())
            n += _SAMPLE
        return hits, n

    def _refuse(self, conditions: tuple[Condition, ...], finding: str) -> None:
        texts = " and ".join(dict.fromkeys(condition.text for condition in conditions))
        path = conditions[-1].path if conditions else RANGES_PATH
        raise Invalid(f"{finding} {texts}; widen the ranges, or drop a condition", path=path)
