"""Bound rules: each row once, any range of points, from any thread, the same in any company."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from reference.random_rules import HEADER, points, random_bars
from reference.rules import read
from tunesmith.compute.codegen.emit import TILE
from tunesmith.compute.rules.binding import Bound, bind, row_bytes
from tunesmith.compute.rules.strategy import Strategy
from tunesmith.compute.simulation.signals import Level, Signals
from tunesmith.compute.strategies import builtin
from tunesmith.domain.market.bars import Bars
from tunesmith.errors import Invalid

RICH = HEADER + (
    "fast = ema(close, n)\n"
    "slow = ema(close, m)\n"
    "enter_long(crossed_above(fast, slow * (1 + k / 100)) and use)\n"
    "exit_long(crossed_below(fast, slow) or rsi(close, n) > level)\n"
    'enter_short(mode != "off" and close < bbands(close, n, abs(k)).lower)\n'
    "exit_short(close > shift(highest(high, m)))\n"
    "stop_loss(close - abs(k) * atr(n))\n"
    "take_profit(abs(k) / 30)\n"
    "max_holding(m)\n"
)


def parts(signals: Signals) -> dict[str, np.ndarray]:
    found = {}
    for name in ("enter_long", "exit_long", "enter_short", "exit_short", "max_holding"):
        found[name] = getattr(signals, name)
    for name in ("stop_loss", "take_profit", "trailing_stop"):
        level: Level | None = getattr(signals, name)
        found[name] = None if level is None else level.price if level.fraction is None else level.fraction
    return {name: value for name, value in found.items() if value is not None}


def bound_to(code: str, n_bars: int, codes: np.ndarray) -> Bound:
    return bind(Strategy.parse(code), random_bars(n_bars, 5), codes)


def test_signals_of_a_range_are_those_of_the_whole() -> None:
    bound = bound_to(RICH, 300, points(37, 1))
    whole = parts(bound.signals(0, 37))
    assert set(whole) == {*Strategy.parse(RICH).orders}
    for lo, hi in ((0, 1), (3, 20), (20, 37), (36, 37), (5, 5)):
        for name, value in parts(bound.signals(lo, hi)).items():
            np.testing.assert_array_equal(value, whole[name][lo:hi], name)


def test_a_point_means_the_same_in_any_company() -> None:
    codes = points(40, 2)
    bound = bound_to(RICH, 300, codes)
    whole = parts(bound.signals(0, 40))
    for i in (0, 7, 39):
        alone = bound_to(RICH, 300, codes[i : i + 1])
        assert alone.warmup[0] == bound.warmup[i]
        for name, value in parts(alone.signals(0, 1)).items():
            np.testing.assert_array_equal(value[0], whole[name][i], name)


def test_long_series_are_tiled_without_a_seam() -> None:
    code = "n = Int(3, 1, 9)\nenter_long(crossed_above(close, sma(close, n)))\nexit_long(close < open)\n"
    bars = random_bars(2 * TILE + 17, 9)
    bound = bind(Strategy.parse(code), bars, np.array([[3.0], [4.0]]))
    signals = bound.signals(0, 2)
    assert signals.enter_long is not None
    for i, n in enumerate((3, 4)):
        np.testing.assert_array_equal(signals.enter_long[i], read(code, bars, {"n": n}).conditions["enter_long"])


def test_threads_on_ranges_of_one_bound_rule_do_not_meet() -> None:
    bound = bound_to(RICH, 2_000, points(256, 3))
    whole = parts(bound.signals(0, 256))
    ranges = [(lo, lo + 16) for lo in range(0, 256, 16)] * 4
    with ThreadPoolExecutor(4) as pool:
        for (lo, hi), found in zip(ranges, pool.map(lambda r: parts(bound.signals(*r)), ranges), strict=True):
            for name, value in found.items():
                np.testing.assert_array_equal(value, whole[name][lo:hi], name)


COMPARED = {
    "crossed_above(a, b)": lambda a, b, a0, b0: (a > b) & (a0 <= b0),
    "crossed_below(a, b)": lambda a, b, a0, b0: (a < b) & (a0 >= b0),
    "a > b or not a >= b": lambda a, b, a0, b0: (a > b) | (a < b),
    "not a < b": lambda a, b, a0, b0: a >= b,
    "not a > b": lambda a, b, a0, b0: a <= b,
    "not a != b": lambda a, b, a0, b0: a == b,
    "not a <= b": lambda a, b, a0, b0: a > b,
    "b <= a and a <= b": lambda a, b, a0, b0: a == b,
    "a == b or b < a": lambda a, b, a0, b0: (a == b) | (b < a),
    "not a == b": lambda a, b, a0, b0: (a < b) | (b < a),
    "a != b and shift(b > a)": lambda a, b, a0, b0: ((a < b) | (a > b)) & (b0 > a0),
}


@pytest.mark.parametrize("scale", [1.0, 1e-42, 1e300])
@pytest.mark.parametrize("step", [1.0, 1e-9])
def test_rows_that_tie_when_they_are_rounded_are_compared_exactly(step: float, scale: float) -> None:
    random = np.random.default_rng(6)
    opened, close = scale * (100.0 + step * random.integers(0, 3, (2, 300)))
    low, high = np.minimum(opened, close), np.maximum(opened, close)
    columns = {"open": opened, "high": high, "low": low, "close": close, "volume": np.ones(300)}
    bars = Bars.from_arrays(np.arange(300) * 3_600_000, columns, symbol="T/U", timeframe="1h")
    for text, formula in COMPARED.items():
        code = f"n = Int(5, 2, 9)\na = highest(close, 2)\nb = highest(open, n)\nenter_long({text})\n"
        # The other way round in the same rule, so that both sides are looked for.
        strategy = Strategy.parse(code + "exit_long(a < b or b < a)\n")
        assert strategy.plan.reads_rough
        bound = bind(strategy, bars, np.array([[2.0], [3.0], [7.0]]))
        rows = bound.rows[bound.index]
        before = np.concatenate([np.full((3, 2, 1), np.nan), rows[:, :, :-1]], axis=2)
        wanted = formula(*rows.swapaxes(0, 1), *before.swapaxes(0, 1))
        np.testing.assert_array_equal(bound.signals(0, 3).enter_long, wanted, text)
        assert 5 < wanted.sum() < 3 * 290


def test_each_row_is_computed_once_for_each_value() -> None:
    code = "a = Int(5, 2, 60)\nb = Int(9, 2, 60)\nenter_long(crossed_above(ema(close, a), ema(close, b)))\n"
    fast, slow = np.triu_indices(40, 1)
    codes = np.stack([fast + 2, slow + 2], axis=1).astype(np.float64)
    bound = bound_to(code, 100, codes)
    assert bound.rows.shape == (40, 100)
    assert row_bytes(Strategy.parse(code), 100, codes) == 8 * 100 * 41
    np.testing.assert_array_equal(bound.index, codes.astype(np.int64) - 2)


def test_bands_share_their_rows_over_all_widths() -> None:
    code = "n = Int(5, 2, 60)\nw = Float(2, 0.5, 4)\nenter_long(close > bbands(close, n, w).upper)\n"
    codes = np.stack([np.repeat([10.0, 20.0], 50), np.tile(np.linspace(0.5, 4, 50), 2)], axis=1)
    assert bound_to(code, 100, codes).rows.shape[0] == 1 + 2 + 2


def test_points_outside_the_declared_ranges_are_refused() -> None:
    strategy = builtin("ma_cross_v1.0")
    bars = random_bars(60, 1)
    good = [5.0, 20.0, 0.02]
    for column, wrong in ((0, 0.0), (0, 5.5), (0, np.nan), (1, 1e9), (2, -0.1), (2, np.inf)):
        point = np.array([good])
        point[0, column] = wrong
        with pytest.raises(Invalid) as caught:
            bind(strategy, bars, point)
        assert caught.value.path == f"/params/{strategy.parameters[column].name}"
    with pytest.raises(Invalid, match="3 columns"):
        bind(strategy, bars, np.zeros((1, 2)))


def test_a_longer_timeframe_must_be_made_of_whole_bars() -> None:
    code = 'enter_long(close > at("90m", close))\n'
    with pytest.raises(Invalid, match="90m bars, which cannot be made of 1h bars"):
        bind(Strategy.parse(code), random_bars(60, 1), np.zeros((1, 0)))


def test_no_points_and_no_parameters() -> None:
    assert bound_to(RICH, 50, np.zeros((0, 6))).signals(0, 0).n_points == 0
    signals = bound_to("enter_long(close > open)\n", 50, np.zeros((3, 0))).signals(0, 3)
    assert signals.enter_long is not None
    bars = random_bars(50, 5)
    np.testing.assert_array_equal(signals.enter_long, np.tile(bars.close > bars.open, (3, 1)))
    assert bound_to("enter_long(True)\n", 1, np.zeros((1, 0))).signals(0, 1).enter_long == 1


def test_a_window_that_is_undefined_for_a_point_gives_no_signal() -> None:
    code = (
        "a = Int(2, 0, 9)\nb = Int(1, 0, 9)\nn = where(a / b > 1, 5, 7)\n"
        "enter_long(close >= lowest(low, n))\nmax_holding(n)\n"
    )
    signals = bound_to(code, 60, np.array([[2.0, 1.0], [2.0, 0.0], [1.0, 2.0]])).signals(0, 3)
    assert signals.enter_long is not None
    assert signals.enter_long.sum(axis=1).tolist() == [56, 0, 54]
    assert signals.max_holding is not None
    assert signals.max_holding.tolist() == [5, 0, 7]


def test_zero_and_negative_fractions_are_no_level() -> None:
    code = "s = Float(0.1, 0, 0.5)\nenter_long(close > open)\nstop_loss(s)\n"
    level = bound_to(code, 30, np.array([[0.0], [0.25]])).signals(0, 2).stop_loss
    assert level is not None
    np.testing.assert_array_equal(level.fraction, [np.nan, 0.25])


def test_a_strategy_travels_between_processes() -> None:
    for strategy in (Strategy.parse(RICH), builtin("grid_v1.2")):
        again = pickle.loads(pickle.dumps(strategy))
        assert again == strategy
        assert again.code_hash == strategy.code_hash
    codes = points(3, 4)
    again = pickle.loads(pickle.dumps(Strategy.parse(RICH)))
    found = parts(bind(again, random_bars(90, 2), codes).signals(0, 3))
    for name, value in parts(bind(Strategy.parse(RICH), random_bars(90, 2), codes).signals(0, 3)).items():
        np.testing.assert_array_equal(value, found[name])
