"""No look-ahead is a law: signals on the first bars are the first signals on all bars, to the last bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from reference.random_rules import points, random_bars, rules
from reference.rule_cases import RuleCase, seen_ahead
from tunesmith.compute.codegen import indicator_rows
from tunesmith.compute.codegen.longer_bars import LongerBars, longer_bars
from tunesmith.compute.simulation.execution import Execution
from tunesmith.domain.market.bars import Bars


@settings(
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=True,
    max_examples=12,
    phases=(Phase.explicit, Phase.generate),
)
@given(rules(), st.integers(0, 2**32))
def test_random_rules_do_not_see_what_comes(code: str, seed: int) -> None:
    case = RuleCase(code, random_bars(150, seed), points(3, seed), Execution(), 0)
    assert seen_ahead(case, np.random.default_rng(seed).integers(1, 150, 4).tolist()) == [], case


def test_a_rule_that_sees_ahead_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def too_early(bars: Bars, timeframe: str) -> LongerBars:
        made = longer_bars(bars, timeframe)
        return LongerBars(made.bars, np.minimum(made.known + 1, len(made) - 1))

    case = RuleCase(
        'enter_long(True)\nstop_loss(at("4h", low))\n', random_bars(150, 3), np.empty((1, 0)), Execution(), 0
    )
    assert seen_ahead(case, range(50, 54)) == []
    monkeypatch.setattr(indicator_rows, "longer_bars", too_early)
    assert "stop_loss on 52 bars are not those on all" in seen_ahead(case, range(50, 54))
