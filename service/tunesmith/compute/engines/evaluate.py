"""Strategy × points × bars → metrics, by the engine that the execution names.

Points that break a require(…) are set aside; they are rows of NaN. The others are handed to the engine in chunks, so
that memory does not grow with the number of points but for the results.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from tunesmith.compute.engines.engine_table import check_engine, engine_named
from tunesmith.compute.rules.strategy import Strategy
from tunesmith.compute.simulation.execution import Execution
from tunesmith.compute.simulation.run import check_start, prepare
from tunesmith.domain.array_types import Floats
from tunesmith.domain.market.bars import Bars
from tunesmith.domain.metrics import ACCOUNT_METRICS

__all__ = ["Execution", "evaluate_points"]

_MAX_CHUNK = 65_536


def evaluate_points(
    strategy: Strategy,
    bars: Bars,
    points: Floats,
    execution: Execution,
    *,
    start: int = 0,
    n_threads: int = 1,
    metrics: Collection[str] | None = None,
) -> dict[str, Floats]:
    """Metrics of `domain.metrics.METRICS` for `points` float64[n, p]; float64[n] by name, NaN where undefined.

    `metrics` names those that are wanted, in the order of the answer; None: those of the account, which cost the least.
    `domain.metrics.TIMING_T` may be named too, and costs as little.
    `start` is the first bar whose signals count: earlier bars only warm indicators up, the account enters flat, and
    the metrics are over the bars from `start` on. Raises `Invalid` for a start outside the bars, and for what the
    engine cannot evaluate.
    """
    check_start(bars, start)
    engine = engine_named(execution.engine)
    check_engine(strategy, execution.engine, execution.costs, execution.direction)
    points = np.ascontiguousarray(points, np.float64)
    wanted = tuple(ACCOUNT_METRICS if metrics is None else metrics)
    chosen = np.flatnonzero(strategy.valid(points))
    prepared = prepare(bars)
    found = {name: np.full(len(points), np.nan) for name in wanted}
    for lo in range(0, len(chosen), _MAX_CHUNK):
        rows = chosen[lo : lo + _MAX_CHUNK]
        whole = len(rows) == len(points)
        given = points if whole else points[rows]
        chunk = engine.evaluate(strategy, prepared, given, execution, start=start, n_threads=n_threads, metrics=wanted)
        if whole:
            return {name: chunk[name] for name in wanted}
        for name, values in found.items():
            values[rows] = chunk[name]
    return found
