"""The same candles are known again: under another timeframe, in part, rescaled, rounded; other markets are not."""

from __future__ import annotations

import numpy as np
import pytest

from tunesmith.domain.market.bars import Bars
from tunesmith.domain.market.daily_closes import DailyCloses, daily_closes, same_candles
from tunesmith.domain.market.resample import resample

HOUR = 3_600_000
BEGIN = 1_704_067_200_000


def hourly(seed: int = 1, n: int = 24 * 120) -> Bars:
    close = 30_000.0 * np.exp(np.cumsum(np.random.default_rng(seed).normal(0.0, 0.006, n)))
    columns = {"open": close, "high": close, "low": close, "close": close, "volume": np.ones(n)}
    return Bars.from_arrays(BEGIN + np.arange(n) * HOUR, columns, symbol="A", timeframe="1h")


def marked(bars: Bars, scale: float = 1.0, digits: int = 12) -> DailyCloses:
    return daily_closes(bars.timestamp, np.round(bars.close * scale, digits), bars.timeframe)


def test_a_day_s_close_is_that_of_the_last_bar_that_ends_in_it() -> None:
    bars = hourly(n=60)
    days, closes = daily_closes(bars.timestamp, bars.close, "1h")
    assert days.tolist() == [BEGIN // 86_400_000 + i for i in range(3)]
    assert closes.tolist() == [bars.close[23], bars.close[47], bars.close[59]]


@pytest.mark.parametrize("timeframe", ["1h", "4h", "1d"])
def test_copies_are_known_again(timeframe: str) -> None:
    bars, other = hourly(), resample(hourly(), timeframe)
    for copy in (
        marked(other),
        marked(other, scale=0.001),
        marked(other, digits=1),
        marked(other)[:, 50:90],
        marked(other)[:, ::2],
    ):
        assert same_candles(marked(bars), copy)
        assert same_candles(copy, marked(bars))


def test_weeks_are_known_again_where_there_are_enough() -> None:
    bars = hourly(n=24 * 300)
    assert same_candles(marked(bars), marked(resample(bars, "1w")))
    assert not same_candles(marked(bars), marked(resample(bars, "1w"))[:, :20])


def test_other_markets_are_not_taken_for_the_same() -> None:
    ours = hourly()
    near = marked(hourly())
    near[1] *= np.exp(np.random.default_rng(3).normal(0.0, 0.001, near.shape[1]))
    shifted = marked(ours)
    shifted[0] += 1
    apart = marked(ours)
    apart[0] += 500
    flat = np.stack([marked(ours)[0], np.full(120, 1.0)])
    for other in (marked(hourly(2)), near, shifted, apart, marked(ours)[:, :20]):
        assert not same_candles(marked(ours), other)
    assert not same_candles(flat, flat)
