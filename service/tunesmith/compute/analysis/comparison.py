"""Two searches side by side."""

from __future__ import annotations

from typing import Any

import numpy as np

from tunesmith.compute.analysis.ranking import summary
from tunesmith.compute.analysis.trial_set import Trials
from tunesmith.domain.array_types import Floats
from tunesmith.domain.search.findings import Comparison


def compare(a: Trials, b: Trials) -> Comparison:
    """Compare two searches by their defined scores. O(n log n)."""
    of_a, of_b = summary(a), summary(b)
    superiority, p_value = _mann_whitney(a.scores[a.defined], b.scores[b.defined])
    best = None
    if of_a.best_score is not None and of_b.best_score is not None:
        best = of_b.best_score - of_a.best_score
    return Comparison(a=of_a, b=of_b, best_difference=best, superiority=superiority, p_value=p_value, **_common(a, b))


def _mann_whitney(a: Floats, b: Floats) -> tuple[float | None, float | None]:
    from scipy.stats import mannwhitneyu

    if not len(a) or not len(b):
        return None, None
    if min(a.min(), b.min()) == max(a.max(), b.max()):
        return 0.5, 1.0
    test = mannwhitneyu(b, a, alternative="two-sided", method="asymptotic")
    return float(test.statistic) / (len(a) * len(b)), float(test.pvalue)


def _common(a: Trials, b: Trials) -> dict[str, Any]:
    """The comparison's members about points that both have; of a point tried twice the first trial counts."""
    names = ("n_common", "n_better", "n_worse", "mean_difference", "largest_difference")
    if a.space.parameters != b.space.parameters:
        return dict.fromkeys(names)
    in_a = {key: i for i, key in reversed(list(enumerate(_keys(a.points))))}
    in_b = {key: i for i, key in reversed(list(enumerate(_keys(b.points))))}
    pairs = [(i, in_b[key]) for key, i in in_a.items() if key in in_b]
    rows = np.array(pairs, np.int64).reshape(-1, 2)
    difference = b.scores[rows[:, 1]] - a.scores[rows[:, 0]]
    difference = difference[np.isfinite(difference)]
    own = a.own(difference)
    return {
        "n_common": len(pairs),
        "n_better": int((difference > 0.0).sum()),
        "n_worse": int((difference < 0.0).sum()),
        "mean_difference": float(own.mean()) if len(difference) else None,
        "largest_difference": float(own[np.argmax(np.abs(own))]) if len(difference) else None,
    }


def _keys(points: Floats) -> list[bytes]:
    """The bytes of each row, by which equal points are found; -0.0 is 0.0."""
    rows = np.ascontiguousarray(points + 0.0)
    width = rows.shape[1] * rows.itemsize
    whole = rows.tobytes()
    return [whole[i : i + width] for i in range(0, len(whole), width)] if width else []
