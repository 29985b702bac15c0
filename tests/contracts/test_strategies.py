"""What every built-in strategy keeps: it is explained, sensible at its defaults, sees nothing ahead, means its text."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from reference.random_rules import random_bars
from reference.rules import read
from tunesmith.compute.rules.binding import bind
from tunesmith.compute.rules.strategy import Strategy
from tunesmith.compute.simulation.signals import Signals
from tunesmith.compute.strategies import BUILTIN_IDS, builtin
from tunesmith.domain.market.bars import Bars
from tunesmith.domain.parameters import decode_point
from tunesmith.domain.space.space import build_space, encode_points
from tunesmith.errors import NotFound

RULES = [id for id in BUILTIN_IDS if builtin(id).kind == "rule"]
CONDITIONS = ("enter_long", "exit_long", "enter_short", "exit_short")
LEVELS = ("stop_loss", "take_profit", "trailing_stop")


def sampled(strategy: Strategy, n: int) -> np.ndarray:
    """The defaults and n random valid points, float64[m, p]."""
    space = build_space(strategy.parameters, {})
    drawn = space.sample(np.random.default_rng(7).random((4 * n, len(space.dimensions))))
    return np.concatenate([encode_points(strategy.parameters, {}), drawn[strategy.valid(drawn)][:n]])


def arrays(signals: Signals) -> dict[str, np.ndarray]:
    found = {name: getattr(signals, name) for name in CONDITIONS}
    found |= {name: getattr(signals, name).price for name in LEVELS if getattr(signals, name) is not None}
    return {name: value for name, value in found.items() if value is not None}


@pytest.mark.parametrize("id", BUILTIN_IDS)
def test_is_explained_and_sensible_at_its_defaults(id: str) -> None:
    strategy = builtin(id)
    assert strategy.id == id
    assert strategy is builtin(id)
    assert len(strategy.doc) > 100
    assert all(parameter.doc for parameter in strategy.parameters)
    assert all(parameter.check(parameter.default) is None for parameter in strategy.parameters)
    assert strategy.valid(encode_points(strategy.parameters, {})).all()
    valid = strategy.valid(
        build_space(strategy.parameters, {}).sample(np.random.default_rng(1).random((500, len(strategy.parameters))))
    )
    assert valid.mean() > 0.4
    assert [builtin(other).code_hash for other in BUILTIN_IDS].count(strategy.code_hash) == 1


def test_the_first_strategies_have_the_defaults_that_users_know() -> None:
    assert builtin("ma_cross_v1.0").defaults == {"fast_period": 5, "slow_period": 20, "signal_threshold": 0.02}
    assert builtin("grid_v1.2").defaults == {"grid_num": 10, "profit_ratio": 0.01, "stop_loss": 0.05}
    assert {"atr_sl_multiplier", "atr_tp_multiplier", "ema_fast", "ema_slow"} <= set(builtin("ema_atr_v1.0").defaults)


def test_reading_them_loads_no_compiler() -> None:
    code = (
        "import sys\n"
        "from tunesmith.compute.strategies import BUILTIN_IDS, builtin\n"
        "assert all(builtin(id).defaults for id in BUILTIN_IDS)\n"
        "assert not {'numba', 'pandas', 'scipy'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_another_id_is_answered_with_the_nearest() -> None:
    with pytest.raises(NotFound, match=r"did you mean 'ma_cross_v1\.0'"):
        builtin("ma_cross_v1")


@pytest.mark.parametrize("id", RULES)
def test_sees_nothing_ahead(id: str) -> None:
    strategy = builtin(id)
    codes = sampled(strategy, 5)
    bars = random_bars(900, 3)
    whole = arrays(bind(strategy, bars, codes).signals(0, len(codes)))
    for cut in (1, 2, 37, 450, 899):
        for name, value in arrays(bind(strategy, bars.slice(0, cut), codes).signals(0, len(codes))).items():
            np.testing.assert_array_equal(value, whole[name][:, :cut], f"{name} on {cut} bars")


@pytest.mark.parametrize("id", RULES)
def test_means_its_text_on_real_candles(id: str, shared_data) -> None:  # type: ignore[no-untyped-def]
    bars = Bars.read(shared_data / "spot" / "BTC_USDT-1h.parquet", symbol="BTC/USDT", timeframe="1h").slice(0, 600)
    strategy = builtin(id)
    codes = sampled(strategy, 1)
    signals = bind(strategy, bars, codes).signals(0, len(codes))
    for i, point in enumerate(codes):
        told = read(strategy.code, bars, decode_point(strategy.parameters, point))
        assert told.valid
        for name, expected in told.conditions.items():
            np.testing.assert_array_equal(getattr(signals, name)[i].astype(bool), expected, name)


@pytest.mark.parametrize("id", RULES)
def test_trades_on_real_candles_at_its_defaults(id: str, shared_data) -> None:  # type: ignore[no-untyped-def]
    bars = Bars.read(shared_data / "spot" / "ETH_USDT-1h.parquet", symbol="ETH/USDT", timeframe="1h")
    strategy = builtin(id)
    signals = arrays(bind(strategy, bars, encode_points(strategy.parameters, {})).signals(0, 1))
    for name in set(CONDITIONS) & set(signals):
        assert 3 < signals[name].sum() < 0.7 * len(bars), name
