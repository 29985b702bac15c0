"""The Gaussian process search: its surface, its acquisitions and what it does with ints and choices."""

from __future__ import annotations

import numpy as np
import pytest

from compute.search.samplers.search import problem_of, region_of, run, smooth
from tunesmith.compute.search.samplers import make_sampler
from tunesmith.compute.search.samplers.gaussian_process import GaussianProcess, levelled
from tunesmith.domain.parameters import Parameter
from tunesmith.domain.search.methods import MethodOptions

PERIOD = Parameter(name="period", kind="int", default=5, low=2, high=60)
STOP = Parameter(name="stop", kind="float", default=0.05, low=0.01, high=0.3, step=0.01)
MODE = Parameter(name="mode", kind="choice", default="a", choices=("a", "b", "c"))
SHARE = Parameter(name="share", kind="float", default=0.5, low=0.0, high=1.0)
REGION = region_of((PERIOD, STOP, MODE))


def sampler(n: int = 80, **options: object) -> GaussianProcess:
    return GaussianProcess(problem_of(REGION, n, options=MethodOptions(**options)))  # type: ignore[arg-type]


@pytest.mark.parametrize("acquisition", ["ei", "ucb", "poi"])
def test_every_acquisition_comes_near_the_best_on_whole_numbers_steps_and_choices(acquisition: str) -> None:
    points = run(sampler(acquisition=acquisition), smooth(REGION), 80)
    assert (points[:, 0] == np.rint(points[:, 0])).all()
    assert set(np.unique(points[:, 2])) == {0.0, 1.0, 2.0}
    best = REGION.to_unit(points[[np.nanargmax(smooth(REGION)(points)[:, 0])]])[0]
    assert (np.abs(best[:2] - [0.3, 0.5]) < 0.06).all()


def test_a_large_kappa_explores_and_a_small_one_stays() -> None:
    apart = []
    for kappa in (0.0, 50.0):
        points = run(sampler(acquisition="ucb", kappa=kappa, n_initial=20, batch=20), smooth(REGION), 40)
        apart.append(REGION.to_unit(points[20:])[:, :2].std())
    assert apart[1] > 1.3 * apart[0]


def test_a_large_xi_explores() -> None:
    apart = []
    for xi in (0.0, 20.0):
        points = run(sampler(acquisition="poi", xi=xi, n_initial=20, batch=20), smooth(REGION), 40)
        apart.append(REGION.to_unit(points[20:])[:, :2].std())
    assert apart[1] > apart[0]


def test_a_choice_is_a_feature_for_each_of_its_values() -> None:
    features = sampler()._features(np.array([[2.0, 0.01, 0.0], [60.0, 0.3, 2.0]]))
    np.testing.assert_allclose(features[:, 2:], [[1, 0, 0], [0, 0, 1]])
    assert features.shape == (2, 5)


def test_the_lengths_are_fitted_at_milestones_alone() -> None:
    resumed, kept = sampler(200), sampler(200)
    points = run(kept, smooth(REGION), 68)
    resumed.tell(points, smooth(REGION)(points))
    np.testing.assert_array_equal(resumed.ask(68, resumed.ready), kept.ask(68, kept.ready))
    assert kept._fitted[0] == resumed._fitted[0] == 60


def test_it_learns_from_a_bounded_number_of_trials_the_best_among_them() -> None:
    many = GaussianProcess(problem_of(region_of((PERIOD, SHARE)), 5000))
    points = many.region.draw(0, 0, 2000)
    scores = smooth(many.region)(points)
    many.tell(points, scores)
    assert len(many.ask(2000, many.ready)) == many.ready - 2000
    chosen = many._selected(2000, 300)
    assert len(np.unique(chosen)) == 300
    assert set(np.argsort(-scores[:, 0], kind="stable")[:150]) <= set(chosen.tolist())


def test_scores_far_below_and_undefined_ones_are_at_one_level() -> None:
    level = levelled(np.array([3.0, 2.0, 1.0, 1.5, 2.5, -50.0, np.nan, -np.inf]))
    assert level[5] == level[6] == level[7] == level.min()
    assert np.argmax(level) == 0
    assert (level.mean(), level.std()) == (pytest.approx(0.0), pytest.approx(1.0))
    assert not levelled(np.full(4, np.nan)).any()
    assert not levelled(np.ones(4)).any()


def test_blas_threads_are_left_as_they_were() -> None:
    from threadpoolctl import threadpool_info

    before = [pool["num_threads"] for pool in threadpool_info()]
    run(make_sampler("gaussian_process", problem_of(REGION, 30)), smooth(REGION), 30)
    assert [pool["num_threads"] for pool in threadpool_info()][: len(before)] == before
