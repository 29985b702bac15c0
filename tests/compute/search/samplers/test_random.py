"""Random search beyond the contract that every method keeps."""

from __future__ import annotations

import numpy as np
import pytest

from compute.search.samplers.search import problem_of, region_of
from tunesmith.compute.search.samplers.random import Random
from tunesmith.domain.parameters import Parameter
from tunesmith.errors import Invalid


def whole(name: str, high: int) -> Parameter:
    return Parameter(name=name, kind="int", default=0, low=0, high=high)


def test_a_discrete_space_is_drawn_without_repetition_until_it_is_empty() -> None:
    region = region_of((whole("a", 36), whole("b", 28)))
    sampler = Random(problem_of(region, 10**9, seed=3))
    assert sampler.n_trials == region.size.n == 37 * 29
    points = sampler.ask(0, sampler.n_trials)
    assert len(np.unique(points, axis=0)) == region.size.n


def test_draws_are_uniform() -> None:
    region = region_of((whole("a", 9_999),))
    firsts = np.array([Random(problem_of(region, 1, seed)).ask(0, 1)[0, 0] for seed in range(2000)])
    assert chi_square(firsts // 1000, 10) < 27.9  # the 99.9 % point for 9 degrees of freedom; the seeds are fixed


@pytest.mark.parametrize("high", [99, 4_999], ids=["listed", "too many to list"])
def test_draws_under_conditions_are_uniform_over_what_keeps_them(high: int) -> None:
    region = region_of((whole("a", high), whole("b", high)), conditions=["a <= b"])
    assert region.size.exact == (high == 99)
    a, b = Random(problem_of(region, 4000, seed=5)).ask(0, 4000).T
    # with u = a / (b + 1) and v = b, v's square and u are independent and even over the triangle
    assert chi_square(np.floor((a + 0.5) / (b + 1) * 10), 10) < 27.9
    assert chi_square(np.floor(((b + 0.5) / (high + 1)) ** 2 * 10), 10) < 27.9


def test_a_space_beyond_the_permutation_is_still_sampled_evenly() -> None:
    region = region_of(tuple(whole(f"p{i}", 9_999_999) for i in range(10)))
    points = Random(problem_of(region, 1000, seed=1)).ask(0, 1000)
    assert abs(points.mean() / 5e6 - 1) < 0.03


def test_of_a_tie_too_large_to_be_listed_half_the_points_are_tried_at_most() -> None:
    region = region_of((whole("a", 2_999), whole("b", 2_999)), conditions=["b > a + 2800"])
    sampler = Random(problem_of(region, 10**6, seed=1))
    exact = 199 * 200 // 2
    assert sampler.n_trials == pytest.approx(exact / 2, rel=0.2)
    points = sampler.ask(0, sampler.n_trials)
    assert len(np.unique(points, axis=0)) == sampler.n_trials
    assert region.valid(points).all()


def test_conditions_that_hardly_anything_keeps_are_refused() -> None:
    region = region_of((whole("a", 9_999), whole("b", 9_999)), conditions=["a == b"])
    with pytest.raises(Invalid, match="of 1,048,576 points drawn at random keep a == b") as caught:
        Random(problem_of(region, 10))
    assert caught.value.path == "/data/conditions/0"


def chi_square(values: np.ndarray, n: int) -> float:
    expected = len(values) / n
    return float(((np.bincount(values.astype(int), minlength=n) - expected) ** 2 / expected).sum())
