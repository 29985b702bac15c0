"""Random search beyond the contract that every sampler keeps."""

from __future__ import annotations

import numpy as np

from tunesmith.compute.samplers.random import Random
from tunesmith.domain.parameters import Parameter
from tunesmith.domain.space import build_space


def test_a_discrete_space_is_drawn_without_repetition_until_it_is_empty() -> None:
    parameters = (
        Parameter(name="a", kind="int", default=0, low=0, high=36),
        Parameter(name="b", kind="int", default=0, low=0, high=28),
    )
    space = build_space(parameters, {})
    sampler = Random(space, max_iterations=10**9, seed=3)
    assert sampler.n_trials == space.size == 37 * 29
    points = sampler.ask(0, sampler.n_trials)
    assert len(np.unique(points, axis=0)) == space.size


def test_draws_are_uniform() -> None:
    parameters = (Parameter(name="a", kind="int", default=0, low=0, high=9_999),)
    space = build_space(parameters, {})
    firsts = np.array([Random(space, 1, seed).ask(0, 1)[0, 0] for seed in range(2000)])
    counts = np.bincount((firsts // 1000).astype(int), minlength=10)
    chi_square = float(((counts - 200.0) ** 2 / 200.0).sum())
    assert chi_square < 27.9  # the 99.9 % point of chi-square with 9 degrees of freedom; the seeds are fixed


def test_a_space_beyond_the_permutation_is_still_sampled_evenly() -> None:
    parameters = tuple(Parameter(name=f"p{i}", kind="int", default=0, low=0, high=9_999_999) for i in range(10))
    points = Random(build_space(parameters, {}), 1000, seed=1).ask(0, 1000)
    assert abs(points.mean() / 5e6 - 1) < 0.03
