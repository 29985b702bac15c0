"""How trials of one text depend on a trial of another, told from what both are worth on the same shuffled markets.

A user changes the best strategy so far a little, again and again, and keeps what is better. On a shuffled market the
best so far is another one, and so would be its variations. If two trials' statistics correlate, t_x = beta · t_w + e
with e independent of t_w (jointly Gaussian), so where w's place is taken by something worth more, x is worth beta times
as much more: its imagined value. Unrelated trials keep the value that they have.

Every trial is linked to the best trial before it, which holds the level and costs power where several texts are each
searched widely (tests/simulations/decision/README.md, §10.3 d).
"""

from __future__ import annotations

import numpy as np

from tunesmith.domain.array_types import Floats, Ints

N_LINKED = 99
"""Draws on which dependence is told: the numbers 0 to 98."""
N_CONFIRMED = 399
"""Draws on which dependence on another user's search must show as well."""
LEAST_CORRELATION = 0.35
"""Below it, which is 3.5 standard errors of a correlation of 0 on 99 draws, two trials are taken for unrelated."""
LEAST_DEVIATIONS = 4.5
"""So many standard errors of a correlation of 0 must be reached where the largest of thousands is taken."""
MOST_BETA = 1.5
LINKED_WHOLE = 2000
"""A search of more points links only its best ones and as many at random."""
_N_BEST = _N_RANDOM = 500
SAME = 0.999
RELATED = 0.8
"""Trials of the asked search that correlate so much with the submitted point are as good as that point."""


def betas(trials: Floats, holder: Floats) -> Floats:
    """How much each of m trials moves with the holder of the record; float64[m], 0 to `MOST_BETA`, 0 if unrelated.

    `trials` float64[m, n] and `holder` float64[n] are statistics on the same n draws.
    """
    a, b = _centred(trials), _centred(holder[np.newaxis])[0]
    covariance, variance = a @ b, float(b @ b)
    spread = np.sqrt((a * a).sum(axis=1) * variance)
    correlation = np.divide(covariance, spread, out=np.zeros(len(a)), where=spread > 0.0)
    beta = np.clip(covariance / variance, 0.0, MOST_BETA) if variance > 0.0 else np.zeros(len(a))
    return np.where(correlation >= LEAST_CORRELATION, beta, 0.0)


def correlations(a: Floats, b: Floats) -> Floats:
    """The correlation of every row of `a` float64[m, n] with every row of `b` float64[k, n]; float64[m, k].

    0 where a row does not vary.
    """
    a, b = _centred(a), _centred(b)
    spread = np.sqrt((a * a).sum(axis=1)[:, np.newaxis] * (b * b).sum(axis=1)[np.newaxis])
    return np.asarray(np.divide(a @ b.T, spread, out=np.zeros(spread.shape), where=spread > 0.0))


def correlations_of_pairs(a: Floats, b: Floats) -> Floats:
    """The correlation of each row of `a` float64[m, n] with that of `b` float64[m, n]; float64[m]."""
    a, b = _centred(a), _centred(b)
    spread = np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1))
    return np.asarray(np.divide((a * b).sum(axis=1), spread, out=np.zeros(len(a)), where=spread > 0.0))


def to_link(real: Floats, seed: int) -> Ints:
    """Which of n points are linked, ascending: all up to `LINKED_WHOLE`, else the best on the real bars and others.

    `real` float64[n] are their statistics there, NaN where they are no result.
    """
    n = len(real)
    if n <= LINKED_WHOLE:
        return np.arange(n)
    best = np.argsort(-np.nan_to_num(real, nan=-np.inf), kind="stable")[:_N_BEST]
    rest = np.setdiff1d(np.arange(n), best)
    others = np.random.Generator(np.random.Philox(key=seed)).permutation(rest)[:_N_RANDOM]
    return np.sort(np.concatenate([best, others]))


def _centred(rows: Floats) -> Floats:
    return np.asarray(rows - rows.mean(axis=1, keepdims=True))
