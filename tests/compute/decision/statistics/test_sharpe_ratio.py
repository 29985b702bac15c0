"""Sharpe statistics against published values, scipy and vectorbt."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tunesmith.compute.decision.statistics.sharpe_ratio import (
    Moments,
    deflated_sharpe,
    detectable_sharpe,
    expected_maximum,
    minimum_track_record,
    moments,
    probabilistic_sharpe,
)

TEN = np.array([0.01, -0.005, 0.007, 0.002, -0.011, 0.004, 0.009, -0.003, 0.0, 0.006])
DAILY = Moments(2.5 / math.sqrt(250), -3.0, 10.0, 1250)


def test_moments_of_ten_returns() -> None:
    found = moments(TEN)
    assert found.sharpe == pytest.approx(0.283270, abs=5e-7)
    assert found.skew == pytest.approx(-0.582010, abs=5e-7)
    assert found.kurtosis == pytest.approx(2.340610, abs=5e-7)
    assert probabilistic_sharpe(found) == pytest.approx(0.781847, abs=5e-7)


@given(arrays.arrays(np.float64, st.integers(5, 60), elements=st.floats(-0.25, 0.25, width=32), unique=True))
def test_moments_equal_scipy(returns: np.ndarray) -> None:
    if returns.std() < 1e-6:
        return
    found = moments(returns)
    assert found.sharpe == pytest.approx(returns.mean() / returns.std(ddof=1), rel=1e-9, abs=1e-12)
    assert found.skew == pytest.approx(scipy.stats.skew(returns), rel=1e-6, abs=1e-8)
    assert found.kurtosis == pytest.approx(scipy.stats.kurtosis(returns, fisher=False), rel=1e-6)


def test_a_constant_series_is_undefined_everywhere() -> None:
    flat = moments(np.full(50, 0.001))
    assert math.isnan(flat.sharpe)
    assert math.isnan(probabilistic_sharpe(flat))
    assert math.isnan(deflated_sharpe(flat, 10, 0.5))
    assert math.isnan(minimum_track_record(flat, 0.0))


def test_psr_of_a_hedge_fund() -> None:
    assert probabilistic_sharpe(Moments(0.458, -2.448, 10.164, 24)) == pytest.approx(0.913361, abs=5e-7)
    assert probabilistic_sharpe(Moments(0.458, 0.0, 3.0, 24)) == pytest.approx(0.981675, abs=5e-7)


@pytest.mark.parametrize(
    ("n_trials", "normal", "expected"), [(100, False, 0.900397), (46, False, 0.950502), (88, True, 0.950491)]
)
def test_dsr_of_the_papers_example(n_trials: int, normal: bool, expected: float) -> None:
    record = DAILY._replace(skew=0.0, kurtosis=3.0) if normal else DAILY
    assert deflated_sharpe(record, n_trials, 0.5 / 250) == pytest.approx(expected, abs=5e-7)


def test_dsr_of_a_hundred_trials_and_normal_returns() -> None:
    assert deflated_sharpe(DAILY._replace(skew=0.0, kurtosis=3.0), 100, 0.5 / 250) == pytest.approx(0.942771, abs=5e-7)
    assert math.sqrt(0.5 / 250) * expected_maximum(100) == pytest.approx(0.113172, abs=5e-7)


def test_dsr_equals_vectorbt() -> None:
    import pandas as pd
    import vectorbt  # noqa: F401 - gives frames their accessor

    rng = np.random.default_rng(5)
    returns = rng.normal(0.001, 0.01, (400, 30)) + rng.normal(0, 0.001, 30)
    ratios = returns.mean(axis=0) / returns.std(axis=0, ddof=1)
    frame = pd.DataFrame(returns, index=pd.date_range("2020", periods=400, freq="D"))
    theirs = frame.vbt.returns(freq="D", year_freq="365 days").deflated_sharpe_ratio(nb_trials=30)
    ours = [deflated_sharpe(moments(column), 30, float(ratios.var(ddof=1))) for column in returns.T]
    np.testing.assert_allclose(ours, theirs.to_numpy(), rtol=1e-9)


@pytest.mark.parametrize(
    ("n", "expected"),
    [(1, 0.0), (5, 1.1926), (10, 1.5746), (45, 2.2356), (100, 2.5306), (1000, 3.2551), (10000, 3.8607)],
)
def test_expected_maximum(n: int, expected: float) -> None:
    assert expected_maximum(n) == pytest.approx(expected, abs=5e-5)


@pytest.mark.parametrize(("a_year", "years"), [(250, 2.7312), (52, 2.8288), (12, 3.2398)])
def test_minimum_track_record_of_normal_returns(a_year: int, years: float) -> None:
    record = Moments(2.0 / math.sqrt(a_year), 0.0, 3.0, 100)
    assert minimum_track_record(record, 1.0 / math.sqrt(a_year)) / a_year == pytest.approx(years, abs=5e-5)


def test_minimum_track_record_of_skewed_returns() -> None:
    record = Moments(2.0 / math.sqrt(12), -0.72, 5.78, 100)
    assert minimum_track_record(record, 1.0 / math.sqrt(12)) / 12 == pytest.approx(4.9913, abs=5e-5)
    assert math.isnan(minimum_track_record(record, 3.0))


@pytest.mark.parametrize(("n", "years"), [(7, 1.923), (45, 4.998), (1000, 10.596)])
def test_the_best_of_n_worthless_trials_is_that_of_the_minimum_backtest_length(n: int, years: float) -> None:
    """MinBTL (2014, eq. 6) tabulates the years in which the best of n shows an annual Sharpe ratio of 1."""
    assert expected_maximum(n) ** 2 == pytest.approx(years, abs=5e-4)


def test_what_a_record_can_show() -> None:
    assert detectable_sharpe(4.0) == (1.2, 1.9)
