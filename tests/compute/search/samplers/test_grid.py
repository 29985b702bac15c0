"""Grid search beyond the contract that every method keeps."""

from __future__ import annotations

import numpy as np
import pytest

from compute.search.samplers.search import problem_of, region_of
from tunesmith.compute.search.samplers.grid import Grid
from tunesmith.domain.parameters import Parameter
from tunesmith.domain.search.methods import MethodOptions
from tunesmith.errors import Invalid


def whole(name: str, high: int) -> Parameter:
    return Parameter(name=name, kind="int", default=0, low=0, high=high)


def every(n: int) -> MethodOptions:
    return MethodOptions(every=n)


def test_all_points_whatever_the_budget_the_last_dimension_fastest() -> None:
    region = region_of((whole("a", 1), whole("b", 2)))
    grid = Grid(problem_of(region, n_trials=2))
    assert grid.n_trials == 6
    assert grid.ask(0, 99).tolist() == [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2]]
    assert grid.ask(4, 5).tolist() == [[1, 1]]


def test_points_that_break_conditions_are_no_trials() -> None:
    region = region_of((whole("a", 2), whole("b", 2)), conditions=["a < b"])
    assert Grid(problem_of(region, 2)).ask(0, 99).tolist() == [[0, 1], [0, 2], [1, 2]]


@pytest.mark.parametrize("conditions", [[], ["a < b"]])
@pytest.mark.parametrize("n", [2, 7, 1000])
def test_each_nth_of_the_same_points(n: int, conditions: list[str]) -> None:
    region = region_of((whole("a", 12), whole("b", 16)), conditions=conditions)
    all_points = Grid(problem_of(region, 0)).ask(0, 10**6)
    grid = Grid(problem_of(region, 0, options=every(n)))
    assert grid.n_trials == -(-len(all_points) // n)
    np.testing.assert_array_equal(grid.ask(0, grid.n_trials), all_points[::n])


def test_of_a_tie_too_large_to_be_listed_each_nth_combination_that_keeps_the_conditions() -> None:
    region = region_of((whole("a", 2_999), whole("b", 2_999)), conditions=["a < b"])
    assert not region.size.exact
    points = Grid(problem_of(region, 0, options=every(9_973))).ask(0, 10**6)
    a, b = np.divmod(np.arange(0, 9_000_000, 9_973), 3_000)
    np.testing.assert_array_equal(points, np.stack([a, b], axis=1)[a < b])


def test_more_than_can_be_gone_through_are_refused_with_the_step_that_would_do() -> None:
    region = region_of([whole(name, 999) for name in "abc"], conditions=["a < b", "a + b < c"])
    with pytest.raises(Invalid, match="take every 120th") as caught:
        Grid(problem_of(region, 0))
    assert caught.value.path == "/data/conditions/1"
    assert Grid(problem_of(region, 0, options=every(121))).n_trials > 500_000


def test_a_grid_between_whose_points_the_conditions_hold_is_refused() -> None:
    share = Parameter(name="share", kind="float", default=0.5, low=0.0, high=1.0)
    with pytest.raises(Invalid, match="no point of the grid keeps the conditions"):
        Grid(problem_of(region_of((share,), conditions=["share > 0.12 and share < 0.21"]), 10))


def test_a_grid_of_ten_to_the_twelve_begins_at_once() -> None:
    grid = Grid(problem_of(region_of([whole(name, 999) for name in "abcd"]), 0))
    assert grid.n_trials == 10**12
    assert grid.ask(10**12 - 1, 10**12).tolist() == [[999.0] * 4]
