"""How a search got better, trial by trial."""

from __future__ import annotations

import numpy as np

from tunesmith.compute.analysis.trial_set import Trials, or_none
from tunesmith.domain.search.findings import Convergence, Improvement


def convergence(trials: Trials, max_points: int = 200) -> Convergence:
    """Every improvement, and the curve at up to `max_points` trial counts spread evenly, the last included."""
    scores = np.where(trials.eligible & trials.defined, trials.scores, -np.inf)
    best = np.maximum.accumulate(scores)
    before = np.concatenate([[-np.inf], best[:-1]])
    better = np.flatnonzero(scores > before)
    n_done = np.unique(np.linspace(1, len(scores), min(max_points, len(scores))).round().astype(np.int64))
    return Convergence(
        improvements=[Improvement(index=trials.number(int(i)), score=trials.score(int(i))) for i in better],
        n_done=n_done.tolist(),
        best_so_far=or_none(trials.own(best[n_done - 1])),
        n_since=len(scores) - 1 - int(better[-1]) if len(better) else len(scores),
    )
