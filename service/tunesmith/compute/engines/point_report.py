"""The report of one point: its metrics, every order, trade and equity value, confirmed by vectorbt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tunesmith.compute.engines.bars_of_rule import bars_used
from tunesmith.compute.engines.engine_table import check_given, engine_named
from tunesmith.compute.engines.evaluate import evaluate_points
from tunesmith.compute.engines.vectorbt_replay import disagreements, replay
from tunesmith.compute.engines.vectorbt_report import full_report
from tunesmith.compute.engines.wrong_stops import wrong_stops
from tunesmith.compute.rules.strategy import Strategy
from tunesmith.compute.simulation.execution import Execution
from tunesmith.domain.array_types import Floats, Ints
from tunesmith.domain.market.bars import Bars
from tunesmith.domain.market.bars_used import BarsUsed
from tunesmith.domain.metrics import METRICS
from tunesmith.domain.parameters import ParamValues, decode_point
from tunesmith.domain.trading import Direction


@dataclass(frozen=True)
class Report:
    """One point in full: our `metrics`, vectorbt's `stats`, their `disagreements`, which should be none, and the `bars`
    that it was made with.

    `warnings` are sentences to read before the numbers. `direction` is what was traded; `withheld_from`, in UTC
    milliseconds, where the hold-out begins that the bars were cut at, None for bars that were taken as they are.
    """

    params: ParamValues
    metrics: dict[str, float]
    stats: dict[str, Any]
    trades: list[dict[str, Any]]
    timestamp: Ints
    equity: Floats
    disagreements: list[str]
    bars: BarsUsed
    warnings: list[str]
    direction: Direction
    withheld_from: int | None = None


def report_point(rule: Strategy, bars: Bars, point: Floats, execution: Execution, start: int) -> Report:
    """Simulate one encoded point float64[p], have vectorbt replay its orders, and report all of it."""
    metrics = evaluate_points(rule, bars, point[np.newaxis], execution, start=start, metrics=METRICS)
    numbers = {name: float(values[0]) for name, values in metrics.items()}
    check_given(execution.engine, numbers)
    traced = engine_named(execution.engine).trace(rule, bars, point, execution, start=start)
    theirs = replay(traced, bars, execution, start)
    full = full_report(theirs, traced, bars)
    idle = rule.never_entered(execution.direction)
    return Report(
        params=decode_point(rule.parameters, point),
        metrics=numbers,
        stats=full.stats,
        trades=full.trades,
        timestamp=bars.timestamp[start:],
        equity=traced.equity,
        disagreements=disagreements(theirs, traced, numbers, bars, execution),
        warnings=[*([idle] if idle else []), *wrong_stops(rule, bars, point, execution, traced)],
        direction=execution.direction,
        bars=bars_used(rule, bars, start),
    )
