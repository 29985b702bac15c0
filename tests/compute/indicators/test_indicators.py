"""Indicators equal the field's (TA-Lib where it has them), are exact over long series, and tell where they begin."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from reference import indicators as slow
from tunesmith.compute.rules.binding import bind
from tunesmith.compute.rules.strategy import Strategy
from tunesmith.domain.market.bars import Bars

Values = NDArray[np.float64]


def values(expression: str, bars: Bars, n: int = 14) -> Values:
    """An expression's values float64[T], as a price level's, with the window `n`."""
    code = f"n = Int(14, 2, 2000)\nenter_long(close > 0)\ntake_profit({expression})\n"
    bound = bind(Strategy.parse(code, is_stored=True), bars, np.array([[float(n)]]))
    level = bound.signals(0, 1).take_profit
    assert level is not None
    assert level.price is not None
    return level.price[0]


def of_closes(closes: Values, volume: Values | None = None) -> Bars:
    return Bars.from_arrays(
        np.arange(len(closes), dtype=np.int64) * 3_600_000,
        dict.fromkeys(("open", "high", "low", "close"), closes)
        | {"volume": np.ones(len(closes)) if volume is None else volume},
        symbol="TEST/USDT",
        timeframe="1h",
    )


ORACLES: dict[str, Callable[[Any, Bars, int], Values]] = {
    "sma(close, n)": lambda ta, b, n: ta.SMA(b.close, n),
    "ema(close, n)": lambda ta, b, n: ta.EMA(b.close, n),
    "wma(close, n)": lambda ta, b, n: ta.WMA(b.close, n),
    "dema(close, n)": lambda ta, b, n: ta.DEMA(b.close, n),
    "tema(close, n)": lambda ta, b, n: ta.TEMA(b.close, n),
    "rsi(close, n)": lambda ta, b, n: ta.RSI(b.close, n),
    "stoch(n, 3, 5).d": lambda ta, b, n: ta.STOCH(b.high, b.low, b.close, n, 3, 0, 5, 0)[1],
    "macd(close, n, n + 11, 9).line": lambda ta, b, n: ta.MACD(b.close, n, n + 11, 9)[0],
    "macd(close, n, n + 11, 9).signal": lambda ta, b, n: ta.MACD(b.close, n, n + 11, 9)[1],
    "macd(close, n, n + 11, 9).hist": lambda ta, b, n: ta.MACD(b.close, n, n + 11, 9)[2],
    "bbands(close, n, 2.5).upper": lambda ta, b, n: ta.BBANDS(b.close, n, 2.5, 2.5)[0],
    "bbands(close, n, 2.5).middle": lambda ta, b, n: ta.BBANDS(b.close, n, 2.5, 2.5)[1],
    "bbands(close, n, 2.5).lower": lambda ta, b, n: ta.BBANDS(b.close, n, 2.5, 2.5)[2],
    "atr(n)": lambda ta, b, n: ta.ATR(b.high, b.low, b.close, n),
    "true_range()": lambda ta, b, n: ta.TRANGE(b.high, b.low, b.close),
    "adx(n)": lambda ta, b, n: ta.ADX(b.high, b.low, b.close, n),
    "plus_di(n)": lambda ta, b, n: ta.PLUS_DI(b.high, b.low, b.close, n),
    "minus_di(n)": lambda ta, b, n: ta.MINUS_DI(b.high, b.low, b.close, n),
    "cci(n)": lambda ta, b, n: ta.CCI(b.high, b.low, b.close, n),
    "roc(close, n)": lambda ta, b, n: ta.ROC(b.close, n),
    "mom(close, n)": lambda ta, b, n: ta.MOM(b.close, n),
    "obv()": lambda ta, b, n: ta.OBV(b.close, b.volume),
    "mfi(n)": lambda ta, b, n: ta.MFI(b.high, b.low, b.close, b.volume, n),
    "stddev(close, n)": lambda ta, b, n: ta.STDDEV(b.close, n, 1),
    "highest(high, n)": lambda ta, b, n: ta.MAX(b.high, n),
    "lowest(low, n)": lambda ta, b, n: ta.MIN(b.low, n),
    "linreg_slope(close, n)": lambda ta, b, n: ta.LINEARREG_SLOPE(b.close, n),
}
BEGIN_EARLIER = {"macd(close, n, n + 11, 9).line": 8}
"""TA-Lib withholds MACD's line until its signal is there."""


@pytest.mark.parametrize("expression", ORACLES)
@pytest.mark.parametrize("n", [2, 14, 50])
def test_equals_talib_on_real_candles(expression: str, n: int, shared_data) -> None:  # type: ignore[no-untyped-def]
    talib = pytest.importorskip("talib", reason="TA-Lib is not installed")
    bars = Bars.read(shared_data / "spot" / "BTC_USDT-1h.parquet", symbol="BTC/USDT", timeframe="1h").slice(0, 1500)
    expected = ORACLES[expression](talib, bars, n)
    found = values(expression, bars, n)
    first = int(np.argmax(np.isfinite(expected)))
    assert int(np.argmax(np.isfinite(found))) == first - BEGIN_EARLIER.get(expression, 0)
    scale = np.abs(expected[first:]).max()
    np.testing.assert_allclose(found[first:], expected[first:], rtol=1e-9, atol=1e-9 * scale)


