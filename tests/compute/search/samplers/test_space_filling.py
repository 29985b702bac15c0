"""Latin hypercubes and Sobol's sequence beyond the contract that every method keeps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import qmc

from compute.search.samplers.search import problem_of, region_of
from tunesmith.compute.search.samplers.latin_hypercube import LatinHypercube
from tunesmith.compute.search.samplers.random_order import LARGEST, Permutation
from tunesmith.compute.search.samplers.sobol import Sobol
from tunesmith.compute.search.samplers.space_filling import SpaceFilling
from tunesmith.domain.parameters import Parameter


def share(name: str) -> Parameter:
    return Parameter(name=name, kind="float", default=0.5, low=0.0, high=1.0)


def whole(name: str, high: int) -> Parameter:
    return Parameter(name=name, kind="int", default=0, low=0, high=high)


DESIGNS = pytest.mark.parametrize("design", [LatinHypercube, Sobol])


@settings(deadline=None)
@given(n=st.integers(1, 400), seed=st.integers(0, 2**53), d=st.integers(1, 5))
def test_each_part_of_each_axis_of_a_latin_hypercube_has_one_point(n: int, seed: int, d: int) -> None:
    region = region_of([share(f"p{i}") for i in range(d)])
    unit = region.to_unit(LatinHypercube(problem_of(region, n, seed)).ask(0, n))
    for axis in range(d):
        assert sorted((unit[:, axis] * n).astype(int)) == list(range(n))


def test_on_whole_numbers_a_latin_hypercube_takes_each_value_equally_often() -> None:
    region = region_of((whole("a", 99), whole("b", 9_999)))
    a, b = LatinHypercube(problem_of(region, 100, seed=4)).ask(0, 100).T
    assert sorted(a) == list(range(100))
    assert sorted(b // 100) == list(range(100))


def test_the_axes_of_a_latin_hypercube_have_nothing_to_do_with_each_other() -> None:
    region = region_of([share(name) for name in "abc"])
    correlations = [
        np.corrcoef(LatinHypercube(problem_of(region, 50, seed)).ask(0, 50).T)[np.triu_indices(3, 1)]
        for seed in range(100)
    ]
    assert np.abs(np.mean(correlations)) < 4 / np.sqrt(300 * 50)
    assert np.std(correlations) == pytest.approx(1 / np.sqrt(49), rel=0.15)


def test_the_sequence_is_scipys_with_the_seed() -> None:
    region = region_of([share(name) for name in "abc"])
    expected = qmc.Sobol(3, seed=np.random.default_rng(11)).random(4096)
    sobol = Sobol(problem_of(region, 4096, seed=11))
    np.testing.assert_array_equal(sobol.ask(0, 4096), expected)
    np.testing.assert_array_equal(sobol.ask(1030, 1050), expected[1030:1050])
    np.testing.assert_array_equal(Sobol(problem_of(region, 4096, seed=11)).ask(3000, 3001), expected[3000:3001])


@pytest.mark.parametrize("conditions", [[], ["a < b"]])
def test_a_longer_sobol_search_begins_with_the_shorter_one(conditions: list[str]) -> None:
    region = region_of((whole("a", 99), whole("b", 99), share("c")), conditions=conditions)
    short, long = (Sobol(problem_of(region, n, seed=2)).ask(0, n) for n in (300, 3000))
    np.testing.assert_array_equal(long[:300], short)


@DESIGNS
def test_what_keeps_the_conditions_is_taken_in_the_order_of_the_design(design: type[SpaceFilling]) -> None:
    region = region_of((share("a"), share("b")), conditions=["a < b"])
    sampler = design(problem_of(region, 200, seed=6))
    points = region.from_unit(sampler.unit(0, 500))
    expected = points[region.valid(points)][:150]
    np.testing.assert_array_equal(sampler.ask(0, 150), expected)


@DESIGNS
def test_under_conditions_a_design_is_still_more_even_than_chance(design: type[SpaceFilling]) -> None:
    region = region_of((share("a"), share("b")), conditions=["a <= b"])

    def unevenness(points: np.ndarray) -> float:
        a, b = points.T  # from the triangle to the square, areas kept
        return float(qmc.discrepancy(np.stack([np.clip(a / b, 0, 1), b**2], axis=1)))

    ours = np.mean([unevenness(design(problem_of(region, 200, seed)).ask(0, 200)) for seed in range(20)])
    chance = np.mean([unevenness(region.draw(seed, 0, 200)) for seed in range(20)])
    assert ours < 0.8 * chance


@DESIGNS
@pytest.mark.parametrize("conditions", [[], ["a + b > 20"]])
def test_a_discrete_region_is_used_up_by_random_trials_where_the_design_repeats_itself(
    design: type[SpaceFilling], conditions: list[str]
) -> None:
    region = region_of((whole("a", 36), whole("b", 28)), conditions=conditions)
    sampler = design(problem_of(region, 10**6, seed=1))
    assert sampler.n_trials == region.size.n
    points = sampler.ask(0, sampler.n_trials)
    assert len(np.unique(points, axis=0)) == region.size.n


@pytest.mark.parametrize("n", [1, 2, 3, 7, 64, 1000, 1023])
def test_a_permutation_holds_every_number_once(n: int) -> None:
    order = Permutation(n, 5)(np.arange(n))
    assert sorted(order) == list(range(n))
    assert n < 64 or not np.array_equal(order, Permutation(n, 6)(np.arange(n)))


@given(st.integers(1, LARGEST), st.integers(0, 2**64), st.lists(st.integers(0, LARGEST), min_size=2, max_size=20))
def test_parts_of_any_permutation_are_known_without_the_rest(n: int, seed: int, positions: list[int]) -> None:
    at = np.unique(np.array(positions) % n)
    order = Permutation(n, seed)(at)
    assert len(np.unique(order)) == len(at)
    assert ((order >= 0) & (order < n)).all()
    assert [Permutation(n, seed)(at[i : i + 1])[0] for i in range(len(at))] == order.tolist()


def test_all_orders_of_a_few_numbers_occur_about_equally_often() -> None:
    orders = [tuple(Permutation(4, seed)(np.arange(4))) for seed in range(4800)]
    counts = np.unique(orders, axis=0, return_counts=True)[1]
    assert len(counts) == 24
    assert float(((counts - 200.0) ** 2 / 200.0).sum()) < 49.7  # chi-square, 23 degrees of freedom, 99.9 %
