"""What every built-in strategy keeps: it is explained, sensible at its defaults, sees nothing ahead, means its text."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from contracts import strategy_checks as checks
from tunesmith.compute.strategies import BUILTIN_IDS, builtin
from tunesmith.domain.market.bars import Bars
from tunesmith.errors import NotFound

RULES = [id for id in BUILTIN_IDS if builtin(id).kind == "rule"]


@pytest.mark.parametrize("id", BUILTIN_IDS)
def test_is_explained_and_sensible_at_its_defaults(id: str) -> None:
    assert builtin(id).id == id
    checks.check_declaration(builtin(id))


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
    checks.check_no_look_ahead(builtin(id))


@pytest.mark.parametrize("id", RULES)
def test_means_its_text_on_real_candles(id: str, shared_data: Path) -> None:
    pytest.importorskip("vectorbt")
    bars = Bars.read(shared_data / "spot" / "BTC_USDT-1h.parquet", symbol="BTC/USDT", timeframe="1h").slice(0, 600)
    checks.check_meaning(builtin(id), bars)


@pytest.mark.parametrize("id", RULES)
def test_trades_on_real_candles_at_its_defaults(id: str, shared_data: Path) -> None:
    bars = Bars.read(shared_data / "spot" / "ETH_USDT-1h.parquet", symbol="ETH/USDT", timeframe="1h")
    checks.check_trades(builtin(id), bars)
