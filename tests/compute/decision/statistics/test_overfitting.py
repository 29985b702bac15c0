"""PBO against published reference values and a slow, obvious reading of the paper."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunesmith.compute.decision.statistics.overfitting import block_sums, overfitting

NOISE = np.random.default_rng(7).standard_normal((480, 50)) * 0.01


def slow_logits(returns: np.ndarray, n_blocks: int) -> list[float]:
    length = len(returns) // n_blocks
    blocks = np.split(returns[len(returns) - length * n_blocks :], n_blocks)
    logits = []
    for chosen in itertools.combinations(range(n_blocks), n_blocks // 2):
        inside = np.concatenate([blocks[i] for i in chosen])
        outside = np.concatenate([blocks[i] for i in range(n_blocks) if i not in chosen])
        ratio_in = inside.mean(axis=0) / inside.std(axis=0, ddof=1)
        ratio_out = outside.mean(axis=0) / outside.std(axis=0, ddof=1)
        best = max(range(returns.shape[1]), key=lambda j: (ratio_in[j], -j))
        below = sum(value < ratio_out[best] for value in ratio_out)
        equal = sum(value == ratio_out[best] for value in ratio_out)
        share = (below + (equal + 1) / 2) / (returns.shape[1] + 1)
        logits.append(math.log(share / (1 - share)))
    return logits


def test_noise() -> None:
    found = overfitting(*block_sums(NOISE, 8))
    assert found.probability == pytest.approx(0.671429, abs=5e-7)
    assert found.median_logit == pytest.approx(-0.356675, abs=5e-7)


def test_one_column_that_earns() -> None:
    better = NOISE.copy()
    better[:, 3] += 0.002
    found = overfitting(*block_sums(better, 8))
    assert found.probability == 0.0
    assert found.median_logit == pytest.approx(3.912023, abs=5e-7)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([2, 4, 6]), st.integers(24, 50), st.integers(2, 12))
def test_equals_the_slow_reading(seed: int, n_blocks: int, n_bars: int, n_trials: int) -> None:
    returns = np.random.default_rng(seed).standard_normal((n_bars, n_trials)) * 0.01
    found = overfitting(*block_sums(returns, n_blocks))
    np.testing.assert_allclose(found.logits, slow_logits(returns, n_blocks), rtol=1e-9, atol=1e-12)


def test_a_trial_that_never_trades_ranks_last() -> None:
    returns = NOISE[:, :5].copy()
    returns[:, 2] = 0.0
    found = overfitting(*block_sums(returns, 6))
    assert np.isfinite(found.logits).all()
    assert len(found.logits) == math.comb(6, 3)


def test_blocks_that_do_not_divide_the_bars_leave_out_the_oldest() -> None:
    sums, squares, length = block_sums(np.arange(11.0)[:, np.newaxis], 5)
    assert length == 2
    np.testing.assert_array_equal(sums, [[3.0, 7.0, 11.0, 15.0, 19.0]])
    np.testing.assert_array_equal(squares[0, 0], 1.0 + 4.0)
