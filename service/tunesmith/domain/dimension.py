"""One dimension of a parameter space: the values that a search may give one parameter."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunesmith.domain.array_types import Floats, Ints
from tunesmith.domain.parameters import EXACT, Parameter

_STEPS_WITHOUT_STEP = 10
_NEAR = Fraction(1, 10**9)
"""The part of a step by which the last point may lie beyond the end: 0.1 + 0.2 is more than 0.3."""
_MAX_DECIMALS = 22
"""10^22 is the largest power of ten that a float64 holds."""


@dataclass(frozen=True)
class Dimension:
    """One searched parameter.

    Either `values` lists its points (codes, see `encode`), or it is the arithmetic sequence low, low + step, … <= high,
    or, with `step` None, the continuous interval [low, high] (log-uniform with `log`), which a grid samples at
    `n_steps` points. With a step of 1 and `log` it is every whole number, a sample takes small ones more often.
    """

    parameter: Parameter
    low: float = 0.0
    high: float = 0.0
    step: float | None = None
    log: bool = False
    values: tuple[float, ...] = ()
    n_steps: int = _STEPS_WITHOUT_STEP

    @property
    def name(self) -> str:
        return self.parameter.name

    @cached_property
    def size(self) -> int:
        """Number of grid points along this dimension."""
        if self.values:
            return len(self.values)
        if self.step is None:
            return self.n_steps if self.high > self.low else 1
        # Exact for the decimal numbers that were written: a quotient of floats is off by one on tens of millions.
        low, high, step = (Fraction(repr(float(value))) for value in (self.low, self.high, self.step))
        return math.floor((high - low) / step + _NEAR) + 1

    @property
    def is_discrete(self) -> bool:
        """Whether the grid holds every value, so that the dimension is no continuous interval."""
        return bool(self.values) or self.step is not None or self.size == 1

    @property
    def has_equal_parts(self) -> bool:
        """Whether its values are discrete and own equal parts of the unit interval; see `sample`."""
        return self.is_discrete and not self._is_whole_log

    @property
    def _is_whole_log(self) -> bool:
        return self.log and self.step is not None and self.high > self.low

    @cached_property
    def _codes(self) -> Floats:
        return np.asarray(self.values, np.float64)

    @cached_property
    def _ascending(self) -> Floats:
        return np.sort(self._codes)

    def at(self, index: NDArray[np.integer[Any]]) -> Floats:
        """Codes of the grid points `index` int[n] (0 <= index < size), a list's in its order; float64[n]."""
        if self.values:
            return np.take(self._codes, index)
        if self.step is not None:
            return np.minimum(self._steps(index, self.step), self.high)
        if self.size == 1:
            return np.full(len(index), self.low)
        return self.sample(index / (self.size - 1))

    def sample(self, unit: Floats) -> Floats:
        """Codes at the positions `unit` float64[n] in [0, 1] from the least to the greatest value; float64[n].

        Discrete values own equal parts of the unit interval, but the whole numbers of a log range: number k owns what
        lies from log(k - 0.5) to log(k + 0.5). 0 and 1 are the ends of a continuous one.
        """
        if self._is_whole_log:
            least, most = self._log_ends
            return np.clip(np.rint(np.exp(least + unit * (most - least))), self.low, self.high)
        if self.values or self.step is not None:
            rank = np.minimum((unit * self.size).astype(np.int64), self.size - 1)
            return self.ranked(rank)
        if self.log:
            low, high = math.log(self.low), math.log(self.high)
            inside = np.exp(low + unit * (high - low))
        else:
            inside = self.low + unit * (self.high - self.low)
        inside = np.clip(inside, self.low, self.high)
        return np.where(unit <= 0.0, self.low, np.where(unit >= 1.0, self.high, inside))

    def rank(self, codes: Floats) -> Ints:
        """Where the nearest discrete values to `codes` float64[n] stand among all of them, ascending; int64[n]."""
        if not self.values:
            nearest = np.rint((codes - self.low) / (self.step or 1.0))
            return np.clip(nearest, 0, self.size - 1).astype(np.int64)
        ascending = self._ascending
        above = np.clip(np.searchsorted(ascending, codes), 1, max(1, self.size - 1))
        is_lower = codes - ascending[above - 1] <= ascending[np.minimum(above, self.size - 1)] - codes
        return np.minimum(np.where(is_lower, above - 1, above), self.size - 1)

    def unit(self, codes: Floats) -> Floats:
        """Positions in [0, 1] of `codes` float64[n], the inverse of `sample`: the middle of a discrete value's part."""
        if self._is_whole_log:
            least, most = self._log_ends
            return np.clip((np.log(np.clip(codes, self.low, self.high)) - least) / (most - least), 0.0, 1.0)
        if self.is_discrete:
            return (self.rank(codes) + 0.5) / self.size
        if self.log:
            low, high = math.log(self.low), math.log(self.high)
            position = (np.log(np.maximum(codes, self.low)) - low) / (high - low)
        else:
            position = (codes - self.low) / (self.high - self.low)
        return np.clip(position, 0.0, 1.0)

    def beside(self, code: float) -> Floats:
        """The values next to a code: one below and one above, 5 % of a continuous range, every other Choice."""
        here = np.array([code])
        if self.parameter.kind == "choice":
            return self.ranked(np.delete(np.arange(self.size), self.rank(here)))
        if self.is_discrete:
            ranks = self.rank(here) + np.array([-1, 1])
            return self.ranked(ranks[(ranks >= 0) & (ranks < self.size)])
        positions = self.unit(here) + np.array([-0.05, 0.05])
        return self.sample(positions[(positions >= 0.0) & (positions <= 1.0)])

    def ranked(self, rank: Ints) -> Floats:
        """The codes of discrete values by where they stand among all of them, ascending; the inverse of `rank`."""
        return self._ascending[rank] if self.values else self.at(rank)

    @property
    def _log_ends(self) -> tuple[float, float]:
        return math.log(self.low - 0.5), math.log(self.high + 0.5)

    def _steps(self, index: NDArray[np.integer[Any]], step: float) -> Floats:
        """low + index * step without the rounding dust of repeated steps: 0.30000000000000004 is 0.3.

        Where all of it are whole numbers over one power of ten, both of which float64 holds, one division rounds once.
        """
        decimals = max(_decimals(self.low), _decimals(step))
        if decimals <= _MAX_DECIMALS:
            scale = 10.0**decimals
            if (abs(self.low) + abs(self.high) + step) * scale <= EXACT:
                return np.asarray((round(self.low * scale) + index.astype(np.float64) * round(step * scale)) / scale)
        return self.low + index.astype(np.float64) * step


def digits(index: NDArray[np.integer[Any]], sizes: Sequence[int]) -> list[NDArray[np.integer[Any]]]:
    """The place of `index` int[n] along each axis of a grid of these sizes, the last axis fastest; one int[n] an axis.

    Where 32 bits hold every index they are used: dividing them is ten times as fast.
    """
    rest = index.astype(np.int32) if math.prod(sizes) < 2**31 else index
    found = []
    for size in reversed(sizes[1:]):
        above = rest // size
        found.append(rest - above * size)
        rest = above
    return [rest, *reversed(found)][: len(sizes)]


def _decimals(value: float) -> int:
    """How many digits follow the decimal point of the shortest text that means `value`."""
    exponent = Decimal(repr(float(value))).normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0
