"""What holds for every metric, whoever declares it: it is explained, and equals its slow and obvious definition."""

from __future__ import annotations

import numpy as np
import pytest

from reference.cases import Case, random_bars, slow_run
from reference.rule_cases import numbers_of
from tunesmith.compute.engines.engine_table import ENGINES
from tunesmith.compute.engines.evaluate import evaluate_points
from tunesmith.compute.engines.trace import trace
from tunesmith.compute.rules.binding import bind
from tunesmith.compute.rules.strategy import Strategy
from tunesmith.compute.simulation.execution import Execution
from tunesmith.domain.metrics import ACCOUNT_METRICS, METRICS, TARGET_ALIASES, Metric, search_metrics
from tunesmith.domain.space import encode_points
from tunesmith.domain.trading import Costs

RULE = Strategy.parse(
    "window = Int(20, 2, 200)\n"
    "line = sma(close, window)\n"
    "enter_long(crossed_above(close, line))\nexit_long(crossed_below(close, line))\n"
    "enter_short(crossed_below(close, line))\nexit_short(crossed_above(close, line))\n"
)
POINTS = encode_points(RULE.parameters, {"window": [5, 20, 150]})
START = 30


def check_declaration(metric: Metric) -> None:
    """Its row says how it is computed, in what unit and after whom, and its name is one metric's."""
    assert METRICS[metric.name] is metric
    assert metric.name.isidentifier()
    assert metric.name not in TARGET_ALIASES
    assert all((metric.formula, metric.unit, metric.source))
    assert metric.direction in ("maximize", "minimize")
    assert metric.basis == "account" if metric.name in ACCOUNT_METRICS else metric.basis == "path"
    assert metric.compute is None or metric.basis == "path"
    assert search_metrics([metric.name]) == tuple(dict.fromkeys((*ACCOUNT_METRICS, metric.name)))


def check_against_reference(metric: Metric) -> None:
    """Every engine and the trace give what the slow definition does, on one thread or two, alone or beside others."""
    name = metric.name
    for fill in ("next_open", "close"):
        execution = Execution(Costs(fee_rate=0.001, slippage_rate=0.0005), fill, "both")  # type: ignore[arg-type]
        bars = random_bars(np.random.default_rng(6), 700)
        case = Case(bars, bind(RULE, bars, POINTS).signals(0, len(POINTS)), execution, START)
        slow = [numbers_of(slow_run(case, i), bars, START, execution.initial_cash) for i in range(len(POINTS))]
        assert set(slow[0]) == set(METRICS), "the slow reference has each metric of the table"
        wanted = pytest.approx([numbers[name] for numbers in slow], rel=1e-8, abs=1e-9, nan_ok=True)
        for engine in ENGINES:
            theirs = Execution(execution.costs, execution.fill, execution.direction, engine=engine)
            assert evaluate_points(RULE, bars, POINTS, theirs, start=START, metrics=[name])[name] == wanted, engine
        beside = evaluate_points(RULE, bars, POINTS, execution, start=START, metrics=METRICS, n_threads=2)
        assert list(beside) == list(METRICS)
        assert beside[name] == wanted
        traced = [trace(RULE, bars, point, execution, start=START).metrics[name] for point in POINTS]
        assert traced == wanted
