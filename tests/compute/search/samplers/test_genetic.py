"""Genetic search and what it breeds with."""

from __future__ import annotations

import numpy as np
import pytest

from compute.search.samplers.search import problem_of, region_of, run, search, smooth
from tunesmith.compute.search.samplers import make_sampler
from tunesmith.compute.search.samplers.axes import Axes
from tunesmith.compute.search.samplers.breeding import Breeding
from tunesmith.domain.parameters import Parameter
from tunesmith.domain.search.methods import MethodOptions

X = Parameter(name="x", kind="int", default=5, low=0, high=99)
Y = Parameter(name="y", kind="float", default=0.5, low=0.0, high=1.0)
MODE = Parameter(name="mode", kind="choice", default="a", choices=("a", "b", "c", "d"))
REGION = region_of((X, Y, MODE))


def bred(breeding: Breeding, mothers: np.ndarray, fathers: np.ndarray) -> np.ndarray:
    return breeding.offspring(Axes(REGION), mothers, fathers, np.random.default_rng(3))


def test_the_best_is_never_lost_and_its_surroundings_are_tried_more_and_more() -> None:
    points = search("genetic", problem_of(REGION, 300))
    distance = np.abs(REGION.to_unit(points)[:, :2] - [0.3, 0.5]).max(axis=1)
    assert np.median(distance[200:]) < 0.5 * np.median(distance[:50])
    scores = smooth(REGION)(points)[:, 0]
    thirds = [np.nanmax(part) for part in np.array_split(scores, 3)]
    assert max(thirds) == thirds[2]


def test_a_best_told_long_ago_is_still_a_parent() -> None:
    options = MethodOptions(population=10, elite=1, mutation=0.0, crossover=0.0, tournament=1000)
    sampler = make_sampler("genetic", problem_of(REGION, 400, options=options))
    first = sampler.ask(0, 10)
    scores = np.zeros((10, 1))
    scores[3] = 1.0
    sampler.tell(first, scores)
    others = REGION.draw(9, 0, 200)
    sampler.tell(others, np.full((200, 1), -1.0))
    assert len(sampler.ask(210, sampler.ready)) == 10
    parents = sampler._parents()  # type: ignore[attr-defined]
    assert (parents[0], len(parents)) == (3, 10)
    assert set(parents[1:]) <= set(range(200, 210))


def test_generations_grow_with_the_search_unless_their_size_is_given() -> None:
    sampler = make_sampler("genetic", problem_of(REGION, 5000))
    run(sampler, smooth(REGION), 5000)
    sizes = np.diff(sampler.edges)  # type: ignore[attr-defined]
    assert (sizes[0], sizes[-2] > 200, (sizes[:-1] >= 12).all()) == (12, True, True)
    fixed = make_sampler("genetic", problem_of(REGION, 100, options=MethodOptions(population=30)))
    run(fixed, smooth(REGION), 100)
    assert np.diff(fixed.edges).tolist() == [30, 30, 30, 10]  # type: ignore[attr-defined]


def test_without_crossover_and_mutation_an_offspring_is_its_mother() -> None:
    mothers, fathers = np.random.default_rng(0).random((2, 50, 3))
    np.testing.assert_array_equal(bred(Breeding(0.0, 0.5, 0.0), mothers, fathers), mothers)


def test_uniform_crossover_takes_each_axis_from_one_parent() -> None:
    mothers, fathers = np.random.default_rng(0).random((2, 200, 3))
    child = bred(Breeding(1.0, 0.0, 0.0), mothers, fathers)
    assert ((child == mothers) | (child == fathers)).all()
    assert 0.4 < (child == mothers).mean() < 0.6


def test_a_blend_lies_between_its_parents_or_half_their_distance_beyond_but_choices_are_swapped() -> None:
    mothers, fathers = np.full((500, 3), 0.375), np.full((500, 3), 0.625)
    child = bred(Breeding(1.0, 1.0, 0.0), mothers, fathers)
    assert (child[:, :2] >= 0.25).all()
    assert (child[:, :2] <= 0.75).all()
    assert len(np.unique(child[:, 0])) == 500
    assert set(child[:, 2]) == {0.375, 0.625}


@pytest.mark.parametrize("start", [0.005, 0.5, 0.995])
def test_a_mutation_changes_the_value_and_stays_in_range(start: float) -> None:
    parents = np.tile([start, start, 0.625], (400, 1))
    child = bred(Breeding(0.0, 0.0, 1.0), parents, parents)
    assert ((child >= 0.0) & (child <= 1.0)).all()
    points = REGION.from_unit(child)
    assert set(points[:, 2]) == {0.0, 1.0, 3.0}
    moved = points[:, 0] != REGION.from_unit(parents)[0, 0]
    assert moved.mean() > 0.8
    steps = np.abs(child[:, 0] - start)
    assert (steps < 0.05).mean() > 0.2
    assert (steps > 0.1).mean() > 0.1
