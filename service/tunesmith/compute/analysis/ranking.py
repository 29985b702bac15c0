"""Ranks by any metric, the Pareto front with its knee, and a search in a few numbers."""

from __future__ import annotations

import numpy as np

from tunesmith.compute.analysis.trial_set import Trials, or_none
from tunesmith.compute.search.selection import knee, pareto_front, ranked
from tunesmith.domain.array_types import Floats
from tunesmith.domain.metrics import METRICS, Goal, metric_named
from tunesmith.domain.search.findings import QUANTILES, Front, RankedTrial, Summary


def ranking(
    trials: Trials, by: str = "score", n: int = 10, *, worst: bool = False, only_eligible: bool = True
) -> list[RankedTrial]:
    """The n best trials by a metric, in its own direction, or by the score; with `worst` the n worst, worst first.

    Equals stand in the order of their trials, the undefined are left out. Raises `Invalid` for an unknown metric.
    """
    scores, values = trials.scores, trials.own(trials.scores)
    if by != "score":
        name = metric_named(by, "/data/sort")
        values = trials.metrics[name]
        scores = values if METRICS[name].direction == "maximize" else -values
    keep = trials.eligible if only_eligible else np.ones(len(trials), bool)
    return [
        RankedTrial(
            index=trials.number(i), params=trials.params(i), value=float(values[i]), eligible=bool(trials.eligible[i])
        )
        for i in ranked(scores, keep, n, worst=worst)
    ]


def front(
    trials: Trials,
    values: Floats,
    targets: list[str],
    directions: tuple[Goal, ...],
    most: int = 1000,
) -> Front:
    """The Pareto front of the eligible trials by raw `values` float64[n, k] of k targets; `trials.scores` is unused.

    Of more than `most` trials about as many are given.
    """
    scores = values * np.array([1.0 if direction == "maximize" else -1.0 for direction in directions])
    whole = pareto_front(scores, trials.eligible)
    at = knee(scores[whole])
    shown = np.arange(len(whole))
    if len(whole) > most:
        shown = np.union1d(np.linspace(0, len(whole) - 1, most).round().astype(np.int64), [at])
    indices = whole[shown]
    return Front(
        targets=targets,
        indices=[trials.number(i) for i in indices],
        params=[trials.params(i) for i in indices],
        values=values[indices].tolist(),
        knee=None if at is None else int(np.searchsorted(shown, at)),
        size=len(whole),
    )


def summary(trials: Trials) -> Summary:
    """The search in numbers."""
    scores, best = trials.own(trials.scores[trials.defined]), trials.best()
    quantiles = np.quantile(scores, QUANTILES) if len(scores) else np.full(len(QUANTILES), np.nan)
    return Summary(
        n_trials=len(trials),
        n_defined=len(scores),
        n_eligible=int(trials.eligible.sum()),
        best=None if best is None else trials.number(best),
        best_params=None if best is None else trials.params(best),
        best_score=None if best is None else trials.score(best),
        quantiles=or_none(quantiles),
    )
