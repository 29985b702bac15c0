"""What every search method keeps, whichever it is: one suite over the SAMPLERS table, and a toy from outside.

Each method is driven as a search drives it (`compute.samplers.search`): asked for what is ready, told the scores.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from scipy.stats import qmc

from compute.search.samplers.search import problem_of, region_of, run, search, smooth
from contracts.neighbours import NEIGHBOURS, neighbours
from tunesmith.compute.search.feasible_space import Region
from tunesmith.compute.search.samplers import SAMPLERS, make_sampler
from tunesmith.compute.search.samplers.sampler import Problem
from tunesmith.domain.parameters import Parameter, decode_point
from tunesmith.domain.search.methods import MethodOptions
from tunesmith.domain.space import build_space
from tunesmith.errors import Invalid

FAST = Parameter(name="fast", kind="int", default=5, low=2, high=30)
SLOW = Parameter(name="slow", kind="int", default=20, low=5, high=60)
BAND = Parameter(name="band", kind="float", default=0.02, low=0.0, high=0.1, step=0.01)
MODE = Parameter(name="mode", kind="choice", default="slow", choices=("slow", "quick", "late"))
FLAG = Parameter(name="flag", kind="bool", default=False)
RATE = Parameter(name="rate", kind="float", default=0.01, low=1e-4, high=1e-1, log=True)
SHARE = Parameter(name="share", kind="float", default=0.5, low=0.0, high=1.0)
LOG = Parameter(name="log", kind="int", default=5, low=1, high=300, log=True)
WIDE = tuple(Parameter(name=name, kind="int", default=5, low=0, high=999) for name in "abcd")

REGIONS = {
    "discrete": region_of((FAST, BAND, MODE, FLAG)),
    "continuous": region_of((RATE, SHARE)),
    "mixed": region_of((FAST, SLOW, MODE, SHARE, RATE)),
    "conditions": region_of((FAST, SLOW, BAND), conditions=["fast < slow"]),
    "conditions, mixed": region_of((FAST, SLOW, SHARE), conditions=["fast < slow", "share * slow > 5"]),
    "conditions, too many to list": region_of(WIDE, conditions=["a < b < c < d"]),
    "whole logs": region_of((LOG, MODE)),
    "whole logs, conditions": region_of((LOG, SLOW), conditions=["log < slow"]),
    "some fixed": region_of((FAST, SLOW, SHARE, FLAG), {"fast": [3, 20, 9], "slow": 10, "share": {}}, ["fast < slow"]),
}
N = 48
METHODS = {**SAMPLERS, NEIGHBOURS.name: NEIGHBOURS}
NOT_LEARNING = tuple(name for name, method in METHODS.items() if not method.learns)
LEARNING = tuple(name for name, method in METHODS.items() if method.learns)


@pytest.fixture(autouse=True, scope="module")
def toy() -> Iterator[None]:
    with neighbours():
        yield


def problem(method: str, region: Region, n: int = N, seed: int = 7) -> Problem:
    """A problem for `method`; a grid that is too large to be gone through is asked for each 9,999,991st point."""
    too_large = method == "grid" and not region.size.exact
    return problem_of(region, n, seed, MethodOptions(every=9_999_991) if too_large else None)


def trials(method: str, region: Region, seed: int = 7, n: int = N, **how: Any) -> Any:
    return search(method, problem(method, region, n, seed), **how)


@cache
def _searched(method: str, name: str, seed: int, n: int) -> Any:
    found = trials(method, REGIONS[name], seed, n)
    found.flags.writeable = False
    return found


def searched(method: str, region: Region, seed: int = 7, n: int = N) -> Any:
    """The trials of a whole search of one of `REGIONS`, which is made once for all tests."""
    return _searched(method, next(name for name, each in REGIONS.items() if each is region), seed, n)


@pytest.mark.parametrize("region", REGIONS.values(), ids=REGIONS)
@pytest.mark.parametrize("method", METHODS)
class TestMethod:
    def test_points_lie_in_the_region(self, method: str, region: Region) -> None:
        assert_inside(region, searched(method, region))

    def test_no_point_occurs_twice(self, method: str, region: Region) -> None:
        points = trials(method, region, seed=2, n=2 * N)
        assert len(np.unique(points, axis=0)) == len(points) > 0

    def test_the_same_seed_gives_the_same_trials(self, method: str, region: Region) -> None:
        np.testing.assert_array_equal(trials(method, region, seed=11), searched(method, region, seed=11))

    def test_other_seeds_give_other_trials_except_where_nothing_is_drawn(self, method: str, region: Region) -> None:
        one, other = (searched(method, region, seed) for seed in (7, 11))
        assert np.array_equal(one, other) == (method in ("grid", "staged"))

    @settings(max_examples=3, deadline=None)
    @given(cuts=st.lists(st.integers(0, N), min_size=1, max_size=3), batch=st.sampled_from([1, 7, 64]))
    def test_a_search_that_is_taken_up_again_equals_one_run(
        self, method: str, region: Region, cuts: list[int], batch: int
    ) -> None:
        whole = searched(method, region)
        np.testing.assert_array_equal(trials(method, region, cuts=cuts, batch=batch), whole)


@pytest.mark.parametrize("region", REGIONS.values(), ids=REGIONS)
@pytest.mark.parametrize("method", NOT_LEARNING)
class TestMethodThatDoesNotLearn:
    @settings(max_examples=20, deadline=None)
    @given(cuts=st.lists(st.integers(0, 300), max_size=6), order=st.randoms(use_true_random=False))
    def test_ranges_of_trials_in_any_order_equal_the_whole(
        self, method: str, region: Region, cuts: list[int], order: Any
    ) -> None:
        whole = searched(method, region, n=300)
        pieces = list(pairwise(sorted({0, len(whole), *(min(cut, len(whole)) for cut in cuts)})))
        order.shuffle(pieces)
        kept = make_sampler(method, problem(method, region, 300))
        for start, stop in pieces:
            for sampler in (kept, make_sampler(method, problem(method, region, 300))):
                np.testing.assert_array_equal(sampler.ask(start, stop), whole[start:stop])

    def test_all_trials_are_ready_and_scores_change_nothing(self, method: str, region: Region) -> None:
        whole = searched(method, region)
        sampler = make_sampler(method, problem(method, region))
        assert sampler.ready == sampler.n_trials
        points = run(sampler, lambda points: np.full((len(points), 1), np.nan), N)
        np.testing.assert_array_equal(points, whole)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("conditions", [[], ["fast < slow"]], ids=["free", "conditions"])
def test_a_search_of_more_trials_than_there_are_points_ends_without_repeating_one(
    method: str, conditions: list[str]
) -> None:
    region = region_of((FAST, SLOW, FLAG), {"fast": [2, 4, 6, 9], "slow": {"min": 5, "max": 7}, "flag": {}}, conditions)
    points = search(method, problem_of(region, 200, 3))
    assert len(np.unique(points, axis=0)) == len(points)
    assert_inside(region, points)
    if method in NOT_LEARNING:
        assert len(points) == region.size.n
    assert 1 <= len(points) <= region.size.n


@pytest.mark.parametrize("method", METHODS)
def test_a_single_point_is_tried_once(method: str) -> None:
    for region in (region_of((FAST, SLOW), {"fast": 3, "slow": [9]}), region_of(())):
        assert len(search(method, problem_of(region, 10))) == 1


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "region",
    [
        region_of((FAST, SLOW), conditions=["slow > 5", "fast > slow + 100"]),
        region_of((FAST, SLOW), {"fast": 30, "slow": 5}, ["slow > 4", "fast < slow"]),
    ],
    ids=["never", "never where fixed"],
)
def test_conditions_that_leave_no_point_are_refused(method: str, region: Region) -> None:
    with pytest.raises(Invalid, match="no point") as caught:
        run(make_sampler(method, problem_of(region, 10)), smooth(region), 10)
    assert caught.value.path == "/data/conditions/1"


@pytest.mark.parametrize("method", METHODS)
def test_an_option_of_another_method_is_refused(method: str) -> None:
    all_options = MethodOptions(
        every=2, batch=4, n_initial=5, acquisition="ei", xi=0.1, kappa=1.0, population=8, crossover=0.5, blend=0.5,
        mutation=0.5, tournament=2, elite=1, passes=1, shrink=0.5, rounds=2,
    )  # fmt: skip
    with pytest.raises(Invalid) as caught:
        make_sampler(method, problem_of(REGIONS["discrete"], 10, options=all_options))
    known = SAMPLERS[method].options
    given = [name for name in MethodOptions.__struct_fields__ if name != "stages"]
    assert [error.path for error in caught.value.errors] == [f"/data/options/{n}" for n in given if n not in known]


@pytest.mark.parametrize("method", LEARNING)
def test_a_method_that_learns_finds_better_points_than_chance(method: str) -> None:
    region = REGIONS["mixed"]
    best = {
        name: np.mean([np.nanmax(smooth(region)(trials(name, region, seed, 150))) for seed in range(4)])
        for name in (method, "random")
    }
    assert best[method] > best["random"]


@pytest.mark.parametrize("method", ["latin_hypercube", "sobol"])
@pytest.mark.parametrize("n", [64, 200])
def test_a_design_fills_the_space_more_evenly_than_chance(method: str, n: int) -> None:
    region = region_of((SHARE, RATE, Parameter(name="x", kind="float", default=0.0, low=-1.0, high=1.0)))
    uneven = {
        name: np.mean([qmc.discrepancy(region.to_unit(trials(name, region, seed, n))) for seed in range(20)])
        for name in (method, "random")
    }
    assert uneven[method] < 0.7 * uneven["random"]


KINDS = st.sampled_from(["int", "float", "log", "whole log", "step", "choice", "bool", "listed", "fixed"])
CONDITIONS = st.lists(
    st.sampled_from(["p0 < p1", "p1 <= p2", "p0 + p1 > 6", "p2 * p2 < 40", "not p0 == p2", "p1 > 2 or p0 > 5"]),
    max_size=3,
)


@st.composite
def regions(draw: st.DrawFn) -> Region:
    parameters: list[Parameter] = []
    ranges: dict[str, Any] = {}
    for i in range(draw(st.integers(1, 4))):
        kind, name, high = draw(KINDS), f"p{i}", draw(st.integers(2, 12))
        numeric = {"name": name, "low": 1.0, "high": float(high)}
        ranges[name] = {}
        if kind == "choice":
            parameters.append(Parameter(name=name, kind="choice", default=1, choices=tuple(range(high))))
        elif kind == "bool":
            parameters.append(Parameter(name=name, kind="bool", default=False))
        elif kind in ("int", "whole log", "fixed", "listed"):
            parameters.append(Parameter(kind="int", default=1, log=kind == "whole log", **numeric))  # type: ignore[arg-type]
            if kind == "fixed":
                ranges[name] = high
            elif kind == "listed":
                ranges[name] = [high, 1, 2]
        else:
            step = 0.25 if kind == "step" else None
            parameters.append(
                Parameter(kind="float", default=1.5, step=step, log=kind == "log", **numeric)  # type: ignore[arg-type]
            )
    try:
        return region_of(parameters, ranges, draw(CONDITIONS))
    except Invalid:  # a condition on a bool, or on a parameter that is not there
        assume(False)
        raise


@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(region=regions(), seed=st.integers(0, 2**53), n=st.integers(1, 30), cut=st.integers(0, 30))
def test_any_space_is_searched_or_refused(method: str, region: Region, seed: int, n: int, cut: int) -> None:
    asked = problem_of(region, n, seed)
    try:
        points = search(method, asked)
    except Invalid as error:
        refused = error
    else:
        refused = None
    if refused is not None:
        assert (refused.path or "").startswith("/data/conditions/")
        if method == "grid" or region.is_discrete:
            assert region.size.n == 0
        else:
            assert region.share < 0.001
        return
    assert_inside(region, points)
    assert len(np.unique(points, axis=0)) == len(points) > 0
    np.testing.assert_array_equal(search(method, asked, cuts=[min(cut, n)], batch=5), points)
    if method in ("random", "latin_hypercube", "sobol"):
        assert len(points) == (min(n, region.size.n) if region.is_discrete else n)


def assert_inside(region: Region, points: Any) -> None:
    space = region.space
    for row in points:
        values = decode_point(space.parameters, row)
        assert [p.check(values[p.name]) for p in space.parameters] == [None] * len(space.parameters)
    assert region.valid(points).all()
    again = region.from_unit(region.to_unit(points))
    searched = {d.name: d for d in space.dimensions}
    for column, parameter in enumerate(space.parameters):
        dimension = searched.get(parameter.name)
        if dimension is None:
            assert (points[:, column] == space.fixed[parameter.name]).all()
        elif dimension.is_discrete:
            assert (points[:, column] == again[:, column]).all()
        else:
            assert ((points[:, column] >= dimension.low) & (points[:, column] <= dimension.high)).all()


DISCRETE = build_space((FAST, BAND, MODE), {})
CONTINUOUS = build_space((FAST, SHARE), {})
LARGE = build_space(tuple(Parameter(name=n, kind="int", default=0, low=0, high=99) for n in "abc"), {})
