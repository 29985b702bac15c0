"""Scores along one parameter and over two: marginal curves, and slices for heat maps."""

from __future__ import annotations

import numpy as np

from tunesmith.compute.analysis.trial_set import MAX_BINS, Trials, or_none, positions
from tunesmith.domain.array_types import Floats, Ints
from tunesmith.domain.search.findings import HeatMap, Marginal, Statistic
from tunesmith.errors import Invalid


def marginal(trials: Trials, name: str, max_bins: int = MAX_BINS) -> Marginal:
    """The marginal curve of a parameter; raises `Invalid` for an unknown one."""
    axis, at = positions(trials, name, max_bins)
    keep = trials.defined
    good = keep & trials.eligible
    return Marginal(
        axis=axis,
        count=np.bincount(at[keep], minlength=axis.size).tolist(),
        n_eligible=np.bincount(at[good], minlength=axis.size).tolist(),
        mean=or_none(trials.own(_by_group(trials.scores[keep], at[keep], axis.size, "mean"))),
        median=or_none(trials.own(_by_group(trials.scores[keep], at[keep], axis.size, "median"))),
        best=or_none(trials.own(_by_group(trials.scores[good], at[good], axis.size, "best"))),
    )


def marginals(trials: Trials, max_bins: int = MAX_BINS) -> list[Marginal]:
    """The marginal curve of every searched parameter, in declared order."""
    searched = {dimension.name for dimension in trials.space.dimensions}
    return [marginal(trials, p.name, max_bins) for p in trials.space.parameters if p.name in searched]


def heat_map(
    trials: Trials,
    x: str,
    y: str,
    statistic: Statistic = "mean",
    *,
    max_bins: int = MAX_BINS,
    through: int | None = None,
) -> HeatMap:
    """A statistic of the scores over two parameters; raises `Invalid` where they are unknown or the same."""
    if x == y:
        raise Invalid("a heat map needs two different parameters", path="/data/y")
    across, at_x = positions(trials, x, max_bins)
    down, at_y = positions(trials, y, max_bins)
    keep = trials.defined & (trials.eligible if statistic == "best" else True)
    if through is not None:
        chosen = trials.position(through)
        others = [i for i, parameter in enumerate(trials.space.parameters) if parameter.name not in (x, y)]
        keep &= (trials.points[:, others] == trials.points[chosen, others]).all(axis=1)
    shape = (down.size, across.size)
    cell = (at_y * across.size + at_x)[keep]
    n_cells = shape[0] * shape[1]
    values = _by_group(trials.scores[keep], cell, n_cells, statistic).reshape(shape)
    return HeatMap(
        x=across,
        y=down,
        statistic=statistic,
        rows=[or_none(trials.own(row)) for row in values],
        count=np.bincount(cell, minlength=n_cells).reshape(shape).tolist(),
        through=through,
    )


def _by_group(scores: Floats, group: Ints, n_groups: int, statistic: Statistic) -> Floats:
    """A statistic of `scores` float64[n] in each group, float64[n_groups]; NaN for an empty one."""
    count = np.bincount(group, minlength=n_groups)
    out = np.full(n_groups, np.nan)
    filled = count > 0
    if statistic == "mean":
        out[filled] = np.bincount(group, scores, n_groups)[filled] / count[filled]
        return out
    order = np.argsort(scores)
    narrow = np.uint16 if n_groups <= 2**16 else np.int64  # numbers of 16 bits are sorted in linear time
    ordered = scores[order[np.argsort(group[order].astype(narrow), kind="stable")]]
    last = np.cumsum(count) - 1
    if statistic == "best":
        out[filled] = ordered[last[filled]]
        return out
    first = last - count + 1
    low, high = (first + last) // 2, (first + last + 1) // 2
    out[filled] = (ordered[low[filled]] + ordered[high[filled]]) / 2.0
    return out
