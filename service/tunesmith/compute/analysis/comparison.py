"""Two searches side by side."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from tunesmith.compute.analysis.ranking import Summary, summary
from tunesmith.compute.analysis.trials import Trials


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Search `b` beside search `a`, whose scores mean the same.

    `superiority` is the chance that a trial of b scores higher than one of a, ties counting half, and `p_value` that of
    the two-sided Mann-Whitney test that it is one half; trials of a search that learns are no random sample, so it
    describes rather than proves. `n_common` points were tried in both, of which `n_better` score higher in b and
    `n_worse` lower; `mean_difference` and `largest_difference` are of b's score less a's there, where both are defined.
    Null where undefined; `n_common` is null where the searches do not have the same parameters.
    """

    a: Summary
    b: Summary
    best_difference: float | None
    superiority: float | None
    p_value: float | None
    n_common: int | None
    n_better: int | None
    n_worse: int | None
    mean_difference: float | None
    largest_difference: float | None


def compare(a: Trials, b: Trials) -> Comparison:
    """Compare two searches by their defined scores. O(n log n)."""
    of_a, of_b = summary(a), summary(b)
    superiority, p_value = _mann_whitney(a.scores[a.defined], b.scores[b.defined])
    best = None
    if of_a.best_score is not None and of_b.best_score is not None:
        best = of_b.best_score - of_a.best_score
    return Comparison(a=of_a, b=of_b, best_difference=best, superiority=superiority, p_value=p_value, **_common(a, b))


def _mann_whitney(a: NDArray[np.float64], b: NDArray[np.float64]) -> tuple[float | None, float | None]:
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
    return {
        "n_common": len(pairs),
        "n_better": int((difference > 0.0).sum()),
        "n_worse": int((difference < 0.0).sum()),
        "mean_difference": float(difference.mean()) if len(difference) else None,
        "largest_difference": float(difference[np.argmax(np.abs(difference))]) if len(difference) else None,
    }


def _keys(points: NDArray[np.float64]) -> list[bytes]:
    """The bytes of each row, by which equal points are found; -0.0 is 0.0."""
    rows = np.ascontiguousarray(points + 0.0)
    width = rows.shape[1] * rows.itemsize
    whole = rows.tobytes()
    return [whole[i : i + width] for i in range(0, len(whole), width)] if width else []
