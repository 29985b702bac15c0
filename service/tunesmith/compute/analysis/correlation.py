"""How parameters go with the score, and with each other among good trials."""

from __future__ import annotations

import numpy as np

from tunesmith.compute.analysis.trial_set import Trials, or_none
from tunesmith.domain.array_types import Floats
from tunesmith.domain.parameters import Parameter
from tunesmith.domain.search.findings import Correlations


def correlations(trials: Trials, share: float = 0.1, most: int = 10_000) -> Correlations:
    """Correlations over all trials, and over the best `share` of the eligible ones, at most `most` of them."""
    parameters = [dimension.parameter for dimension in trials.space.dimensions]
    good = trials.good(share, most)
    keep = trials.defined
    columns = [trials.column(parameter.name) for parameter in parameters]
    ranks = [_ranks(p, column[good]) for p, column in zip(parameters, columns, strict=True)]
    score = _centred(trials.scores[keep])
    by_score = [_ranks(p, column[keep]) for p, column in zip(parameters, columns, strict=True)]
    return Correlations(
        parameters=[parameter.name for parameter in parameters],
        with_score=or_none(trials.own(np.array([_correlation(column, score) for column in by_score]))),
        among_good=[or_none(np.array([_correlation(a, b) for b in ranks])) for a in ranks],
        n_good=len(good),
    )


def _ranks(parameter: Parameter, codes: Floats) -> Floats | None:
    unordered = parameter.kind == "choice" and len(parameter.choices) > 2
    return None if unordered else _centred(codes)


def _centred(values: Floats) -> Floats | None:
    """Mean ranks less their mean; None where there is nothing to rank."""
    from scipy.stats import rankdata

    if len(values) < 3:
        return None
    ranks = np.asarray(rankdata(values), np.float64)
    centred = ranks - ranks.mean()
    return centred if centred.any() else None


def _correlation(a: Floats | None, b: Floats | None) -> float:
    if a is None or b is None:
        return np.nan
    return float(np.clip((a @ b) / np.sqrt((a @ a) * (b @ b)), -1.0, 1.0))
