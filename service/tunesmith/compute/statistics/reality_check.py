"""Reality Check: could the best of all trials be that good by chance, were none of them any good?

The maximum of n studentized means against its Gaussian multiplier bootstrap (Chernozhukov, Chetverikov & Kato 2013,
"Gaussian approximations and multiplier bootstrap for maxima of sums of high-dimensional random vectors", eq. 9), with
blocks of time in the place of single observations, as returns lean on one another.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

REALITY_CHECK_CANNOT_SAY = (
    "The Reality Check leans on a few dozen blocks and is off where returns are skewed or revert; it saves work, it "
    "approves nothing."
)

_TILE = 4096


def reality_check(
    sums: NDArray[np.float64], squares: NDArray[np.float64], length: int, *, n_draws: int, seed: int
) -> float:
    """p-value of the best mean among n trials, from block sums of (timing) returns and of their squares, float64[n, S].

    p = (1 + #{draws >= observed}) / (n_draws + 1), `length` being the bars of a block. Trials are scaled by the
    deviation of their single returns: that of a few dozen blocks is so uncertain that p comes out too small. Trials
    without variance are left out; NaN when all are. Memory is O(S · n_draws), time O(n · S · n_draws).
    """
    n_blocks = sums.shape[1]
    n_bars = length * n_blocks
    mean = sums.mean(axis=1)
    variance = squares.sum(axis=1) / n_bars - (mean / length) ** 2
    kept = variance > 1e-18
    if not kept.any():
        return float("nan")
    scale = np.sqrt(variance[kept] * length * n_blocks)
    observed = float((n_blocks * mean[kept] / scale).max())
    deviations = (sums[kept] - mean[kept, np.newaxis]) * np.sqrt(n_blocks / (n_blocks - 1))
    draws = np.random.default_rng(np.random.SeedSequence(seed)).standard_normal((n_blocks, n_draws))
    largest = np.full(n_draws, -np.inf)
    for start in range(0, len(scale), _TILE):
        tile = slice(start, start + _TILE)
        np.maximum(largest, (deviations[tile] / scale[tile, np.newaxis] @ draws).max(axis=0), out=largest)
    return float((1 + np.count_nonzero(largest >= observed - 1e-12)) / (n_draws + 1))
