"""Where the good trials lie: the box that holds them, and parameters that do not matter within it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from tunesmith.compute.analysis.trial_set import Trials
from tunesmith.domain.array_types import Floats
from tunesmith.domain.dimension import Dimension
from tunesmith.domain.parameters import Range, RangeSpec, decode
from tunesmith.domain.search.findings import Edge, Recommendation
from tunesmith.domain.space import build_space

MOST_GOOD = 100
"""Good trials that a box holds at most: of a large search the best tenth would be nearly everything."""


def recommend(trials: Trials, share: float = 0.1, *, margin: int = 0, most: int = MOST_GOOD) -> Recommendation | None:
    """The smallest box that holds the best `share` of the eligible trials, at most `most`, in each parameter's steps.

    `margin` steps (of a continuous range, tenths of it) are added at both ends, within what was searched. Choices are
    those seen among the good. None without an eligible trial that has a score.
    """
    return narrow(trials, {}, share, margin=margin, most=most)


def narrow(
    trials: Trials,
    importances: Mapping[str, float],
    share: float = 0.1,
    *,
    least: float = 0.05,
    margin: int = 0,
    most: int = MOST_GOOD,
) -> Recommendation | None:
    """`recommend`, and parameters whose importance (a share of 1) is below `least` stay at the best trial's value.

    Importances that are all 0 say nothing, and fix nothing.
    """
    told = any(share > 0.0 for share in importances.values())
    good, best = trials.good(share, most), trials.best()
    if best is None:
        return None
    ranges: dict[str, RangeSpec] = {p.name: decode(p, trials.space.fixed[p.name]) for p in _unsearched(trials)}
    fixed: dict[str, Literal["all_good_agree", "does_not_matter"]] = {}
    edges = []
    for dimension in trials.space.dimensions:
        name, codes = dimension.name, trials.column(dimension.name)
        box = _box(dimension, codes[good], margin)
        if len(box) == 1:
            ranges[name] = decode(dimension.parameter, float(box[0]))
            if dimension.size > 1:
                fixed[name] = "all_good_agree"
        elif told and importances.get(name, 1.0) < least:
            ranges[name], fixed[name] = decode(dimension.parameter, float(codes[best])), "does_not_matter"
        else:
            ranges[name] = _range(dimension, box)
        edges += _edges(dimension, float(codes[best]))
    return Recommendation(
        param_ranges=ranges,
        fixed=fixed,
        edges=edges,
        n_good=len(good),
        size=build_space(trials.space.parameters, ranges).size,
        size_before=trials.space.size,
    )


def _unsearched(trials: Trials) -> list[Any]:
    searched = {dimension.name for dimension in trials.space.dimensions}
    return [parameter for parameter in trials.space.parameters if parameter.name not in searched]


def _box(dimension: Dimension, codes: Floats, margin: int) -> Floats:
    """What of a dimension holds `codes`: the values of a list, else the two ends; a single value where all agree."""
    if dimension.parameter.kind in ("choice", "bool"):
        return np.unique(codes)
    low, high = float(codes.min()), float(codes.max())
    if dimension.values:
        values = np.sort(np.asarray(dimension.values))
        first = max(int(np.searchsorted(values, low)) - margin, 0)
        return values[first : int(np.searchsorted(values, high)) + 1 + margin]
    if dimension.step is not None:
        first, last = (round((code - dimension.low) / dimension.step) for code in (low, high))
        ends = np.array([max(first - margin, 0), min(last + margin, dimension.size - 1)])
        return np.unique(dimension.at(ends))
    tenth = margin * (dimension.high - dimension.low) / 10.0
    return np.unique([max(low - tenth, dimension.low), min(high + tenth, dimension.high)])


def _range(dimension: Dimension, box: Floats) -> Range:
    if dimension.values:
        return Range(values=[decode(dimension.parameter, float(code)) for code in box])
    return Range(
        min=float(box[0]), max=float(box[-1]), step=None if dimension.log else dimension.step, log=dimension.log
    )


def _edges(dimension: Dimension, code: float) -> list[Edge]:
    """Where the best code is the searched range's lowest or highest and the strategy declares room beyond."""
    parameter = dimension.parameter
    if parameter.kind in ("choice", "bool"):
        return []
    ends = np.asarray(dimension.values) if dimension.values else dimension.at(np.array([0, dimension.size - 1]))
    low, high = float(ends.min()), float(ends.max())
    found = []
    if code <= low and (parameter.low is None or parameter.low < low):
        found.append(Edge(parameter=dimension.name, end="low"))
    if code >= high and (parameter.high is None or parameter.high > high):
        found.append(Edge(parameter=dimension.name, end="high"))
    return found
