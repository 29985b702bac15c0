"""No look-ahead is a law: signals on the first bars are the first signals on all bars, to the last bit."""

from __future__ import annotations

import numpy as np
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from reference.random_rules import points, random_bars, rules
from tunesmith.compute.rules.binding import bind
from tunesmith.compute.rules.strategy import Strategy


@settings(
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=True,
    max_examples=30,
    phases=(Phase.explicit, Phase.generate),
)
@given(rules(), st.integers(0, 2**32))
def test_random_rules_do_not_see_what_comes(code: str, seed: int) -> None:
    strategy = Strategy.parse(code)
    codes = points(3, seed)
    bars = random_bars(150, seed)
    whole = bind(strategy, bars, codes)
    told = whole.signals(0, 3)
    for cut in np.random.default_rng(seed).integers(1, 150, 4).tolist():
        part = bind(strategy, bars.slice(0, cut), codes)
        signals = part.signals(0, 3)
        np.testing.assert_array_equal(part.warmup, np.minimum(whole.warmup, cut))
        for name in ("enter_long", "exit_long", "enter_short", "exit_short"):
            if getattr(told, name) is not None:
                np.testing.assert_array_equal(getattr(signals, name), getattr(told, name)[:, :cut], f"{cut}\n{code}")
        for name in ("stop_loss", "take_profit", "trailing_stop"):
            level = getattr(told, name)
            if level is not None and level.price is not None:
                np.testing.assert_array_equal(getattr(signals, name).price, level.price[:, :cut], f"{cut}\n{code}")
