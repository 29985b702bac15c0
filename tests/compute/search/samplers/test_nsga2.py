"""NSGA-II: which survive, and the front it reaches."""

from __future__ import annotations

import numpy as np
import pytest
from deap.base import Fitness
from deap.tools import selNSGA2

from compute.search.samplers.search import region_of, run
from tunesmith.compute.search.samplers import make_sampler
from tunesmith.compute.search.samplers.sampler import Problem
from tunesmith.domain.parameters import Parameter
from tunesmith.domain.search.methods import MethodOptions

REGION = region_of(tuple(Parameter(name=n, kind="int", default=0, low=0, high=63) for n in "abcd"))


def two_targets(points: np.ndarray) -> np.ndarray:
    """ZDT1's kind: the second target falls with the first, and with the distance of the other axes from zero."""
    unit = points / 63.0
    away = 1.0 + 3.0 * unit[:, 1:].mean(axis=1)
    return np.stack([-unit[:, 0], -away * (1.0 - np.sqrt(unit[:, 0] / away))], axis=1)


def problem(n: int, n_targets: int = 2, seed: int = 0, **options: float) -> Problem:
    return Problem(REGION, n, seed, MethodOptions(**options), n_targets, np.empty((0, 4)))  # type: ignore[arg-type]


def dominated_area(scores: np.ndarray) -> float:
    area, top = 0.0, -4.0
    for x, y in scores[np.lexsort((-scores[:, 1], -scores[:, 0]))]:
        if y > top:
            area += (x + 1.0) * (y - top)
            top = y
    return area


def test_its_front_dominates_more_than_random_trials_do() -> None:
    areas = {
        method: [
            dominated_area(two_targets(run(make_sampler(method, problem(400, seed=s)), two_targets, 400)))
            for s in range(5)
        ]
        for method in ("nsga2", "random")
    }
    assert min(areas["nsga2"]) > max(areas["random"])


class _Row:
    def __init__(self, fitness: Fitness, number: int) -> None:
        self.fitness = fitness
        self.number = number


def test_survivors_are_those_of_deap() -> None:
    scores = np.random.default_rng(1).normal(size=(60, 2))
    sampler = make_sampler("nsga2", problem(200, population=30))
    sampler.tell(REGION.draw(0, 0, 60), scores)
    sampler.ask(60, 90)
    fitness = type("Maximized", (Fitness,), {"weights": (1.0, 1.0)})
    first = selNSGA2([_Row(fitness(row), i) for i, row in enumerate(scores[:30].tolist())], 30)
    rows = [*first, *(_Row(fitness(row), 30 + i) for i, row in enumerate(scores[30:].tolist()))]
    expected = {row.number for row in selNSGA2(rows, 30)}
    assert set(sampler._survivors.tolist()) == expected  # type: ignore[attr-defined]


@pytest.mark.parametrize("n_targets", [2, 3, 4])
def test_no_survivor_is_dominated_by_one_that_did_not_survive(n_targets: int) -> None:
    scores = np.random.default_rng(1).integers(0, 6, (80, n_targets)).astype(float)
    sampler = make_sampler("nsga2", problem(200, n_targets, population=40))
    sampler.tell(REGION.draw(0, 0, 80), scores)
    sampler.ask(80, 120)
    survivors = sampler._survivors  # type: ignore[attr-defined]
    out = np.setdiff1d(np.arange(80), survivors)
    assert (len(survivors), len(out)) == (40, 40)
    at_least = (scores[out][:, np.newaxis] >= scores[survivors]).all(axis=2)
    better = (scores[out][:, np.newaxis] > scores[survivors]).any(axis=2)
    assert not (at_least & better).any()


def test_trials_without_a_score_survive_only_where_nothing_else_does() -> None:
    scores = two_targets(REGION.draw(0, 0, 40))
    scores[::2, 1] = np.nan
    sampler = make_sampler("nsga2", problem(100, population=20))
    sampler.tell(REGION.draw(0, 0, 40), scores)
    sampler.ask(40, 60)
    assert sorted(sampler._survivors.tolist()) == list(range(1, 40, 2))  # type: ignore[attr-defined]


def test_with_one_target_the_best_survive() -> None:
    scores = np.random.default_rng(1).normal(size=(40, 1))
    sampler = make_sampler("nsga2", problem(100, 1, population=20))
    sampler.tell(REGION.draw(0, 0, 40), scores)
    sampler.ask(40, 60)
    assert set(sampler._survivors.tolist()) == set(np.argsort(-scores[:, 0])[:20].tolist())  # type: ignore[attr-defined]


def test_tpe_learns_from_two_targets_too() -> None:
    tpe, random = (
        dominated_area(two_targets(run(make_sampler(method, problem(120)), two_targets, 120)))
        for method in ("tpe", "random")
    )
    assert tpe > random
