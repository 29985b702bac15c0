"""Which trials are best: constraints, ties, the Pareto front and its knee, and one number from several symbols."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tunesmith.compute.search.pareto import non_dominated
from tunesmith.domain.approval import ApprovalCriteria
from tunesmith.domain.array_types import Flags, Floats, Ints
from tunesmith.domain.criteria import Bound, bounds
from tunesmith.domain.metrics import Aggregation, Goal, direction_of

"""How the metrics of several symbols become one: "minimum" is the worst symbol's, by the metric's direction."""


def eligible(
    metrics: Mapping[str, Floats], criteria: ApprovalCriteria | Sequence[Bound], *, lossless_keeps: bool = False
) -> Flags:
    """Which of n trials keep every bound of `criteria`; an undefined value breaks its bound. bool[n].

    With `lossless_keeps` a profit factor is infinite where all closed trades won (see `domain.criteria.is_lossless`).
    """
    keep = np.ones(len(next(iter(metrics.values()))), bool)
    for bound in bounds(criteria) if isinstance(criteria, ApprovalCriteria) else criteria:
        values = metrics[bound.metric]
        if lossless_keeps and bound.metric == "profit_factor":
            all_won = (metrics["n_trades"] > 0.0) & (metrics["win_rate"] == 1.0)
            values = np.where(np.isnan(values) & all_won, np.inf, values)
        keep &= values >= bound.limit if bound.at_least else values <= bound.limit
    return keep


def best_of(scores: Floats, keep: Flags) -> int | None:
    """Index of the largest of `scores` float64[n] among those of `keep` bool[n], the first of equals; None if none."""
    allowed = np.where(keep, scores, np.nan)
    return None if np.isnan(allowed).all() else int(np.nanargmax(allowed))


def ranked(scores: Floats, keep: Flags, n: int, *, worst: bool = False) -> Ints:
    """Indices of the n best of `scores` float64[m] among those of `keep`, best first; int64[<= n].

    With `worst` the n worst, worst first. Equals stand in the order of their trials; the undefined are left out.
    """
    rows = np.flatnonzero(keep & ~np.isnan(scores))
    key = scores[rows] if worst else -scores[rows]
    n = max(n, 0)
    if n < len(rows):
        near = np.flatnonzero(key <= np.partition(key, n - 1)[n - 1]) if n else np.empty(0, np.int64)
        rows, key = rows[near], key[near]
    return rows[np.argsort(key, kind="stable")][:n]


def pareto_front(scores: Floats, keep: Flags) -> Ints:
    """Trials of `keep` bool[n] that no other one of it beats, int64[m], best in the first score first.

    `scores` float64[n, k] are all to be large. A trial is beaten by one that is at least as good in every score and
    better in one; of trials with the same scores the first stands for all; the undefined take no part.
    O(n log n) for two scores, O(n log^(k-2) n) for more.
    """
    rows = np.flatnonzero(keep & ~np.isnan(scores).any(axis=1))
    return rows[non_dominated(scores[rows])]


def knee(front: Floats) -> int | None:
    """Row of `front` float64[m, k], a Pareto front's scores, that is its knee; None for an empty one.

    It is the point that bulges most beyond the plane through the best of each score (Das 1999, "On characterizing the
    knee of the Pareto curve"), where each score is scaled to the front's range: the greatest sum of scaled scores. The
    first of equals; of a single point it is that.
    """
    if not len(front):
        return None
    low, high = front.min(axis=0), front.max(axis=0)
    span = high - low
    scaled = np.divide(front - low, span, out=np.zeros_like(front), where=span > 0.0)
    return int(np.argmax(scaled.sum(axis=1)))


def aggregate(metrics: Mapping[str, Mapping[str, Floats]], how: Aggregation) -> dict[str, Floats]:
    """One float64[n] a metric from those of several symbols (`metrics` by symbol, then by name), element by element.

    "minimum" is the worst symbol's value: the smallest of a metric to be maximized, the largest of one to be minimized.
    What is undefined for one symbol is undefined for all, as no average of the others stands for it.
    """
    by_symbol = list(metrics.values())
    return {
        name: aggregate_values(np.stack([values[name] for values in by_symbol]), how, direction_of(name))
        for name in by_symbol[0]
    }


def aggregate_values(values: Floats, how: Aggregation, direction: Goal) -> Floats:
    """float64[n] from `values` float64[s, n] of s symbols; NaN where one is. "minimum" is the worst by `direction`."""
    if how == "mean":
        return np.asarray(values.mean(axis=0))
    if how == "median":
        return np.asarray(np.median(values, axis=0))
    return np.asarray(values.min(axis=0) if direction == "maximize" else values.max(axis=0))
