"""Ranks by any metric, the Pareto front with its knee, and a search in a few numbers."""

from __future__ import annotations

from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from tunesmith.compute.analysis.trials import Trials, or_none
from tunesmith.compute.selection import knee, pareto_front, ranked
from tunesmith.domain.criteria import metric_named
from tunesmith.domain.metrics import METRICS
from tunesmith.domain.parameters import Scalar

QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)


class RankedTrial(msgspec.Struct, frozen=True, kw_only=True):
    """A trial in a ranking: `value` is what it was ranked by."""

    index: int
    params: dict[str, Scalar]
    value: float
    eligible: bool


class Front(msgspec.Struct, frozen=True, kw_only=True):
    """The Pareto front, best in the first target first; `knee` is a position in it, null where it is empty.

    `values` are raw ones, a list for each trial in the order of the targets.
    """

    targets: list[str]
    indices: list[int]
    params: list[dict[str, Scalar]]
    values: list[list[float]]
    knee: int | None


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """A search in numbers: how many trials have a score and keep the constraints, and how scores are distributed.

    `quantiles` are of the defined scores, at `QUANTILES`; null without any.
    """

    n_trials: int
    n_defined: int
    n_eligible: int
    best: int | None
    best_params: dict[str, Scalar] | None
    best_score: float | None
    quantiles: list[float | None]


def ranking(
    trials: Trials, by: str = "score", n: int = 10, *, worst: bool = False, only_eligible: bool = True
) -> list[RankedTrial]:
    """The n best trials by a metric, in its own direction, or by the score; with `worst` the n worst, worst first.

    Equals stand in the order of their trials, the undefined are left out. Raises `Invalid` for an unknown metric.
    """
    values, sign = trials.scores, 1.0
    if by != "score":
        name = metric_named(by, "/data/sort")
        values, sign = trials.metrics[name], 1.0 if METRICS[name].direction == "maximize" else -1.0
    keep = trials.eligible if only_eligible else np.ones(len(trials), bool)
    return [
        RankedTrial(index=int(i), params=trials.params(i), value=float(values[i]), eligible=bool(trials.eligible[i]))
        for i in ranked(sign * values, keep, n, worst=worst)
    ]


def front(
    trials: Trials,
    values: NDArray[np.float64],
    targets: list[str],
    directions: tuple[Literal["maximize", "minimize"], ...],
) -> Front:
    """The Pareto front of the eligible trials by raw `values` float64[n, k] of k targets; `trials.scores` is unused."""
    scores = values * np.array([1.0 if direction == "maximize" else -1.0 for direction in directions])
    indices = pareto_front(scores, trials.eligible)
    return Front(
        targets=targets,
        indices=indices.tolist(),
        params=[trials.params(i) for i in indices],
        values=values[indices].tolist(),
        knee=knee(scores[indices]),
    )


def summary(trials: Trials) -> Summary:
    """The search in numbers."""
    scores, best = trials.scores[trials.defined], trials.best()
    quantiles = np.quantile(scores, QUANTILES) if len(scores) else np.full(len(QUANTILES), np.nan)
    return Summary(
        n_trials=len(trials),
        n_defined=len(scores),
        n_eligible=int(trials.eligible.sum()),
        best=best,
        best_params=None if best is None else trials.params(best),
        best_score=None if best is None else float(trials.scores[best]),
        quantiles=or_none(quantiles),
    )
