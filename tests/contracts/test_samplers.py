"""What every search method keeps, whichever it is: one suite over the SAMPLERS table."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunesmith.compute.samplers import SAMPLERS, choose_method
from tunesmith.domain.parameters import Parameter
from tunesmith.domain.space import Space, build_space, decode_point

PARAMETERS = (
    Parameter(name="fast", kind="int", default=5, low=2, high=30),
    Parameter(name="band", kind="float", default=0.02, low=0.0, high=0.1, step=0.01),
    Parameter(name="mode", kind="choice", default="slow", choices=("slow", "quick")),
)
DISCRETE = build_space(PARAMETERS, {})
CONTINUOUS = build_space((*PARAMETERS, Parameter(name="x", kind="float", default=0.5, low=0.0, high=1.0)), {})
LARGE = build_space(tuple(Parameter(name=n, kind="int", default=0, low=0, high=99) for n in "abc"), {})
SPACES = {"discrete": DISCRETE, "continuous": CONTINUOUS}


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
@pytest.mark.parametrize("method", SAMPLERS)
class TestSampler:
    def test_points_lie_inside_the_space(self, method: str, space: Space) -> None:
        sampler = SAMPLERS[method](space, 200, 7)
        for row in sampler.ask(0, min(sampler.n_trials, 200)):
            point = decode_point(space.parameters, row)
            assert [p.check(point[p.name]) for p in space.parameters] == [None] * len(space.parameters)

    def test_the_same_seed_gives_the_same_trials(self, method: str, space: Space) -> None:
        first = SAMPLERS[method](space, 300, 11).ask(0, 300)
        np.testing.assert_array_equal(first, SAMPLERS[method](space, 300, 11).ask(0, 300))

    @settings(max_examples=30, deadline=None)
    @given(cuts=st.lists(st.integers(0, 300), max_size=6))
    def test_pieces_equal_the_whole(self, method: str, space: Space, cuts: list[int]) -> None:
        whole = SAMPLERS[method](space, 300, 5).ask(0, 300)
        edges = sorted({0, 300, *cuts})
        pieces = [SAMPLERS[method](space, 300, 5).ask(a, b) for a, b in pairwise(edges)]
        np.testing.assert_array_equal(np.concatenate(pieces), whole)

    def test_no_point_occurs_twice(self, method: str, space: Space) -> None:
        points = SAMPLERS[method](space, 500, 2).ask(0, 500)
        assert len(np.unique(points, axis=0)) == 500


def test_other_seeds_draw_other_points() -> None:
    a, b = (SAMPLERS["random"](DISCRETE, 50, seed).ask(0, 50) for seed in (1, 2))
    assert (a != b).any()


@pytest.mark.parametrize(
    ("space", "asked", "budget", "method"),
    [
        (DISCRETE, None, 10_000, "grid"),
        (DISCRETE, "auto", 100, "grid"),
        (LARGE, "auto", 100, "random"),
        (LARGE, None, 10**6, "grid"),
        (CONTINUOUS, None, 10**9, "random"),
        (DISCRETE, "random", 10_000, "random"),
        (CONTINUOUS, "grid", 10, "grid"),
    ],
)
def test_the_method_that_is_chosen(space: Space, asked: str | None, budget: int, method: str) -> None:
    assert choose_method(space, asked, budget) == method
