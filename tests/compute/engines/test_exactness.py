"""Random rules on real candles: the engine, the slow interpreter and simulator, and vectorbt tell the same.

`tests/benchmarks/exactness.py` does the same for hundreds of rules.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from reference.rule_cases import Findings, RuleCase, examine, rule_cases, smallest
from tunesmith.compute.rules.strategy import Strategy
from tunesmith.compute.simulation.execution import Execution
from tunesmith.domain.market.bars import Bars

SAMPLE = Path(__file__).resolve().parents[3] / "service" / "tunesmith" / "sample" / "BTC_USDT-1h.parquet"
MARKET = Bars.read(SAMPLE, symbol="BTC/USDT", timeframe="1h")


@settings(
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=True,
    max_examples=8,
    phases=(Phase.explicit, Phase.generate),  # each rule is compiled: shrinking would take hours
)
@given(rule_cases([MARKET], most_bars=400, n_points=2))
def test_random_rules_equal_the_simulator_and_vectorbt(case: RuleCase) -> None:
    pytest.importorskip("vectorbt")
    found = examine(case, ["numba" if len(case.bars) % 2 else "auto"])
    assert found.failures == [], case
    assert found.n_points + found.n_invalid == 2


def test_a_wrong_engine_is_found_and_its_case_made_small(monkeypatch: pytest.MonkeyPatch) -> None:
    code = (
        "n = Int(5, 2, 9)\nm = Int(3, 1, 12)\nk = Float(1.5, -2.0, 3.0)\nlevel = Choice(20, [20, 50, 80])\n"
        'mode = Choice("fast", ["fast", "slow", "off"])\nuse = Bool(True)\n'
        "spread = high - low\nenter_long(crossed_above(close, sma(close, n)))\nexit_long(falling(close, 2))\n"
        "max_holding(m)\n"
    )
    points = np.array([[3.0, 2.0, 1.5, 0.0, 0.0, 1.0], [9.0, 5.0, 1.5, 0.0, 0.0, 1.0]])
    case = RuleCase(code, MARKET.slice(100, 500), points, Execution(), 10)
    assert examine(case).failures == []
    assert examine(case).n_trades > 20

    def dear(strategy: Strategy, bars: Bars, point: np.ndarray, execution: Execution, *, start: int = 0) -> object:
        return real(strategy, bars, point, Execution(initial_cash=execution.initial_cash * 1.001), start=start)

    real = examine.__globals__["trace"]
    monkeypatch.setitem(examine.__globals__, "trace", dear)
    assert any("equity" in line for line in examine(case).failures)
    small = smallest(case, lambda other: bool(examine(other).failures))
    assert len(small.points) == 1
    assert len(small.bars) < 20
    assert "spread" not in small.code


def test_differences_are_measured() -> None:
    found = Findings()
    assert found.note("rust", "sharpe", 1.0, 1.0 + 1e-12)
    assert not found.note("rust", "sharpe", 1.0, 1.1)
    assert not found.note("rust", "sharpe", 1.0, float("nan"))
    assert found.note("rust", "profit_factor", float("nan"), float("inf"))
    total = Findings()
    total.add(found)
    assert total.worst == {"sharpe": {"rust": float("inf")}, "profit_factor": {"rust": 0.0}}
