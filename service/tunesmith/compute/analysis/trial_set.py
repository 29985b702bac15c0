"""The trials of one search, as every analysis takes them, and parameters cut into values or bins."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from tunesmith.compute.search.selection import ranked
from tunesmith.domain.array_types import Flags, Floats, Ints
from tunesmith.domain.dimension import Dimension
from tunesmith.domain.parameters import ParamValues, decode, decode_point
from tunesmith.domain.search.findings import Axis
from tunesmith.domain.space import Space
from tunesmith.errors import Invalid

MAX_BINS = 40
"""A parameter with more different values than this is cut into as many bins."""


@dataclass(frozen=True, eq=False)
class Trials:
    """n trials in the order in which they were numbered.

    `points` float64[n, p] codes, columns in the order of `space.parameters`; `scores` float64[n] of one target, larger
    being better, NaN where undefined; `eligible` bool[n] which keep every constraint; `metrics` float64[n] by name.
    Where the target is `minimized`, scores are its values with the sign changed; what is found is told in its own
    values. `numbers` int64[n], ascending, are the trials' numbers where some are missing.
    """

    space: Space
    points: Floats
    scores: Floats
    eligible: Flags
    metrics: Mapping[str, Floats] = field(default_factory=dict)
    minimized: bool = False
    numbers: Ints | None = None

    def __len__(self) -> int:
        return len(self.points)

    @property
    def defined(self) -> Flags:
        """Which trials have a score, bool[n]."""
        return np.isfinite(self.scores)

    def own(self, scores: Floats) -> Floats:
        """Scores, or differences of scores, as the target is read."""
        return 0.0 - scores if self.minimized else scores

    def score(self, index: int) -> float:
        """The target's own value at a trial."""
        return float(self.own(self.scores[index : index + 1])[0])

    def number(self, index: int) -> int:
        """The number of a trial in its search."""
        return int(index if self.numbers is None else self.numbers[index])

    def position(self, number: int) -> int:
        """Where the trial of a number is; raises `Invalid` where it is not."""
        numbers = np.arange(len(self)) if self.numbers is None else self.numbers
        at = int(np.searchsorted(numbers, number))
        if at == len(numbers) or numbers[at] != number:
            raise Invalid(f"there is no trial {number}; there are {len(self)}", path="/data/through")
        return at

    def column(self, name: str) -> Floats:
        """The codes of a parameter, float64[n]; raises `Invalid` where there is none of that name."""
        names = [parameter.name for parameter in self.space.parameters]
        if name not in names:
            raise Invalid(f"there is no parameter {name[:80]!r}; there are {', '.join(names)}", path="/data/parameter")
        return self.points[:, names.index(name)]

    def dimension(self, name: str) -> Dimension:
        """What was searched of a parameter; one that was not searched has the value that it was fixed at."""
        for dimension in self.space.dimensions:
            if dimension.name == name:
                return dimension
        self.column(name)
        parameter = next(parameter for parameter in self.space.parameters if parameter.name == name)
        return Dimension(parameter, values=(self.space.fixed[name],))

    def best(self) -> int | None:
        """Index of the best eligible trial, the first of equals; None when there is none."""
        best = ranked(self.scores, self.eligible & self.defined, 1)
        return int(best[0]) if len(best) else None

    def good(self, share: float, most: int) -> Ints:
        """The best `share` of the eligible trials with a score, at least one and at most `most`, best first."""
        keep = self.eligible & self.defined
        return ranked(self.scores, keep, min(max(math.ceil(share * int(keep.sum())), 1), most))

    def params(self, index: int) -> ParamValues:
        """The parameters of a trial by name."""
        return decode_point(self.space.parameters, self.points[index])


def positions(trials: Trials, name: str, max_bins: int = MAX_BINS) -> tuple[Axis, Ints]:
    """The axis of a parameter over the values that were tried, and each trial's position on it, int64[n].

    Bins are of equal width, of equal ratio where the range is logarithmic. Choices and bools are never binned.
    """
    codes, dimension = trials.column(name), trials.dimension(name)
    distinct, at = np.unique(codes, return_inverse=True)
    parameter = dimension.parameter
    if len(distinct) <= max_bins or parameter.kind in ("choice", "bool"):
        return Axis(parameter=name, values=[decode(parameter, float(code)) for code in distinct]), at.astype(np.int64)
    space = np.geomspace if dimension.log and distinct[0] > 0.0 else np.linspace
    edges = np.asarray(space(distinct[0], distinct[-1], max_bins + 1), np.float64)
    edges[0], edges[-1] = distinct[0], distinct[-1]
    at = np.clip(np.searchsorted(edges, codes, side="right") - 1, 0, max_bins - 1)
    return Axis(parameter=name, edges=edges.tolist()), at.astype(np.int64)


def or_none(values: Floats) -> list[float | None]:
    """Floats as they go into JSON: null for what is not finite."""
    return [value if math.isfinite(value) else None for value in values.tolist()]
