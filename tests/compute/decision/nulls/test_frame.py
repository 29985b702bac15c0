"""Points move with the winner as one body, inside the ranges of all searches."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunesmith.compute.decision.nulls.frame import Frame, frame_of, uses_of_points
from tunesmith.domain.array_types import Floats
from tunesmith.domain.parameters import Parameter
from tunesmith.domain.space import build_space

FAST = Parameter(name="fast", kind="int", default=5, low=1, high=500)
WIDTH = Parameter(name="width", kind="float", default=1.0, low=0.1, high=9.0)
KIND = Parameter(name="kind", kind="choice", default="a", choices=("a", "b", "c"))
PARAMETERS = (FAST, WIDTH, KIND)


def uses(**ranges: object) -> tuple:
    space = build_space(PARAMETERS, ranges)
    named = {dimension.name: dimension for dimension in space.dimensions}
    return tuple(
        named.get(p.name) or build_space((p,), {p.name: [p.choices[0] if p.choices else p.default]}).dimensions[0]
        for p in PARAMETERS
    )


def span(low: float, high: float, step: float) -> dict[str, float]:
    return {"min": low, "max": high, "step": step}


def point(fast: float, width: float = 1.0, kind: float = 0.0) -> Floats:
    return np.array([fast, width, kind])


def moved(frame: Frame, points: Floats, found: Floats, real: Floats) -> Floats:
    return frame.moved(points, frame.shift(found, real), found, real)


WIDE, NARROW = span(10, 100, 5), span(40, 50, 5)


def test_a_search_of_all_ranges_stays() -> None:
    frame = frame_of(PARAMETERS, uses(fast=WIDE), [uses(fast=NARROW)])
    assert frame.stays
    assert not frame.shift(point(100), point(10)).any()
    assert not frame_of(PARAMETERS, uses(fast=NARROW), [uses(fast=WIDE)]).stays


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 18), st.integers(0, 2))
def test_a_narrowed_search_moves_as_far_as_the_winner_and_stays_inside(found: int, real: int) -> None:
    frame = frame_of(PARAMETERS, uses(fast=NARROW), [uses(fast=WIDE)])
    points = np.array([point(40), point(45), point(50)])
    x_found, x_real = 10 + 5 * found, 40 + 5 * real
    by = min(max(x_found - x_real, 10 - 40), 100 - 50)
    np.testing.assert_array_equal(moved(frame, points, point(x_found), point(x_real))[:, 0], points[:, 0] + by)
    np.testing.assert_array_equal(moved(frame, points, point(x_found), point(x_real))[:, 1:], points[:, 1:])


def test_the_winner_itself_comes_to_lie_on_the_found_one() -> None:
    wide = uses(fast=WIDE, width=span(0.1, 2.0, 0.1), kind=["a", "b", "c"])
    real, found = point(45, 0.7, 2.0), point(90, 1.9, 0.0)
    frame = frame_of(PARAMETERS, uses_of_points(PARAMETERS, real[np.newaxis]), [wide])
    np.testing.assert_array_equal(moved(frame, real[np.newaxis], found, real)[0], found)


def test_values_of_a_list_move_by_rank_and_whole_numbers_stay_whole() -> None:
    listed = uses(fast=[10, 20, 40, 80, 160])
    frame = frame_of(PARAMETERS, uses(fast=[20, 40]), [listed])
    assert moved(frame, np.array([point(20), point(40)]), point(160), point(20))[:, 0].tolist() == [80.0, 160.0]
    between = frame_of(PARAMETERS, uses_of_points(PARAMETERS, point(33)[np.newaxis]), [uses(fast=WIDE)])
    assert moved(between, point(33)[np.newaxis], point(60), point(40))[0, 0] == 53.0


def test_steps_that_differ_share_the_finest() -> None:
    frame = frame_of(PARAMETERS, uses(fast=span(40, 60, 10)), [uses(fast=span(12, 100, 4))])
    assert moved(frame, np.array([point(40), point(50)]), point(52), point(40))[:, 0].tolist() == [52.0, 62.0]


def test_a_logarithmic_range_moves_by_a_factor() -> None:
    wide = uses(width={"min": 0.1, "max": 9.0, "log": True})
    frame = frame_of(PARAMETERS, uses(width={"min": 1.0, "max": 2.0, "log": True}), [wide])
    points = np.array([point(5, 1.0), point(5, 2.0)])
    np.testing.assert_allclose(moved(frame, points, point(5, 3.0), point(5, 1.0))[:, 1], [3.0, 6.0])
    np.testing.assert_allclose(moved(frame, points, point(5, 9.0), point(5, 1.0))[:, 1], [4.5, 9.0])


def test_choices_change_places() -> None:
    both = uses(kind=["a", "b", "c"])
    frame = frame_of(PARAMETERS, both, [both])
    assert not frame.stays
    points = np.array([point(5, 1.0, k) for k in (0.0, 1.0, 2.0)])
    assert moved(frame, points, point(5, 1.0, 2.0), point(5, 1.0, 0.0))[:, 2].tolist() == [2.0, 1.0, 0.0]


@pytest.mark.parametrize("divisor", [2.0, 4.0])
def test_a_part_of_a_shift_is_whole_where_there_are_steps(divisor: float) -> None:
    wide = uses(fast=WIDE, width={"min": 0.1, "max": 9.0})
    frame = frame_of(PARAMETERS, uses(fast=[45], width={"min": 1.0, "max": 1.5}), [wide])
    by = frame.shift(point(80, 3.0), point(45, 1.0))
    assert by.tolist() == [7.0, 2.0, 0.0]
    assert frame.part(by, divisor).tolist() == [float(int(7 / divisor)), 2.0 / divisor, 0.0]
