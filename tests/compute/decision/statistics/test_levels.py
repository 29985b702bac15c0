"""Limits of combined p-values: the budget is never overspent; Stouffer against scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from tunesmith.compute.decision.statistics.levels import (
    draws_of,
    least_level,
    level_of,
    passes,
    score_of,
    with_imports,
)
from tunesmith.compute.decision.statistics.permuted_markets import combined
from tunesmith.compute.decision.statistics.record_clock import TRY


def test_all_looks_of_all_tries_cost_at_most_the_budget() -> None:
    one_try = sum(level_of(TRY, look) for look in range(1, 20_001))
    assert 0.00499 < one_try <= 0.005
    every_try = sum(level_of(TRY * k, 1) / level_of(TRY, 1) for k in range(1, 20_001)) * one_try
    assert every_try < 0.01


def test_levels_are_those_of_the_design() -> None:
    assert level_of(21, 1) == pytest.approx(0.0035)
    assert level_of(42, 1) == pytest.approx(0.000875)
    assert level_of(22, 1) == pytest.approx(0.0035 * (21 / 22) ** 2)
    assert level_of(0, 1) == level_of(21, 1)
    assert level_of(21, 2) == pytest.approx(0.005 * 0.3 * 6.0 / math.pi**2)
    assert level_of(21, 4) == pytest.approx(level_of(21, 2) / 9.0)
    assert level_of(21, 1, combined=0.01) == pytest.approx(2.0 * level_of(21, 1))


def test_a_level_of_few_draws_can_be_passed_by_them() -> None:
    assert least_level(999) == pytest.approx(9.4e-6, rel=0.02)
    assert least_level(1999) == pytest.approx(2.6e-6, rel=0.03)
    for n in (999, 1999):
        assert passes(1 / (n + 1), 1 / (n + 1), least_level(n) * 1.0001)
        assert not passes(1 / (n + 1), 1 / (n + 1), least_level(n) * 0.999)
    assert [draws_of(3e-4), draws_of(2.9e-4)] == [999, 1999]
    assert [draws_of(1.5e-3, 199, 399), draws_of(1.4e-3, 199, 399), draws_of(1.4e-3, 199, 99)] == [199, 399, 199]


@given(st.floats(1e-6, 1.0 - 1e-6), st.floats(1e-6, 1.0 - 1e-6))
def test_scores_are_stouffers(p: float, q: float) -> None:
    weights = np.sqrt([0.7, 0.3])
    expected = scipy.stats.combine_pvalues([p, q], "stouffer", weights)
    assert score_of(p, q) == pytest.approx(expected.statistic, abs=1e-9)
    assert scipy.stats.norm.sf(score_of(p, q)) == pytest.approx(combined(p, q), rel=1e-9)


def test_a_p_value_of_one_passes_nothing() -> None:
    assert not passes(1.0, 0.001, 0.0035)
    assert not passes(0.001, 1.0, 0.0035)


def test_imports_add_what_their_epochs_could_reach() -> None:
    assert with_imports(0.001, 3.5, [100]) == pytest.approx(0.001 + 100 * scipy.stats.norm.sf(3.5))
    assert with_imports(0.001, 4.0, []) == 0.001
    assert with_imports(0.5, 1.0, [10, 20]) == 1.0
