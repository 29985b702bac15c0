"""Probability of backtest overfitting by combinatorially symmetric cross-validation (CSCV).

Source: Bailey, Borwein, López de Prado & Zhu 2017, "The Probability of Backtest Overfitting". The blocks of time are
split into halves in every way; in each, the trial that is best in one half gets a rank in the other.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np

from tunesmith.domain.array_types import Floats

PBO_CANNOT_SAY = (
    "PBO asks whether the choice among these trials carries over from one half of the record to the other; all of them "
    "may be equally worthless or equally lucky. Its value without any skill is one half."
)


class Overfitting(NamedTuple):
    """`probability`: share of splits whose winner is no better than the median outside; `logits` one a split."""

    probability: float
    logits: Floats

    @property
    def median_logit(self) -> float:
        return float(np.median(self.logits))


def block_sums(returns: Floats, n_blocks: int) -> tuple[Floats, Floats, int]:
    """Sums and sums of squares float64[n, S] of `returns` float64[T, n], and the length of a block.

    The first T mod S rows are left out, so that the blocks divide what remains.
    """
    length = len(returns) // n_blocks
    kept = returns[len(returns) - length * n_blocks :].reshape(n_blocks, length, -1)
    return kept.sum(axis=1).T, (kept**2).sum(axis=1).T, length


def overfitting(sums: Floats, squares: Floats, length: int) -> Overfitting:
    """CSCV from block sums of returns and of their squares, both float64[n, S], of blocks of `length` bars; S even.

    Trials are ranked by the Sharpe ratio, ties by their average rank; one that is undefined comes last in its half.
    """
    n, n_blocks = sums.shape
    total, total_squares = sums.sum(axis=1), squares.sum(axis=1)
    n_half = length * n_blocks // 2
    logits = []
    for chosen in itertools.combinations(range(n_blocks), n_blocks // 2):
        inside, inside_squares = sums[:, chosen].sum(axis=1), squares[:, chosen].sum(axis=1)
        best = int(np.argmax(_sharpe(inside, inside_squares, n_half)))
        outside = _sharpe(total - inside, total_squares - inside_squares, n_half)
        share = _rank(outside, best) / (n + 1)
        logits.append(np.log(share / (1.0 - share)))
    found = np.array(logits)
    return Overfitting(float(np.mean(found <= 0.0)), found)


def _rank(values: Floats, at: int) -> float:
    """The rank of values[at] from 1 on, that of equals averaged, without sorting them all."""
    below, equal = np.count_nonzero(values < values[at]), np.count_nonzero(values == values[at])
    return below + (equal + 1) / 2


def _sharpe(sums: Floats, squares: Floats, n: int) -> Floats:
    mean = sums / n
    variance = (squares - n * mean * mean) / (n - 1)
    with np.errstate(all="ignore"):
        ratio = mean / np.sqrt(variance)
    return np.where(variance > 1e-18, ratio, -np.inf)
