"""Regions: sizes, cells by number, draws, the unit cube and neighbours."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from compute.search.samplers.search import region_of
from tunesmith.compute.search.feasible_space import Region, Size
from tunesmith.domain.parameters import Parameter
from tunesmith.errors import Invalid


def whole(name: str, low: int, high: int) -> Parameter:
    return Parameter(name=name, kind="int", default=low, low=low, high=high)


SHARE = Parameter(name="share", kind="float", default=0.5, low=0.0, high=1.0)
RATE = Parameter(name="rate", kind="float", default=0.01, low=1e-4, high=1e-1, log=True)
MODE = Parameter(name="mode", kind="choice", default="slow", choices=("slow", "quick", "late"))
FLAG = Parameter(name="flag", kind="bool", default=False)
SMALL = tuple(whole(name, 0, high) for name, high in zip("abcde", (2, 3, 2, 3, 2), strict=True))
TIES = ["a < b", "b <= d", "a + d > 3", "c == e", "e != 2", "not a * c == 2", "a < b < d", "c < 2 or e < 1", "d > 0"]


@settings(deadline=None)
@given(conditions=st.lists(st.sampled_from(TIES), max_size=4), fixed=st.sets(st.sampled_from("abcde"), max_size=3))
def test_cells_are_exactly_the_points_that_keep_the_conditions(conditions: list[str], fixed: set[str]) -> None:
    ranges: dict[str, Any] = {name: 1 if name in fixed else {} for name in "abcde"}
    region = region_of(SMALL, ranges, conditions)
    values = [[1.0] if p.name in fixed else list(np.arange(0.0, (p.high or 0) + 1)) for p in SMALL]
    every = compile(" and ".join(["True", *(f"({text})" for text in conditions)]), "conditions", "eval")
    expected = [row for row in product(*values) if eval(every, dict(zip("abcde", row, strict=True)))]
    assert region.size == Size(len(expected), exact=True)
    points = region.points_at(np.arange(region.size.n))
    assert sorted(map(tuple, points.tolist())) == sorted(expected)
    if not conditions:
        assert list(map(tuple, points.tolist())) == expected
    if not expected:
        with pytest.raises(Invalid, match="no point keeps"):
            region.draw(0, 0, 1)


def test_a_grid_of_ten_to_the_twelve_under_a_condition_is_counted_without_being_made() -> None:
    region = region_of([whole(name, 0, 999) for name in "abcd"], conditions=["a < b"])
    assert region.size == Size(999 * 1000 // 2 * 10**6, exact=True)
    last = region.points_at(np.array([0, region.size.n - 1]))
    assert last.tolist() == [[0, 1, 0, 0], [998, 999, 999, 999]]
    assert region_of([whole(f"p{i}", 0, 999) for i in range(12)]).size == Size(10**36, exact=True)


def test_separate_ties_are_counted_each() -> None:
    region = region_of([whole(name, 0, 999) for name in "abcd"], conditions=["a < b", "c == d and c > 99"])
    assert region.size == Size(999 * 1000 // 2 * 900, exact=True)
    points = region.points_at(np.arange(0, region.size.n, 1_000_003))
    assert region.valid(points).all()


def test_a_tie_too_large_to_be_listed_is_estimated_and_says_so() -> None:
    region = region_of([whole(name, 0, 999) for name in "abc"], conditions=["a < b < c"])
    assert not region_of([whole(name, 0, 999) for name in "abc"], conditions=["a + b < c"]).size.exact
    size = region.size
    assert not size.exact
    assert size.n == pytest.approx(1000 * 999 * 998 / 6, rel=0.05)
    assert region.n_cells == 10**9


def test_a_hopeless_tie_is_estimated_at_nothing_and_refused_when_points_are_needed() -> None:
    region = region_of([whole(name, 0, 999) for name in "abc"], conditions=["a >= 0", "a + b + c > 2996.5"])
    assert region.size == Size(0, exact=False)
    with pytest.raises(Invalid, match="none of 1,048,576 points drawn at random keep") as caught:
        region.draw(0, 0, 1)
    assert caught.value.path == "/data/conditions/1"


def test_conditions_may_hold_between_the_points_of_a_grid() -> None:
    region = region_of([SHARE, whole("a", 0, 3)], conditions=["share > 0.12 and share < 0.21"])
    assert region.size == Size(0, exact=True)
    points = region.draw(3, 0, 200)
    assert ((points[:, 0] > 0.12) & (points[:, 0] < 0.21)).all()


MIXED = [
    region_of([whole("a", 0, 50), whole("b", 0, 50), SHARE, RATE, MODE], conditions=["a < b", "share * b > 10"]),
    region_of([whole("a", 0, 50), whole("b", 0, 50), SHARE, MODE], conditions=["a < b"]),
    region_of([whole(name, 0, 999) for name in "abcd"], conditions=["a < b < c"]),
    region_of([SHARE, RATE, FLAG]),
]


@pytest.mark.parametrize("region", MIXED)
@settings(max_examples=20, deadline=None)
@given(start=st.integers(0, 2**40), n=st.integers(1, 300), at=st.integers(0, 299), seed=st.integers(0, 2**53))
def test_a_trial_draws_the_same_whichever_range_it_is_drawn_in(
    region: Region, start: int, n: int, at: int, seed: int
) -> None:
    points = region.draw(seed, start, start + n)
    assert points.shape == (n, len(region.space.parameters))
    assert region.valid(points).all()
    at = min(at, n - 1)
    np.testing.assert_array_equal(region.draw(seed, start + at, start + at + 1), points[at : at + 1])
    assert not np.array_equal(region.draw(seed + 1, start, start + n), points)


def test_draws_are_even_over_the_region() -> None:
    region = region_of([whole("a", 0, 9), whole("b", 0, 9), SHARE], conditions=["a < b", "share < 0.5"])
    points = region.draw(4, 0, 9000)
    counts = np.unique(points[:, :2], axis=0, return_counts=True)[1]
    assert len(counts) == 45
    assert float(((counts - 200.0) ** 2 / 200.0).sum()) < 87.0  # chi-square, 44 degrees of freedom, 99.99 %
    assert points[:, 2].mean() == pytest.approx(0.25, abs=0.01)


@given(st.data())
def test_the_unit_cube_and_back(data: st.DataObject) -> None:
    listed = data.draw(st.lists(st.integers(0, 40), min_size=2, max_size=6, unique=True))
    step = Parameter(name="step", kind="float", default=0.5, low=0.1, high=2.0, step=0.3)
    ranges = {"a": listed, "share": {}, "rate": {}, "mode": {}, "flag": {}, "step": {}, "b": [7]}
    region = region_of([whole("a", 0, 40), SHARE, RATE, MODE, FLAG, step, whole("b", 0, 9)], ranges)
    assert region.n_dimensions == 6
    unit = np.array([data.draw(st.lists(st.floats(0, 1), min_size=6, max_size=6))])
    points = region.from_unit(unit)
    back = region.to_unit(points)
    np.testing.assert_allclose(region.from_unit(back), points, rtol=1e-12)
    np.testing.assert_allclose(back[0, [1, 2]], unit[0, [1, 2]], atol=1e-12)
    sizes = np.array([len(listed), 3, 2, 7])
    assert (np.abs(back - unit)[0, [0, 3, 4, 5]] <= 0.5 / sizes + 1e-12).all()
    assert points[0, 0] == sorted(listed)[min(int(unit[0, 0] * len(listed)), len(listed) - 1)]
    assert points[0, 6] == 7


def test_what_lies_off_the_space_is_at_its_nearest_value() -> None:
    region = region_of([whole("a", 0, 40), SHARE, MODE], {"a": [10, 20, 40], "share": {"max": 0.5}, "mode": {}})
    points = np.array([[14.0, 0.7, 2.0], [31.0, 0.1, 1.0], [0.0, 0.5, 0.0]])
    assert region.from_unit(region.to_unit(points)).tolist() == [[10.0, 0.5, 2.0], [40.0, 0.1, 1.0], [10.0, 0.5, 0.0]]


def test_neighbours_differ_in_one_parameter_by_one_value_or_five_percent() -> None:
    region = region_of(
        [whole("a", 0, 40), whole("b", 0, 9), SHARE, MODE, FLAG],
        {"a": [10, 40, 20], "b": {}, "share": {}, "mode": {}, "flag": {}},
        ["a > 2 * b", "share < 0.54"],
    )
    beside = region.neighbours(np.array([20.0, 9.0, 0.5, 1.0, 0.0]))
    assert beside.tolist() == [
        [40.0, 9.0, 0.5, 1.0, 0.0],
        [20.0, 8.0, 0.5, 1.0, 0.0],
        [20.0, 9.0, 0.45, 1.0, 0.0],
        [20.0, 9.0, 0.5, 0.0, 0.0],
        [20.0, 9.0, 0.5, 2.0, 0.0],
        [20.0, 9.0, 0.5, 1.0, 1.0],
    ]


@given(st.integers(1, 50), st.integers(0, 2**32))
def test_the_share_of_the_unit_cube_is_that_of_the_points(high: int, seed: int) -> None:
    region = region_of([whole("a", 0, high), whole("b", 0, high)], conditions=["a <= b"])
    assume(region.size.exact)
    unit = np.random.default_rng(seed).random((2000, 2))
    assert region.share == pytest.approx((high + 2) / (2 * (high + 1)))
    assert region.valid(region.from_unit(unit)).mean() == pytest.approx(region.share, abs=0.07)
