"""Regions, problems and a driver for the tests of search methods: ask, score, tell, until the trials are used up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunesmith.compute.rules.feasibility import read_conditions
from tunesmith.compute.search.feasible_space import Region
from tunesmith.compute.search.samplers import make_sampler
from tunesmith.compute.search.samplers.sampler import Problem, Sampler
from tunesmith.domain.parameters import Parameter
from tunesmith.domain.search.methods import MethodOptions
from tunesmith.domain.space import build_space

Points = NDArray[np.float64]
Scores = Callable[[Points], Points]


def region_of(
    parameters: Sequence[Parameter], ranges: dict[str, Any] | None = None, conditions: Sequence[str] = ()
) -> Region:
    return Region(build_space(parameters, ranges), read_conditions(conditions, parameters))


def problem_of(
    region: Region, n_trials: int, seed: int = 0, options: MethodOptions | None = None, warm: Points | None = None
) -> Problem:
    none = np.empty((0, len(region.space.parameters)))
    return Problem(region, n_trials, seed, options or MethodOptions(), 1, none if warm is None else warm)


def smooth(region: Region) -> Scores:
    """A bowl in the unit cube, its best point off the middle; one point in eleven has no score, as broken trials do."""

    def scores(points: Points) -> Points:
        unit = region.to_unit(points)
        distance = ((unit - np.linspace(0.3, 0.7, unit.shape[1])) ** 2).sum(axis=1)
        distance[np.floor(unit.sum(axis=1) * 1e6) % 11 == 0] = np.nan
        return -distance[:, np.newaxis]

    return scores


def run(sampler: Sampler, scores: Scores, stop: int, told: Points | None = None, batch: int = 64) -> Points:
    """Points of the trials below `stop`, or as many as there are, after those that were `told` before; float64[n, p].

    At most `batch` are asked for at a time.
    """
    points = sampler.ask(0, 0) if told is None else told
    sampler.tell(points, scores(points))
    stop = min(stop, sampler.n_trials)
    while len(points) < stop:
        until = min(stop, sampler.ready, len(points) + batch)
        assert until > len(points), "what was asked for has been told, and the method is not ready for more"
        found = sampler.ask(len(points), until)
        sampler.tell(found, scores(found))
        points = np.concatenate([points, found])
        if len(points) < until:
            break
    return points


def search(method: str, problem: Problem, cuts: Sequence[int] = (), batch: int = 64) -> Points:
    """All trials of a search that a new sampler takes up after each of the `cuts`; float64[n, p]."""
    points: Points | None = None
    for stop in sorted({*cuts, problem.n_trials}):
        points = run(make_sampler(method, problem), smooth(problem.region), stop, points, batch)
    assert points is not None
    return points
