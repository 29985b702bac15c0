"""The parameter space: sizes, points by arithmetic, codes, refusals."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunesmith.domain.dimension import digits
from tunesmith.domain.parameters import Parameter, Range, decode_point
from tunesmith.domain.space import build_space, encode_points
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
        ({"rate": {"min": 1e-3, "max": 1e-2, "log": "yes"}}, "/data/param_ranges/rate/log"),
        ({"band": {"min": 0.0, "max": 0.1, "step": 5e-324}}, "/data/param_ranges/band/step"),
        ({"band": {"min": 0.0, "max": 0.1, "step": 1e-25}}, "/data/param_ranges/band/step"),
        ({"band": Range(min=0.0, max=0.1, step=0)}, "/data/param_ranges/band/step"),
        ({"band": {"step": -0.01}}, "/data/param_ranges/band/step"),
        ({"band": {"step": float("nan")}}, "/data/param_ranges/band/step"),
        ({"band": {"step": "wide"}}, "/data/param_ranges/band/step"),
        ({"fast": {"step": float("inf")}}, "/data/param_ranges/fast/step"),
        ({"fast": {"step": 10**400}}, "/data/param_ranges/fast/step"),
        ({"band": {"min": float("nan")}}, "/data/param_ranges/band/min"),
        ({"band": {"max": float("inf")}}, "/data/param_ranges/band/max"),
        ({"band": {"max": 10**400}}, "/data/param_ranges/band/max"),
        ({"band": {"values": [0.0, float("inf")]}}, "/data/param_ranges/band/values/1"),
        ({"band": {"values": 0.05}}, "/data/param_ranges/band/values"),
        ({"fast": range(5, 10**30)}, "/data/param_ranges/fast"),
        ({"fast": [5, None]}, "/data/param_ranges/fast/1"),
    ],
)
def test_a_wrong_range_is_refused_with_its_path(ranges: dict[str, Any], path: str) -> None:
    with pytest.raises(Invalid) as caught:
        build_space(ALL, ranges)
    assert caught.value.path == path


HOSTILE = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.binary(max_size=4),
    st.sampled_from([10**400, -(10**4000), 2**53 + 1, 5e-324, 1.7e308, 1e-25, "slow", "quick", 0, 5, 0.05, 1e-3]),
    st.sampled_from(
        [np.float64("nan"), np.int64(7), np.bool_(True), np.timedelta64(7, "ns"), np.longdouble(1), object()]
    ),
    st.sampled_from([np.array(5), np.array([5, 6]), np.array([[5]]), np.array([None, 5, "x", 10**400], object)]),
)
NESTED = st.recursive(HOSTILE, lambda inner: st.lists(inner, max_size=3), max_leaves=5)
UNBOUNDED = (
    *ALL,
    Parameter(name="count", kind="int", default=1),
    Parameter(name="ratio", kind="float", default=1.0, low=-1.7e308, high=1.7e308),
)
NAMES = st.sampled_from([parameter.name for parameter in UNBOUNDED]) | st.text(max_size=3)


@settings(max_examples=300)
@given(
    st.dictionaries(
        NAMES, NESTED | st.dictionaries(st.sampled_from(["min", "max", "step", "log", "values", "lag"]), NESTED)
    )
)
def test_a_hostile_range_makes_a_space_of_right_values_or_is_refused(ranges: dict[str, Any]) -> None:
    try:
        space = build_space(UNBOUNDED, ranges)
    except Invalid as error:
        refused = error
    else:
        ends = np.array([[0.0] * len(space.dimensions), [1 - 2**-53] * len(space.dimensions)])
        last = min(space.size, 2**62) - 1
        points = np.concatenate([space.sample(ends), space.grid(0, 1), space.grid(last, last + 1)])
        assert all(p.check(v) is None for row in points for p, v in _named(UNBOUNDED, row))
        return
    assert refused.path is not None
    assert refused.path.startswith("/data/param_ranges/")


@settings(max_examples=300)
@given(st.dictionaries(NAMES, NESTED))
def test_hostile_points_are_right_values_or_refused(params: dict[str, Any]) -> None:
    try:
        points = encode_points(UNBOUNDED, params, "/data/params")
    except Invalid as error:
        refused = error
    else:
        assert all(p.check(v) is None for row in points for p, v in _named(UNBOUNDED, row))
        return
    assert refused.path is not None
    assert refused.path.startswith("/data/params")


@given(NESTED, st.sampled_from(UNBOUNDED))
def test_any_value_is_right_or_said_to_be_wrong(value: Any, parameter: Parameter) -> None:
    wrong = parameter.check(value)
    assert wrong is None or 0 < len(wrong) < 300


def _named(parameters: tuple[Parameter, ...], row: Any) -> list[tuple[Parameter, Any]]:
    values = decode_point(parameters, row)
    return [(parameter, values[parameter.name]) for parameter in parameters]


@pytest.mark.parametrize(("low", "high"), [(1e-4, 1e-1), (0.003, 0.07), (1e-4, 0.0123)])
def test_the_ends_of_a_range_without_a_step_are_exact(low: float, high: float) -> None:
    for spec in ({"rate": {"min": low, "max": high, "log": True}}, {"rate": {"min": low, "max": high}}):
        codes = build_space(ALL, spec).grid(0, 10)[:, 3]
        assert (codes[0], codes[-1]) == (low, high)
        assert (np.diff(codes) > 0).all()


def test_the_ends_of_a_log_range_of_whole_numbers_are_exact() -> None:
    wide = (Parameter(name="n", kind="int", default=3, low=3, high=10**9, log=True),)
    (dimension,) = build_space(wide, {}).dimensions
    assert dimension.size == 10**9 - 2
    assert dimension.at(np.array([0, 10**9 - 3])).tolist() == [3, 10**9]
    assert dimension.sample(np.array([0.0, 1.0])).tolist() == [3, 10**9]


def test_a_log_range_of_whole_numbers_has_all_of_them_the_small_ones_more_often() -> None:
    (dimension,) = build_space((Parameter(name="n", kind="int", default=3, low=1, high=100, log=True),), {}).dimensions
    every = np.arange(1.0, 101.0)
    assert dimension.at(np.arange(100)).tolist() == every.tolist()
    assert dimension.sample(dimension.unit(every)).tolist() == every.tolist()
    counts = np.bincount(dimension.sample((np.arange(10**6) + 0.5) / 10**6).astype(int), minlength=101)[1:]
    expected = np.log((every + 0.5) / (every - 0.5)) / math.log(100.5 / 0.5) * 10**6
    np.testing.assert_allclose(counts, expected, atol=1.0)
    assert dimension.beside(1.0).tolist() == [2.0]
    assert dimension.beside(70.0).tolist() == [69.0, 71.0]


@pytest.mark.parametrize(
    ("high", "step", "size"),
    [(0.3, 1e-8, 30_000_001), (1.0, 3e-8, 33_333_334), (0.7, 1e-9, 700_000_001), (0.1 + 0.2, 0.1, 4), (1.0, 1 / 3, 4)],
)
def test_a_grid_of_tens_of_millions_has_its_last_point(high: float, step: float, size: int) -> None:
    fine = (Parameter(name="x", kind="float", default=0.0, low=0.0, high=1.0),)
    (dimension,) = build_space(fine, {"x": {"min": 0.0, "max": high, "step": step}}).dimensions
    assert dimension.size == size
    last = dimension.at(np.array([size - 2, size - 1]))
    assert last[0] < last[1] <= high


def test_a_search_that_was_stored_keeps_its_thinned_log_range() -> None:
    wide = (Parameter(name="n", kind="int", default=3, low=1, high=10, log=True),)
    thinned = build_space(wide, {}, whole_logs=False)
    assert thinned.grid(0, thinned.size)[:, 0].tolist() == [1, 2, 3, 4, 5, 6, 8, 10]


@pytest.mark.parametrize("step", [1e-13, 2.5e-9, 1e-20])
def test_small_steps_make_as_many_points_without_dust(step: float) -> None:
    tiny = (Parameter(name="x", kind="float", default=0.0, low=0.0, high=1.0),)
    points = [p[0] for p in build_space(tiny, {"x": {"min": 0.0, "max": 7 * step, "step": step}}).grid(0, 8).tolist()]
    assert points == [float(Fraction(repr(step)) * i) for i in range(8)]


def test_a_step_that_the_strategy_declares_too_small_is_refused_where_it_would_be_asked_for() -> None:
    tiny = (Parameter(name="x", kind="float", default=0.0, low=0.0, high=1.0, step=5e-324),)
    for ranges in ({}, {"x": {"max": 0.5}}):
        with pytest.raises(Invalid, match="too small") as caught:
            build_space(tiny, ranges)
        assert caught.value.path == "/data/param_ranges/x/step"
    assert build_space(tiny, {"x": {"step": 0.5}}).size == 3


def test_numpy_scalars_are_values_like_others() -> None:
    ranges = {"fast": np.int64(7), "band": {"min": np.float64(0.01), "max": np.array(0.02), "step": np.float64(0.01)}}
    assert build_space(ALL, ranges) == build_space(ALL, {"fast": 7, "band": {"min": 0.01, "max": 0.02, "step": 0.01}})


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


def test_an_empty_range_is_the_declared_one() -> None:
    space = build_space(ALL, {"mode": {}, "flag": Range(), "fast": {}})
    assert [(d.name, d.size) for d in space.dimensions] == [("fast", 99), ("mode", 2), ("flag", 2)]


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.data())
def test_places_along_axes_are_the_digits_of_an_index(sizes: list[int], data: st.DataObject) -> None:
    wide = [*sizes, 10**9, 3] if data.draw(st.booleans()) else sizes
    index = np.array(data.draw(st.lists(st.integers(0, int(np.prod(wide)) - 1), min_size=1, max_size=5)))
    assert [place.tolist() for place in digits(index, wide)] == [p.tolist() for p in np.unravel_index(index, wide)]


@pytest.mark.parametrize(
    ("spec", "codes", "ranks"),
    [
        ({"min": 10, "max": 30, "step": 5}, [10, 12.4, 12.6, 30, 400], [0, 0, 1, 4, 4]),
        ([40, 10, 20], [0, 10, 14, 16, 29, 31, 99], [0, 0, 0, 1, 1, 2, 2]),
        ([40], [0, 40, 50], [0, 0, 0]),
        ([40, 10], [25, 26], [0, 1]),
    ],
)
def test_the_nearest_of_discrete_values_by_rank(spec: Any, codes: list[float], ranks: list[int]) -> None:
    (dimension,) = build_space(ALL, {"fast": spec}).dimensions
    assert dimension.rank(np.array(codes, float)).tolist() == ranks
    own = dimension.sample(dimension.unit(dimension.at(np.arange(dimension.size))))
    assert own.tolist() == dimension.at(np.arange(dimension.size)).tolist()


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
        ({"fast": [[5, 6]]}, "/params/fast"),
        ({"fast": np.array([[5, 6]])}, "/params/fast"),
        ({"fast": [5, [6, 7]]}, "/params/fast"),
        ({"fast": [5, True]}, "/params/fast"),
        ({"fast": None}, "/params/fast"),
        ({"fast": 10**400}, "/params/fast"),
        ({"fast": [5, -(10**5000)]}, "/params/fast"),
        ({"fast": [10**400, 5.0]}, "/params/fast"),
        ({"fast": {"min": 5}}, "/params/fast"),
        ({"fast": np.array([5, None, "a"], object)}, "/params/fast"),
        ({"fast": np.array([5], "timedelta64[ns]")}, "/params/fast"),
        ({"band": [0.0, float("nan")]}, "/params/band"),
        ({"band": np.inf}, "/params/band"),
        ({"a/b~c": 3}, "/params/a~1b~0c"),
        ({"fast": [5, 1]}, "/params/fast"),
        ({"mode": ["slow", "fast"]}, "/params/mode"),
        ({"speed": 3}, "/params/speed"),
    ],
)
def test_wrong_points_are_refused(params: dict[str, Any], path: str) -> None:
    with pytest.raises(Invalid) as caught:
        encode_points(ALL, params)
    assert caught.value.path == path
