"""Searches whose answers are known, for the tests of analyses."""

from __future__ import annotations

import numpy as np

from tunesmith.compute.analysis.trial_set import Trials
from tunesmith.domain.parameters import Parameter
from tunesmith.domain.space import build_space

PARAMETERS = (
    Parameter(name="fast", kind="int", default=5, low=1, high=100),
    Parameter(name="kind", kind="choice", default="ema", choices=("sma", "ema", "wma")),
    Parameter(name="risk", kind="float", default=0.1, low=0.001, high=1.0, log=True),
    Parameter(name="short", kind="bool", default=False),
    Parameter(name="lag", kind="int", default=3, low=0, high=9),
)
RANGES = {
    "fast": {"min": 10, "max": 50, "step": 2},
    "kind": ["sma", "ema", "wma"],
    "risk": {"min": 0.01, "max": 1.0, "log": True},
    "short": [False, True],
}
SPACE = build_space(PARAMETERS, RANGES)


def search(n: int = 3000, seed: int = 0) -> Trials:
    """Random trials of a score that peaks at fast = 30, prefers ema by 0.2, and does not depend on risk and short."""
    rng = np.random.default_rng(seed)
    points = SPACE.sample(rng.random((n, len(SPACE.dimensions))))
    scores = 1.0 - ((points[:, 0] - 30.0) / 20.0) ** 2 + 0.2 * (points[:, 1] == 1.0)
    scores += 0.01 * rng.normal(size=n)
    scores[::50] = np.nan
    n_trades = rng.integers(0, 100, n).astype(float)
    metrics = {"sharpe": scores, "n_trades": n_trades, "max_drawdown": rng.random(n)}
    return Trials(SPACE, points, scores, n_trades >= 20, metrics)


def without_scores(n: int = 20) -> Trials:
    trials = search(n)
    return Trials(SPACE, trials.points, np.full(n, np.nan), trials.eligible)


def one_trial() -> Trials:
    trials = search(1)
    return Trials(SPACE, trials.points, np.array([0.5]), np.array([True]))


def one_value(n: int = 30) -> Trials:
    """The same point again and again."""
    return Trials(SPACE, np.repeat(search(1).points, n, axis=0), np.full(n, 0.5), np.ones(n, bool))


def no_trials() -> Trials:
    return Trials(SPACE, np.empty((0, 5)), np.empty(0), np.empty(0, bool))


POOR = {"no score": without_scores, "one trial": one_trial, "one value": one_value, "no trial": no_trials}
"""Searches in which there is little to analyse."""