WINDOWED = {
    "sma": slow.sma,
    "wma": slow.wma,
    "stddev": slow.stddev,
    "linreg_slope": slow.linreg_slope,
    "highest": slow.highest,
    "lowest": slow.lowest,
    "percent_rank": slow.percent_rank,
    "ema": slow.ema,
    "rsi": slow.rsi,
}


@pytest.mark.parametrize("name", WINDOWED)
def test_undefined_values_spoil_only_the_windows_that_hold_them(name: str) -> None:
    volume = np.round(np.random.default_rng(3).uniform(1, 9, 60), 1)
    volume[[17, 18, 40]] = 0.0
    closes = np.round(np.random.default_rng(4).uniform(50, 60, 60), 1)
    found = values(f"{name}(close / volume, n)", of_closes(closes, volume), 5)
    ratio = [c / v if v else math.nan for c, v in zip(closes.tolist(), volume.tolist(), strict=True)]
    np.testing.assert_allclose(found, WINDOWED[name](ratio, 5), rtol=1e-9, atol=1e-9)
    assert np.isfinite(found[30:40]).all()
    assert np.isnan(found[40])


def test_averages_stay_exact_over_a_million_bars() -> None:
    random = np.random.default_rng(1)
    closes = np.round(30_000 * np.exp(np.cumsum(random.normal(0, 0.003, 1_000_000)) * 0.2), 2)
    bars = of_closes(closes)
    for n in (2, 7, 350, 1999):
        found = values("sma(close, n)", bars, n)
        for t in (n - 1, 500_000, 999_999, *random.integers(n, 1_000_000, 200).tolist()):
            assert found[t] == math.fsum(closes[t - n + 1 : t + 1]) / n or math.isclose(
                found[t], math.fsum(closes[t - n + 1 : t + 1]) / n, rel_tol=3e-16
            )
    spread = values("stddev(close, n)", bars, 20)
    slope = values("linreg_slope(close, n)", bars, 20)
    weighted = values("wma(close, n)", bars, 20)
    for t in (19, 999_999, *random.integers(20, 1_000_000, 200).tolist()):
        window = closes[t - 19 : t + 1].tolist()
        assert math.isclose(spread[t], slow.stddev(window, 20)[-1], rel_tol=1e-9)
        assert math.isclose(slope[t], slow.linreg_slope(window, 20)[-1], rel_tol=1e-9, abs_tol=1e-9)
        assert math.isclose(weighted[t], slow.wma(window, 20)[-1], rel_tol=1e-12)


def test_a_flat_market_after_wild_ones_never_crosses_itself() -> None:
    random = np.random.default_rng(2)
    wild = 7_777.77 * np.exp(np.cumsum(random.normal(0, 0.05, 20_000)))
    flat = np.full(3_000, 0.1 + wild[-1] / 3)
    bars = of_closes(np.concatenate([wild, flat]))
    rested = slice(22_100, None)
    for expression in ("sma(close, n)", "wma(close, n)", "bbands(close, n, 2).upper", "hma(close, n)", "vwap(n)"):
        for n in (3, 7, 50, 999):
            assert (values(expression, bars, n)[rested] == flat[0]).all(), (expression, n)
    for expression in ("stddev(close, n)", "linreg_slope(close, n)"):
        assert (values(expression, bars, 50)[rested] == 0.0).all()
    for expression in ("zscore(close, n)", "cci(n)", "stoch(n).k", "rsi(close - close + 1, n)"):
        assert np.isnan(values(expression, bars, 50)[rested]).all(), expression


BEGINNINGS: dict[str, Callable[[int], int]] = {
    'at("4h", sma(close, n))': lambda n: 4 * n - 1,
    "sma(rsi(close, n), n)": lambda n: 2 * n - 1,
    "shift(high) - ema(close, n)": lambda n: max(n - 1, 1),
}
"""What is made of several begins where all of them do; each indicator alone: see the contract tests."""


@pytest.mark.parametrize("expression", BEGINNINGS)
@pytest.mark.parametrize("n", [2, 9])
def test_warm_up_is_the_first_defined_bar(expression: str, n: int) -> None:
    random = np.random.default_rng(8)
    closes = 100 + np.cumsum(random.normal(0, 1, 80))
    bars = of_closes(closes, random.uniform(1, 5, 80))
    code = f"n = Int(14, 2, 2000)\nenter_long(close > 0)\ntake_profit({expression})\n"
    bound = bind(Strategy.parse(code, is_stored=True), bars, np.array([[float(n)]]))
    found = values(expression, bars, n)
    assert bound.warmup[0] == BEGINNINGS[expression](n)
    assert np.isnan(found[: bound.warmup[0]]).all()
    assert np.isfinite(found[bound.warmup[0] :]).all()
