"""Staged search: groups of parameters, one after the other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from compute.search.samplers.search import problem_of, region_of, run, search
from tunesmith.compute.rules.feasibility import required
from tunesmith.compute.search.feasible_space import Region
from tunesmith.compute.search.samplers import make_sampler
from tunesmith.compute.search.samplers.staged import Staged
from tunesmith.compute.strategies import builtin
from tunesmith.domain.parameters import Parameter, Range
from tunesmith.domain.search.methods import MethodOptions, Stage
from tunesmith.domain.space import build_space
from tunesmith.errors import Invalid

EMA_ATR = builtin("ema_atr_v1.0")
NAMES = [parameter.name for parameter in EMA_ATR.parameters]
RISK = Stage(
    name="risk",
    params={"atr_sl_multiplier": [1.5, 2.0, 2.5, 3.0], "atr_tp_multiplier": [6.0, 8.0, 10.0, 12.0]},
)
ENTRY = Stage(name="entry", params={"ema_fast": [10, 12, 14, 16], "ema_slow": [20, 24, 28, 32]})
REGION = Region(build_space(EMA_ATR.parameters, {}), required(EMA_ATR))
BEST = {"ema_fast": 14, "ema_slow": 28, "atr_sl_multiplier": 2.5, "atr_tp_multiplier": 10.0}


def near_the_best(points: np.ndarray) -> np.ndarray:
    apart = [np.abs(points[:, NAMES.index(name)] - value) / value for name, value in BEST.items()]
    return -np.sum(apart, axis=0)[:, np.newaxis]


def staged(*stages: Stage, n: int = 500, **options: Any) -> Staged:
    return Staged(problem_of(REGION, n, options=MethodOptions(stages=list(stages) or None, **options)))


def test_each_stage_varies_its_own_parameters_and_the_best_is_carried_on() -> None:
    sampler = staged(RISK, ENTRY)
    points = run(sampler, near_the_best, 500)
    assert [(a.name, a.number, a.n_trials, a.improved) for a in sampler.answers] == [
        ("risk", 1, 15, True),
        ("entry", 1, 16, True),
        ("risk", 2, 15, False),
        ("entry", 2, 0, False),
    ]
    np.testing.assert_array_equal(points[0], [12, 26, 14, 2.0, 8.0])
    assert (points[1:16, :3] == [12, 26, 14]).all()
    assert (points[16:32, 3:] == [2.5, 10.0]).all()
    np.testing.assert_array_equal(sampler.answers[-1].carried, [14, 28, 14, 2.5, 10.0])


def test_a_second_pass_finds_what_hangs_together() -> None:
    x, y = (Parameter(name=name, kind="int", default=0, low=0, high=9) for name in "xy")
    region = region_of((x, y))

    def ridge(points: np.ndarray) -> np.ndarray:
        return -((points[:, :1] - points[:, 1:]) ** 2) - 0.5 * (points.sum(axis=1, keepdims=True) - 14.0) ** 2

    best = []
    for passes in (1, 4):
        stages = [Stage(name=name, params={name: Range(min=0, max=9)}) for name in "xy"]
        points = search_scores(region, ridge, MethodOptions(stages=stages, passes=passes))
        best.append(ridge(points).max())
    assert best[0] < best[1] == 0.0


def search_scores(region: Region, scores: Any, options: MethodOptions) -> np.ndarray:
    return run(make_sampler("staged", problem_of(region, 500, options=options)), scores, 500)


def test_a_stage_without_a_valid_result_is_an_answer() -> None:
    def only_late(points: np.ndarray) -> np.ndarray:
        return np.where(points[:, :1] == 16.0, near_the_best(points), np.nan)

    sampler = staged(RISK, ENTRY)
    run(sampler, only_late, 500)
    first, second, third, _ = sampler.answers[:4]
    assert (first.n_trials, first.improved) == (15, False)
    np.testing.assert_array_equal(first.carried, [12, 26, 14, 2.0, 8.0])
    assert second.improved
    assert second.carried[0] == 16.0
    assert (third.name, third.improved) == ("risk", True)


def test_combinations_that_break_the_conditions_take_no_trial() -> None:
    crossed = Stage(name="entry", params={"ema_fast": [10, 24], "ema_slow": [20, 24, 28]})
    points = run(staged(crossed), near_the_best, 500)
    assert (points[:, 0] < points[:, 1]).all()
    assert len(points) == 1 + 4


def test_a_large_stage_is_not_listed() -> None:
    every = Stage(name="all", params={name: Range() for name in NAMES})
    points = run(staged(every, n=3000), near_the_best, 3000)
    assert len(np.unique(points, axis=0)) == 3000


def test_a_fixed_value_is_a_stage_of_one() -> None:
    points = run(staged(Stage(name="slow", params={"ema_slow": 40})), near_the_best, 500)
    assert points[:, 1].tolist() == [26, 40]


@pytest.mark.parametrize(
    ("params", "named"),
    [({"ema_fast": [10, 200]}, "ema_fast"), ({"atr_sl_multiplier": [1.75]}, "atr_sl_multiplier"), ({"ema": 3}, "ema")],
)
def test_values_that_the_search_does_not_have_are_refused_with_their_path(params: Any, named: str) -> None:
    with pytest.raises(Invalid) as caught:
        staged(RISK, Stage(name="entry", params=params))
    assert caught.value.path is not None
    assert caught.value.path.startswith(f"/data/options/stages/1/params/{named}")


def test_without_stages_each_parameter_is_one_and_windows_narrow_to_every_value() -> None:
    sampler = staged()
    points = run(sampler, near_the_best, 500)
    assert [a.name for a in sampler.answers[:5]] == NAMES
    found = points[np.argmax(near_the_best(points)[:, 0])]
    assert {name: found[NAMES.index(name)] for name in BEST} == BEST


def test_the_seed_does_not_matter() -> None:
    one, other = (search("staged", problem_of(REGION, 200, seed)) for seed in (1, 2))
    np.testing.assert_array_equal(one, other)
