"""Entries whose stop or target lay on the wrong side are told, as many as orders and slowly read levels say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tunesmith as ts
from reference.cases import random_bars
from reference.rules import read
from tunesmith.compute.engines.trace import trace
from tunesmith.compute.rules.strategy import Strategy
from tunesmith.compute.simulation.execution import Execution

BARS = random_bars(np.random.default_rng(11), 600)
CODE = """
n = Int(9, 2, 30)
enter_long(crossed_above(close, sma(close, 3)))
exit_long(falling(close, 4))
enter_short(crossed_below(close, sma(close, 3)))
exit_short(rising(close, 4))
stop_loss(sma(close, n))
take_profit(where(close > open, 1.02 * close, 0.98 * close))
"""


@pytest.mark.parametrize("fill", ["next_open", "close"])
@pytest.mark.parametrize("direction", ["long", "short", "both"])
def test_entries_with_a_stop_on_the_wrong_side_are_told(fill: Any, direction: Any) -> None:
    rule = Strategy.parse(CODE)
    execution = Execution(ts.Costs(slippage_rate=0.001), fill, direction)
    report = ts.backtest(rule, BARS, costs=execution.costs, fill=fill, direction=direction, use_holdout=True)
    levels = read(CODE, BARS, {"n": 9}).levels
    counts: dict[tuple[str, str], list[int]] = {}
    for order in trace(rule, BARS, np.array([9.0]), execution).orders:
        if order.reason != "entry":
            continue
        side, signal = ("long" if order.side == "buy" else "short"), order.bar - (fill == "next_open")
        for name, must_be_below in (("stop_loss", side == "long"), ("take_profit", side == "short")):
            level = levels[name][signal]
            wrong = level >= order.price if must_be_below else level <= order.price
            found = counts.setdefault((name, side), [0, 0])
            found[0] += bool(wrong)
            found[1] += 1
    told = {f"{n} of {total} {side} entries had their {name} " for (name, side), (n, total) in counts.items() if n}
    assert len(told) >= 2
    assert len(report.warnings) == len(told)
    for start in told:
        assert any(warning.startswith(start) for warning in report.warnings), (start, report.warnings)


def test_stops_that_are_right_and_fractions_are_not_spoken_of() -> None:
    rule = ts.strategy("ema_atr_v1.0")
    assert ts.backtest(rule, BARS).warnings == []
    assert ts.backtest(ts.strategy("bollinger_reversion"), BARS, {"stop": 0.01}).warnings == []
