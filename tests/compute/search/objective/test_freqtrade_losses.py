"""freqtrade's losses: hand-computed values, the pandas way to the same numbers, and what guarded ones must keep."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from reference.freqtrade_losses import expected_losses, frame_of
from tunesmith.compute.search.objective.freqtrade_losses import LOSSES, drawdown, loss_of
from tunesmith.domain.closed_trades import ClosedTrades

DAY = 86_400_000
HOUR = 3_600_000
FIRST = 1_700_000_000_000
PER_TRADE = [
    "OnlyProfitHyperOptLoss",
    "SortinoHyperOptLoss",
    "CalmarHyperOptLoss",
    "MaxDrawDownHyperOptLoss",
    "MaxDrawDownRelativeHyperOptLoss",
    "MaxDrawDownPerPairHyperOptLoss",
    "ProfitDrawDownHyperOptLoss",
    "SortinoHyperOptLossDaily",
    "ShortTradeDurHyperOptLoss",
]
"""Losses whose guarded variant never gets worse when any one trade gains."""


def trades_with(profits: list[float], n_days: int = 10, balance: float = 1000.0) -> ClosedTrades:
    """One trade after another, each four hours long, with stakes of the balance."""
    profit = np.array(profits, np.float64)
    opened = FIRST + np.arange(len(profits)) * 5 * HOUR
    last = max(FIRST + n_days * DAY, int(opened[-1]) + DAY if len(profits) else 0)
    return ClosedTrades(profit, profit / balance, opened, opened + 4 * HOUR, balance, FIRST, last)


def loss(name: str, profits: list[float], *, guarded: bool = False, n_days: int = 10) -> float:
    return loss_of(name, trades_with(profits, n_days), guarded=guarded)


def test_values_by_hand() -> None:
    profits = [100.0, -50.0, 30.0, -20.0]
    # account 100, 50, 80, 60; the fall is 50 of 1100; 10 days
    assert drawdown(trades_with(profits)) == pytest.approx((50.0, 50 / 1100, 50 / 1100))
    assert loss("OnlyProfitHyperOptLoss", profits) == -60.0
    assert loss("MaxDrawDownHyperOptLoss", profits) == pytest.approx(-60 / 50)
    assert loss("MaxDrawDownRelativeHyperOptLoss", profits) == pytest.approx(-60 / 50 / (50 / 1100))
    assert loss("ProfitDrawDownHyperOptLoss", profits) == pytest.approx(-(60 - 50 / 1100 * 60 * 0.925))
    assert loss("CalmarHyperOptLoss", profits) == pytest.approx(-(0.06 / 10 * 100) / (50 / 1100) * 365**0.5)
    # deviations of 85, -65, 15, -35 from the mean of 15
    deviation = math.sqrt((85**2 + 65**2 + 15**2 + 35**2) / 4) / 1000
    assert loss("SharpeHyperOptLoss", profits) == pytest.approx(-0.006 / deviation * 365**0.5)
    assert loss("SortinoHyperOptLoss", profits) == pytest.approx(-0.006 / 0.015 * 365**0.5)
    expectancy = 0.5 * (1 + 65 / 35) - 1
    multi = math.log(130 / 70 + 1) * math.log(expectancy + 2) * math.log(1.7) * 0.1
    assert loss("MultiMetricHyperOptLoss", profits) == pytest.approx(-(60 - 50 / 1100 * 60 * 0.945) * multi, rel=1e-7)
    duration = 1 - 0.25 * math.exp(-(596**2) / 10**5.8) + (1 - 0.06 / 3) + 0.4 * 240 / 300
    assert loss("ShortTradeDurHyperOptLoss", profits) == pytest.approx(duration)
    assert loss("MaxDrawDownPerPairHyperOptLoss", profits) == pytest.approx(-60 / 50)
    assert loss("MaxDrawDownPerPairHyperOptLoss", [100.0, -50.0, -30.0]) == pytest.approx(20 - 20 / 80)


def test_daily_values_by_hand() -> None:
    trades = replace(trades_with([20.0, -10.0], n_days=1), last_ms=FIRST + DAY)
    # both close on the first of two UTC days (22:13 on)
    assert trades.first_ms // DAY == int(trades.closed_ms[0]) // DAY - 1
    daily = np.array([0.0, 0.02 - 0.0005 - 0.01 - 0.0005])
    ratio = daily.mean() / daily.std(ddof=1) * 365**0.5
    assert loss_of("SharpeHyperOptLossDaily", trades, guarded=False) == pytest.approx(-ratio)
    assert loss_of("SortinoHyperOptLossDaily", trades, guarded=False) == 20.0


def test_original_quirks_are_kept() -> None:
    assert loss("CalmarHyperOptLoss", [10.0, 20.0]) == 100.0
    assert loss("SortinoHyperOptLoss", [10.0, 20.0]) == 100.0
    assert loss("SortinoHyperOptLoss", [10.0, -20.0]) == 100.0
    assert loss("SharpeHyperOptLoss", [10.0, 10.0, 10.0]) == 100.0
    assert loss("MaxDrawDownHyperOptLoss", [10.0, 20.0]) == -30.0
    assert loss("MultiMetricHyperOptLoss", [-10.0, -20.0]) < loss("MultiMetricHyperOptLoss", [-10.0, 9.0])


def test_the_loss_of_the_first_trade_is_in_the_drawdown_but_of_searches_that_were_stored_before() -> None:
    # account -100, -50, -70 of a balance of 1000: the fall is 100 of 1000, as in freqtrade 2026.9
    trades = trades_with([-100.0, 50.0, -20.0])
    assert drawdown(trades) == pytest.approx((100.0, 0.1, 0.1))
    assert loss_of("MaxDrawDownHyperOptLoss", trades, guarded=False) == pytest.approx(70 / 100)
    before = replace(trades, first_loss_counts=False)
    assert drawdown(before) == pytest.approx((20.0, 20 / 950, 20 / 950))
    assert drawdown(replace(trades_with([-10.0]), first_loss_counts=False)) == (0.0, 0.0, 0.0)
    assert drawdown(trades_with([-10.0])) == pytest.approx((10.0, 0.01, 0.01))


def test_guarded_ones_have_no_such_quirks() -> None:
    for name in LOSSES:
        winner = loss(name, [10.0, 20.0, 5.0, 5.0], guarded=True)
        assert winner < loss(name, [10.0, 20.0, -5.0, 5.0], guarded=True), name
        assert winner < loss(name, [10.0, -9.0, 1.0, -3.0], guarded=True), name
        assert loss(name, [-10.0, 9.0], guarded=True) < loss(name, [-10.0, -20.0], guarded=True), name


@pytest.mark.parametrize("name", LOSSES)
def test_without_trades_a_loss_is_undefined(name: str) -> None:
    assert math.isnan(loss_of(name, trades_with([]), guarded=False))
    assert math.isnan(loss_of(name, None, guarded=True))


amounts = st.floats(-80.0, 120.0).map(lambda x: round(x, 3)).filter(lambda x: x != 0.0)
many = st.lists(amounts, min_size=1, max_size=12)


@settings(max_examples=100, deadline=None)
@given(many, st.integers(1, 30), st.booleans())
def test_the_same_numbers_by_way_of_pandas(profits: list[float], n_days: int, counts: bool) -> None:
    trades = replace(trades_with(profits, n_days), first_loss_counts=counts)
    frame = frame_of(
        trades.profit_abs.tolist(),
        trades.profit_ratio.tolist(),
        trades.opened_ms.tolist(),
        trades.closed_ms.tolist(),
        trades.initial_cash,
        first_loss_counts=counts,
    )
    assume(frame["profit"].nunique() > 1 or len(frame) == 1)
    expected = expected_losses(frame, trades.initial_cash, trades.first_ms, trades.last_ms)
    assert set(expected) == set(LOSSES)
    losing = frame.loc[frame["profit"] < 0, "profit"]
    for name, value in expected.items():
        if name == "SortinoHyperOptLoss" and losing.nunique() == 1:
            continue  # equal losses: a deviation of 0, or of rounding
        assert loss_of(name, trades, guarded=False) == pytest.approx(value, rel=1e-9, nan_ok=True), name


@settings(max_examples=150, deadline=None)
@given(many, st.data())
def test_guarded_losses_do_not_get_worse_when_a_trade_gains(profits: list[float], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(profits) - 1))
    more = [*profits]
    more[at] += data.draw(st.floats(0.001, 100.0))
    for name in PER_TRADE:
        before, after = loss(name, profits, guarded=True), loss(name, more, guarded=True)
        assert after <= before + 1e-9 * max(1.0, abs(before)), name


@settings(max_examples=150, deadline=None)
@given(many, many)
def test_guarded_losses_never_prefer_a_loser_to_a_winner(one: list[float], other: list[float]) -> None:
    losing, winning = trades_with([-abs(p) for p in one]), trades_with([abs(p) for p in other])
    assume(float(losing.profit_ratio.sum()) < 0.0)
    assume(bool((winning.profit_ratio > 0.0005).all()))  # freqtrade's daily losses take that off each trade
    for name in LOSSES:
        assert loss_of(name, winning, guarded=True) < loss_of(name, losing, guarded=True), name


@settings(max_examples=150, deadline=None)
@given(many, st.floats(1.01, 5.0))
def test_guarded_losses_rank_a_greater_loss_lower(profits: list[float], factor: float) -> None:
    losing = [-abs(p) for p in profits]
    assume(factor * -sum(losing) < 1000.0)
    for name in LOSSES:
        assert loss(name, losing, guarded=True) < loss(name, [factor * p for p in losing], guarded=True), name
