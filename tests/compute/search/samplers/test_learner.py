"""What all methods that learn keep: warm points first, batches by arithmetic, and no memory but what was told."""

from __future__ import annotations

import time

import numpy as np
import pytest

from compute.search.samplers.search import problem_of, region_of, run, search, smooth
from tunesmith.compute.search.samplers import make_sampler
from tunesmith.compute.search.samplers.known_points import Known, keys
from tunesmith.compute.search.samplers.learner import best_first, latin_hypercube
from tunesmith.compute.search.samplers.sampler import Problem
from tunesmith.domain.parameters import Parameter
from tunesmith.domain.search.methods import MethodOptions
from tunesmith.errors import Invalid

FAST = Parameter(name="fast", kind="int", default=5, low=2, high=60)
SLOW = Parameter(name="slow", kind="int", default=20, low=5, high=200)
SHARE = Parameter(name="share", kind="float", default=0.5, low=0.0, high=1.0)
MODE = Parameter(name="mode", kind="choice", default="slow", choices=("slow", "quick", "late"))
REGION = region_of((FAST, SLOW, SHARE, MODE), conditions=["fast < slow"])
LEARNING = ("tpe", "gaussian_process", "genetic", "nsga2", "staged", "zoom")


@pytest.mark.parametrize("method", LEARNING)
def test_warm_points_are_tried_first_but_for_those_that_break_the_conditions(method: str) -> None:
    warm = np.array([[10.0, 50.0, 0.123456789, 2.0], [50.0, 10.0, 0.5, 0.0], [3.0, 9.0, 0.9, 1.0]])
    points = search(method, problem_of(REGION, 20, warm=warm))
    np.testing.assert_array_equal(points[:2], warm[[0, 2]])


@pytest.mark.parametrize("method", LEARNING)
def test_more_warm_points_than_a_batch_are_all_tried(method: str) -> None:
    warm = REGION.draw(5, 0, 40)
    np.testing.assert_array_equal(search(method, problem_of(REGION, 50, warm=warm))[:40], warm)


@pytest.mark.parametrize("method", LEARNING)
def test_a_warm_point_outside_the_ranges_is_tried_at_the_nearest_value(method: str) -> None:
    warm = np.array([[100.0, 150.0, 2.0, 1.0]])
    points = search(method, problem_of(REGION, 5, warm=warm))
    np.testing.assert_array_equal(points[0], [60.0, 150.0, 1.0, 1.0])


@pytest.mark.parametrize("method", LEARNING)
def test_a_search_in_which_no_trial_has_a_score_goes_on(method: str) -> None:
    sampler = make_sampler(method, problem_of(REGION, 40))
    points = run(sampler, lambda points: np.full((len(points), 1), np.nan), 40)
    assert len(np.unique(points, axis=0)) == len(points) == 40


@pytest.mark.parametrize("method", LEARNING)
def test_infinite_scores_are_scores(method: str) -> None:
    def scores(points: np.ndarray) -> np.ndarray:
        return np.where(points[:, :1] > 30, np.inf, np.where(points[:, :1] > 15, -np.inf, points[:, :1]))

    points = run(make_sampler(method, problem_of(REGION, 40)), scores, 40)
    assert len(points) == 40


@pytest.mark.parametrize("method", ["genetic", "nsga2", "zoom"])
def test_ten_thousand_trials_are_told_again_in_under_a_second(method: str) -> None:
    points = REGION.draw(1, 0, 10_000)
    points = points[np.sort(np.unique(points, axis=0, return_index=True)[1])]
    scores = smooth(REGION)(points)
    sampler = make_sampler(method, problem_of(REGION, 20_000))
    begin = time.process_time()
    sampler.tell(points, scores)
    assert len(sampler.ask(len(points), sampler.ready)) == sampler.ready - len(points)
    assert time.process_time() - begin < 1.0


@pytest.mark.parametrize("method", ["gaussian_process", "genetic", "staged", "zoom"])
def test_methods_that_learn_from_one_target_refuse_two(method: str) -> None:
    with pytest.raises(Invalid, match="one target"):
        make_sampler(method, Problem(REGION, 10, 0, MethodOptions(), 2, np.empty((0, 4))))


def test_new_points_are_valid_unknown_and_once() -> None:
    known = Known(REGION)
    known.learn(np.array([[3.0, 9.0, 0.5, 1.0]]))
    rows = np.array([[3.0, 9.0, 0.5, 1.0], [4.0, 9.0, 0.5, 1.0], [4.0, 9.0, 0.5, 1.0], [9.0, 8.0, 0.5, 1.0]])
    np.testing.assert_array_equal(known.new(rows), rows[1:2])
    assert not len(known.new(rows, rows[1:2]))


def test_the_last_points_of_a_region_are_found() -> None:
    region = region_of((FAST, SLOW), conditions=["fast < slow"])
    known = Known(region)
    cells = region.points_at(np.arange(region.n_cells))
    known.learn(cells[:-3])
    found = known.draw(10, cells[-1:], np.random.default_rng(0))
    assert set(keys(found)) == set(keys(cells[-3:-1]))
    assert known.most == len(cells)


def test_negative_zero_is_zero_and_points_without_parameters_are_alike() -> None:
    assert keys(np.array([[-0.0]])) == keys(np.array([[0.0]]))
    assert keys(np.empty((2, 0))) == [b"", b""]


def test_the_best_come_first_and_the_undefined_last() -> None:
    assert best_first(np.array([1.0, np.nan, 3.0, -np.inf, 3.0])).tolist() == [2, 4, 0, 3, 1]


def test_a_latin_hypercube_has_one_point_in_each_part_of_each_axis() -> None:
    cube = latin_hypercube(50, 3, np.random.default_rng(0))
    for axis in cube.T:
        assert sorted((axis * 50).astype(int)) == list(range(50))
