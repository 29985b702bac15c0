"""The Reality Check: level on noise, power on an edge, and arch's SPA beside it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tunesmith.compute.decision.statistics.overfitting import block_sums
from tunesmith.compute.decision.statistics.reality_check import reality_check


def p_of(returns: np.ndarray, seed: int = 0) -> float:
    return reality_check([block_sums(returns, 40)], n_draws=1999, seed=seed)


def test_on_noise_small_values_are_rare() -> None:
    rng = np.random.default_rng(3)
    found = [p_of(rng.standard_normal((400, 30)) * 0.01, seed) for seed in range(120)]
    assert np.mean(np.array(found) <= 0.2) < 0.2 + 3 * math.sqrt(0.2 * 0.8 / 120)
    assert 0.35 < np.mean(found) < 0.65


def test_an_edge_is_seen_as_arch_sees_it() -> None:
    from arch.bootstrap import SPA

    returns = np.random.default_rng(20240101).standard_normal((500, 20)) * 0.01
    returns[:, 7] += 0.0015
    test = SPA(np.zeros(500), -returns, block_size=10, reps=2000, bootstrap="stationary", seed=123)
    test.compute()
    assert tuple(test.pvalues) == pytest.approx((0.0010, 0.0045, 0.0045))
    assert p_of(returns) < 0.02


def test_the_same_seed_gives_the_same_value_and_trials_without_variance_do_not_count() -> None:
    returns = np.random.default_rng(1).standard_normal((200, 6)) * 0.01
    assert p_of(returns, 5) == p_of(returns, 5)
    idle = np.column_stack([returns, np.zeros(200)])
    assert p_of(idle, 5) == p_of(returns, 5)
    assert math.isnan(p_of(np.zeros((200, 3))))


def test_trials_in_parts_are_the_same_trials() -> None:
    returns = np.random.default_rng(8).standard_normal((400, 50)) * 0.01
    parts = [block_sums(returns[:, :20], 40), block_sums(returns[:, 20:], 40)]
    assert reality_check(parts, n_draws=999, seed=3) == reality_check([block_sums(returns, 40)], n_draws=999, seed=3)
