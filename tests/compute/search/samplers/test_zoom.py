"""Zoom: rounds that narrow around the best."""

from __future__ import annotations

import numpy as np

from compute.search.samplers.search import problem_of, region_of, run
from tunesmith.compute.search.samplers.zoom import Zoom
from tunesmith.domain.parameters import Parameter
from tunesmith.domain.search.methods import MethodOptions

X, Y = (Parameter(name=name, kind="float", default=0.5, low=0.0, high=1.0) for name in "xy")
REGION = region_of((X, Y))
MODE = Parameter(name="mode", kind="choice", default="a", choices=("a", "b", "c"))


def bowl(points: np.ndarray) -> np.ndarray:
    return -((points[:, :2] - [0.3, 0.6]) ** 2).sum(axis=1)[:, np.newaxis]


def test_each_round_lies_in_a_box_around_the_best_half_as_wide_and_then_it_begins_again() -> None:
    options = MethodOptions(n_initial=10, shrink=0.5, rounds=3)
    points = run(Zoom(problem_of(REGION, 80, options=options)), bowl, 80)
    for number, side in enumerate([1.0, 0.5, 0.25, 0.125, 1.0, 0.5, 0.25, 0.125]):
        rows = points[10 * number : 10 * number + 10]
        if side == 1.0:
            assert (np.ptp(rows, axis=0) > 0.7).all()
        else:
            best = points[np.argmax(bowl(points[: 10 * number])[:, 0])]
            assert (np.abs(rows - best) <= side / 2 + 1e-12).all()


def test_an_exhausted_box_is_widened() -> None:
    whole = region_of(tuple(Parameter(name=name, kind="int", default=0, low=0, high=20) for name in "ab"))
    points = run(Zoom(problem_of(whole, 300)), lambda p: -np.abs(p - 10).sum(axis=1)[:, np.newaxis], 300)
    assert len(np.unique(points, axis=0)) == 300


def test_a_choice_stays_at_the_best_more_often_the_smaller_the_box() -> None:
    region = region_of((X, Y, MODE))

    def scores(points: np.ndarray) -> np.ndarray:
        return bowl(points) + (points[:, 2:] == 1.0)

    options = MethodOptions(n_initial=30, rounds=5)
    points = run(Zoom(problem_of(region, 180, options=options)), scores, 180)
    shares = [(points[k : k + 30, 2] == 1.0).mean() for k in range(0, 180, 30)]
    assert shares[0] < 0.6
    assert shares[5] > 0.9
