"""How a search got better, trial by trial."""

from __future__ import annotations

import msgspec
import numpy as np

from tunesmith.compute.analysis.trials import Trials, or_none


class Improvement(msgspec.Struct, frozen=True, kw_only=True):
    """A trial that was better than all before it."""

    index: int
    score: float


class Convergence(msgspec.Struct, frozen=True, kw_only=True):
    """Best score so far, among eligible trials.

    `best_so_far[i]` is that after `n_done[i]` trials, null before the first; `n_since` counts the trials after the last
    improvement.
    """

    improvements: list[Improvement]
    n_done: list[int]
    best_so_far: list[float | None]
    n_since: int


def convergence(trials: Trials, max_points: int = 200) -> Convergence:
    """Every improvement, and the curve at up to `max_points` trial counts spread evenly, the last included."""
    scores = np.where(trials.eligible & trials.defined, trials.scores, -np.inf)
    best = np.maximum.accumulate(scores)
    before = np.concatenate([[-np.inf], best[:-1]])
    better = np.flatnonzero(scores > before)
    n_done = np.unique(np.linspace(1, len(scores), min(max_points, len(scores))).round().astype(np.int64))
    return Convergence(
        improvements=[Improvement(index=int(i), score=float(scores[i])) for i in better],
        n_done=n_done.tolist(),
        best_so_far=or_none(best[n_done - 1]),
        n_since=len(scores) - 1 - int(better[-1]) if len(better) else len(scores),
    )
