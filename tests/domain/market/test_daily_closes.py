"""Daily closes, and how far the returns of two markets go together."""

from __future__ import annotations

import numpy as np
import pytest

from tunesmith.domain.market.bars import Bars
from tunesmith.domain.market.daily_closes import DailyCloses, daily_closes, daily_correlation

HOUR = 3_600_000
BEGIN = 1_704_067_200_000


def hourly(seed: int = 1, n: int = 24 * 120) -> Bars:
    close = 30_000.0 * np.exp(np.cumsum(np.random.default_rng(seed).normal(0.0, 0.006, n)))
    columns = {"open": close, "high": close, "low": close, "close": close, "volume": np.ones(n)}
    return Bars.from_arrays(BEGIN + np.arange(n) * HOUR, columns, symbol="A", timeframe="1h")


def marked(bars: Bars) -> DailyCloses:
    return daily_closes(bars.timestamp, bars.close, bars.timeframe)


def test_a_day_s_close_is_that_of_the_last_bar_that_ends_in_it() -> None:
    bars = hourly(n=60)
    days, closes = daily_closes(bars.timestamp, bars.close, "1h")
    assert days.tolist() == [BEGIN // 86_400_000 + i for i in range(3)]
    assert closes.tolist() == [bars.close[23], bars.close[47], bars.close[59]]


def test_returns_that_go_together_are_correlated_on_common_days_before_the_given_one() -> None:
    ours, other = marked(hourly(n=24 * 300)), marked(hourly(2, n=24 * 300))
    days = int(ours[0][0])
    assert daily_correlation(ours, ours[:, 50:], days + 300) == pytest.approx(1.0)
    assert abs(daily_correlation(ours, other, days + 300)) < 0.2
    half = ours.copy()
    half[1, 150:] = other[1, 150:]
    assert daily_correlation(ours, half, days + 150) == pytest.approx(1.0)
    assert daily_correlation(ours, half, days + 300) < 0.9
    assert daily_correlation(ours, ours, days + 20) == 0.0, "too few days"
    assert daily_correlation(ours, np.stack([ours[0], np.ones(300)]), days + 300) == 0.0
