"""The parameter space: sizes, points by arithmetic, codes, refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunesmith.domain.parameters import Parameter, Range
from tunesmith.domain.space import build_space, decode_point, encode_points
from tunesmith.errors import Invalid

FAST = Parameter(name="fast", kind="int", default=5, low=2, high=100)
SLOW = Parameter(name="slow", kind="int", default=20, low=5, high=400)
BAND = Parameter(name="band", kind="float", default=0.02, low=0.0, high=0.1)
RATE = Parameter(name="rate", kind="float", default=0.01, low=1e-4, high=1e-1, log=True)
MODE = Parameter(name="mode", kind="choice", default="slow", choices=("slow", "quick"))
FLAG = Parameter(name="flag", kind="bool", default=False)
ALL = (FAST, SLOW, BAND, RATE, MODE, FLAG)


def points_of(ranges: dict[str, Any]) -> list[dict[str, Any]]:
    space = build_space(ALL, ranges)
    return [decode_point(ALL, point) for point in space.grid(0, space.size)]


def test_the_last_dimension_runs_fastest_and_the_rest_keeps_its_default() -> None:
    points = points_of({"fast": {"min": 5, "max": 6}, "flag": [True, False]})
    assert [(p["fast"], p["flag"]) for p in points] == [(5, True), (5, False), (6, True), (6, False)]
    assert {(p["slow"], p["band"], p["rate"], p["mode"]) for p in points} == {(20, 0.02, 0.01, "slow")}


def test_values_keep_their_own_types() -> None:
    point = points_of({"fast": [7], "mode": ["quick"], "band": 0.05})[0]
    assert point == {"fast": 7, "slow": 20, "band": 0.05, "rate": 0.01, "mode": "quick", "flag": False}
    assert isinstance(point["fast"], int)
    assert isinstance(point["flag"], bool)


def test_steps_leave_no_rounding_dust() -> None:
    assert [p["band"] for p in points_of({"band": {"min": 0.0, "max": 0.1, "step": 0.01}})] == [
        0.0, 0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08, 0.09, 0.1,
    ]  # fmt: skip


def test_an_empty_request_means_every_declared_range() -> None:
    space = build_space(ALL, {})
    assert [d.name for d in space.dimensions] == [p.name for p in ALL]
    assert not space.is_discrete
    assert build_space((FAST, MODE, FLAG), None).size == 99 * 2 * 2


def test_a_grid_of_ten_to_the_twelve_costs_nothing_until_asked() -> None:
    wide = tuple(Parameter(name=f"p{i}", kind="int", default=1, low=0, high=999) for i in range(4))
    space = build_space(wide, {})
    assert space.size == 10**12
    last = space.grid(10**12 - 1, 10**12)
    assert last.tolist() == [[999.0] * 4]


@given(st.lists(st.integers(1, 7), min_size=1, max_size=5))
def test_every_grid_point_occurs_once(sizes: list[int]) -> None:
    parameters = tuple(
        Parameter(name=f"p{i}", kind="int", default=0, low=0, high=size - 1) for i, size in enumerate(sizes)
    )
    space = build_space(parameters, {})
    points = space.grid(0, space.size)
    assert len(points) == int(np.prod(sizes))
    assert len(np.unique(points, axis=0)) == len(points)
    assert (points >= 0).all()
    assert (points < np.array(sizes)).all()


@given(st.floats(0, 1, exclude_max=True))
def test_samples_stay_inside(unit: float) -> None:
    space = build_space(ALL, {})
    point = decode_point(ALL, space.sample(np.full((1, len(ALL)), unit))[0])
    assert all(parameter.check(point[parameter.name]) is None for parameter in ALL)


@pytest.mark.parametrize(
    ("ranges", "path"),
    [
        ({"fats": [5]}, "/data/param_ranges/fats"),
        ({"fast": {"min": 60, "max": 5}}, "/data/param_ranges/fast/min"),
        ({"fast": {"min": 1}}, "/data/param_ranges/fast/min"),
        ({"fast": {"max": 101}}, "/data/param_ranges/fast/max"),
        ({"fast": {"min": 5.5, "max": 9}}, "/data/param_ranges/fast/min"),
        ({"fast": {"min": 5, "max": 9, "step": 0.5}}, "/data/param_ranges/fast/step"),
        ({"fast": {"min": 5, "max": 9, "lag": 1}}, "/data/param_ranges/fast/lag"),
        ({"fast": [5, 6, "7"]}, "/data/param_ranges/fast/2"),
        ({"fast": []}, "/data/param_ranges/fast"),
        ({"fast": True}, "/data/param_ranges/fast"),
        ({"fast": {"min": 5, "values": [5]}}, "/data/param_ranges/fast"),
        ({"mode": {"min": 0, "max": 1}}, "/data/param_ranges/mode"),
        ({"mode": ["quickest"]}, "/data/param_ranges/mode/0"),
        ({"flag": 1}, "/data/param_ranges/flag"),
        ({"band": float("nan")}, "/data/param_ranges/band"),
        ({"band": {"min": 0.0, "max": 0.1, "log": True}}, "/data/param_ranges/band/min"),
        ({"rate": {"min": 1e-3, "max": 1e-2, "log": True, "step": 1e-3}}, "/data/param_ranges/rate/step"),
    ],
)
def test_a_wrong_range_is_refused_with_its_path(ranges: dict[str, Any], path: str) -> None:
    with pytest.raises(Invalid) as caught:
        build_space(ALL, ranges)
    assert caught.value.path == path


def test_every_wrong_range_is_named_at_once() -> None:
    with pytest.raises(Invalid) as caught:
        build_space(ALL, {"fast": [1], "slow": [1]})
    assert [error.path for error in caught.value.errors] == [
        "/data/param_ranges/fast/0",
        "/data/param_ranges/slow/0",
    ]


def test_a_misspelt_parameter_gets_the_nearest_name() -> None:
    with pytest.raises(Invalid, match="did you mean 'fast'"):
        build_space(ALL, {"fats": [5]})


def test_a_range_object_and_its_dict_mean_the_same() -> None:
    as_dict = build_space(ALL, {"rate": {"min": 1e-3, "max": 1e-1, "log": True}})
    as_object = build_space(ALL, {"rate": Range(min=1e-3, max=1e-1, log=True)})
    assert as_dict == as_object
    codes = as_dict.grid(0, as_dict.size)[:, 3]
    np.testing.assert_allclose(np.diff(np.log(codes)), np.log(100) / 9)


def test_points_are_zipped_and_scalars_repeated() -> None:
    points = encode_points(ALL, {"fast": [5, 6, 7], "mode": "quick", "slow": np.array([10, 20, 30])})
    assert points.shape == (3, 6)
    assert points[:, 0].tolist() == [5, 6, 7]
    assert points[:, 1].tolist() == [10, 20, 30]
    assert points[:, 4].tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("params", "path"),
    [
        ({"fast": [5, 6], "slow": [10, 20, 30]}, "/params"),
        ({"fast": [[5, 6]]}, "/params"),
        ({"fast": [5, 1]}, "/params/fast"),
        ({"mode": ["slow", "fast"]}, "/params/mode"),
        ({"speed": 3}, "/params/speed"),
    ],
)
def test_wrong_points_are_refused(params: dict[str, Any], path: str) -> None:
    with pytest.raises(Invalid) as caught:
        encode_points(ALL, params)
    assert caught.value.path == path
