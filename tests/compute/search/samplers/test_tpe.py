"""TPE: what Optuna is told, and how a batch is drawn."""

from __future__ import annotations

import numpy as np
import optuna

from compute.search.samplers.search import problem_of, region_of, run, smooth
from tunesmith.compute.search.samplers.tpe import TPE
from tunesmith.domain.parameters import Parameter
from tunesmith.domain.search.methods import MethodOptions

PERIOD = Parameter(name="period", kind="int", default=5, low=2, high=60)
RATE = Parameter(name="rate", kind="float", default=0.01, low=1e-4, high=1e-1, log=True)
MODE = Parameter(name="mode", kind="choice", default="a", choices=("a", "b", "c"))
REGION = region_of((PERIOD, RATE, MODE))


def test_optuna_is_told_the_trials_in_their_order_and_those_without_a_score_as_infeasible() -> None:
    sampler = TPE(problem_of(REGION, 60, options=MethodOptions(n_initial=20, batch=5)))
    points = run(sampler, smooth(REGION), 20)
    scores = smooth(REGION)(points)[:, 0]
    scores[3] = np.nan
    again = TPE(problem_of(REGION, 60, options=MethodOptions(n_initial=20, batch=5)))
    again.tell(points, scores[:, np.newaxis])
    assert len(again.ask(20, again.ready)) == 5
    assert again._study is not None
    told = again._study.get_trials(states=[optuna.trial.TrialState.COMPLETE])
    assert [trial.params["0"] for trial in told] == (points[:, 0] - 2).tolist()
    assert [trial.params["2"] for trial in told] == points[:, 2].tolist()
    undefined = [trial.number for trial in told if trial.constraints["defined"] > 0]
    assert undefined == np.flatnonzero(np.isnan(scores)).tolist()
    np.testing.assert_array_equal(
        [t.value for t in told if t.number != 3 and t.number not in undefined], scores[~np.isnan(scores)]
    )


def test_it_draws_ever_nearer_to_the_best() -> None:
    points = run(TPE(problem_of(REGION, 120)), smooth(REGION), 120)
    distance = ((REGION.to_unit(points)[:, :2] - [0.3, 0.5]) ** 2).sum(axis=1)
    assert np.median(distance[80:]) < 0.5 * np.median(distance[:20])


def test_optunas_log_is_left_as_it_was() -> None:
    before = optuna.logging.get_verbosity()
    run(TPE(problem_of(REGION, 24)), smooth(REGION), 24)
    assert optuna.logging.get_verbosity() == before
