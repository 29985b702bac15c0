"""Reality Check: could the best of all trials be that good by chance, were none of them any good?

The maximum of n studentized means against its Gaussian multiplier bootstrap (Chernozhukov, Chetverikov & Kato 2013,
"Gaussian approximations and multiplier bootstrap for maxima of sums of high-dimensional random vectors", eq. 9), with
blocks of time in the place of single observations, as returns lean on one another.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from tunesmith.domain.array_types import Floats

REALITY_CHECK_CANNOT_SAY = (
    "The Reality Check leans on a few dozen blocks and is off where returns are skewed or revert; it saves work, it "
    "approves nothing."
)

_TILE = 4096


Part = tuple[Floats, Floats, int]


def reality_check(parts: Iterable[Part], *, n_draws: int, seed: int) -> float:
    """p-value of the best mean among all trials.

    A part holds block sums of (timing) returns and of their squares, float64[n, S], and the bars of a block; the parts
    hold different trials on the same blocks. p = (1 + #{draws >= observed}) / (n_draws + 1). Trials are scaled by the
    deviation of their single returns: that of a few dozen blocks is so uncertain that p comes out too small. Trials
    without variance are left out; NaN when all are. Memory is O(S · n_draws), time O(n · S · n_draws).
    """
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    draws: Floats | None = None
    largest = np.full(n_draws, -np.inf)
    observed = -np.inf
    for sums, squares, length in parts:
        n_blocks = sums.shape[1]
        if draws is None:
            draws = rng.standard_normal((n_blocks, n_draws))
        mean = sums.mean(axis=1)
        variance = squares.sum(axis=1) / (length * n_blocks) - (mean / length) ** 2
        kept = variance > 1e-18
        scale = np.sqrt(variance[kept] * length * n_blocks)
        observed = max(observed, float((n_blocks * mean[kept] / scale).max(initial=-np.inf)))
        deviations = (sums[kept] - mean[kept, np.newaxis]) * np.sqrt(n_blocks / (n_blocks - 1)) / scale[:, np.newaxis]
        for start in range(0, len(scale), _TILE):
            np.maximum(largest, (deviations[start : start + _TILE] @ draws).max(axis=0), out=largest)
    if not np.isfinite(observed):
        return float("nan")
    return float((1 + np.count_nonzero(largest >= observed - 1e-12)) / (n_draws + 1))
