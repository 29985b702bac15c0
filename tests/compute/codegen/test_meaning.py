"""The compiled rule says what the slow interpreter says, bar by bar."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from reference.random_rules import HEADER, points, random_bars, rules
from reference.rules import NearTie, read
from tunesmith.compute.rules.binding import bind
from tunesmith.compute.rules.strategy import Strategy
from tunesmith.domain.market.bars import Bars
from tunesmith.domain.parameters import decode_point

LAW = settings(
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=True,
    max_examples=12,
    phases=(Phase.explicit, Phase.generate),  # each rule is compiled: shrinking would take hours
)


def same(code: str, bars: Bars, codes: np.ndarray, *, strict: bool) -> None:
    """Compare all orders of a rule at some points with the interpreter's."""
    strategy = Strategy.parse(code, is_stored=True)
    signals = bind(strategy, bars, codes).signals(0, len(codes))
    for i, point in enumerate(codes):
        told = read(code, bars, decode_point(strategy.parameters, point), strict=strict)
        for name, expected in told.conditions.items():
            np.testing.assert_array_equal(
                getattr(signals, name)[i].astype(bool), expected, f"{name} of point {i}\n{code}"
            )
        for name, value in told.levels.items():
            level = getattr(signals, name)
            if isinstance(value, list):
                np.testing.assert_allclose(level.price[i], value, rtol=1e-9, atol=1e-9, err_msg=f"{name}\n{code}")
            else:
                np.testing.assert_equal(level.fraction[i], value if value > 0 else np.nan)
        if told.max_holding is not None:
            assert signals.max_holding is not None
            assert signals.max_holding[i] == told.max_holding
        assert strategy.valid(codes[i : i + 1])[0] == told.valid


@LAW
@given(rules(), st.integers(0, 2**32), st.integers(20, 90))
def test_random_rules_mean_what_the_interpreter_says(code: str, seed: int, n_bars: int) -> None:
    try:
        same(code, random_bars(n_bars, seed), points(3, seed), strict=True)
    except NearTie:
        assume(False)


@pytest.mark.parametrize(
    "line",
    [
        "enter_long(not close > sma(close, n))",
        "enter_long(not crossed_above(close, sma(close, n)))",
        "enter_long(not (close > sma(close, n) or use))",
        "enter_long(not shift(close > sma(close, n), 2))",
        "enter_long(where(close > sma(close, n), use, close > open))",
        "enter_long(since(volume == 0) > 3 and not rising(close))",
        "enter_long(30 < rsi(close, n) <= 70)",
        'enter_long(at("4h", close > sma(close, n)))',
        'enter_long(close > at("4h", shift(donchian(n).upper)))',
        'enter_long(crossed_above(close, at("2h", bbands(close, n, 1).lower)))',
        'enter_long(mode == "fast" and close > level or mode == "slow" and volume > 0)',
        "enter_long(use)\nenter_long(close > open)",
        "enter_long(True)\nexit_long(crossed_below(close, open))",
        "enter_long(shift(where(use, 30, close)) > 20)",
        "enter_long(crossed_above(shift(close - open), 0))",
        "enter_long(crossed_above(crossed_above_count, 0))\n".replace("crossed_above_count", "since(close > open)"),
        "u, mid, low_band = bbands(close, n, k)\nenter_long(close > u or close < low_band or mid == close)",
        "enter_long(close / volume > k)",
        "enter_long(close ** 2 > 90 * open and close ** 0.5 > 9 and (open / close) ** k >= 1)",
        "enter_long(close // 3 % 2 == 1)",
        "enter_long(log(volume) > exp(k) or close == open)",
        "enter_long(max(open, close) != high and min(open, close) != low)",
    ],
)
def test_each_construct_means_what_the_interpreter_says(line: str) -> None:
    same(HEADER + line + "\n", random_bars(80, 7), points(4, 3), strict=False)


def test_real_candles_with_a_rule_of_many_parts(shared_data) -> None:  # type: ignore[no-untyped-def]
    bars = Bars.read(shared_data / "spot" / "ETH_USDT-1h.parquet", symbol="ETH/USDT", timeframe="1h").slice(500, 900)
    code = HEADER + (
        'trend = at("4h", ema(close, n))\n'
        "lines = macd(close, m, n * 2, 5)\n"
        "enter_long(crossed_above(lines.line, lines.signal) and close > trend)\n"
        "exit_long(close < supertrend(n, 2).line or rsi(close, n) > level)\n"
        "enter_short(adx(n) > 25 and falling(hma(close, n), m))\n"
        "exit_short(mfi(n) < 20 or cci(n) > 0)\n"
        "stop_loss(keltner(n, 2, n).lower)\n"
    )
    same(code, bars, points(4, 11), strict=False)
