"""Simulate points one by one, so that each one's orders, marks and trades can be read."""

from __future__ import annotations

from collections.abc import Callable

from tunesmith.compute.rules.binding import bind
from tunesmith.compute.rules.strategy import Strategy
from tunesmith.compute.simulation.arrays import Results
from tunesmith.compute.simulation.execution import Execution
from tunesmith.compute.simulation.run import PreparedBars, terms_of, walk_signals
from tunesmith.compute.strategies.stepped_run import walk_of
from tunesmith.domain.array_types import Floats

SimulatePoint = Callable[[int, Results], None]
"""Simulates the point of that number into results of one row."""


def point_simulation(
    strategy: Strategy,
    prepared: PreparedBars,
    points: Floats,
    execution: Execution,
    start: int,
    *,
    skips: bool = True,
) -> SimulatePoint:
    """A function that simulates any of `points` float64[n, p], which keep every require(…).

    The indicators of a rule are computed here, once for all points. With `skips` the simulation of a rule jumps over
    stretches without orders; without, it steps bar by bar.
    """
    if strategy.kind == "kernel":
        walk = walk_of(strategy)
        terms = terms_of(execution, start, has_long=strategy.has_long, has_short=strategy.has_short)
        return lambda i, out: walk(prepared, points[i : i + 1], terms, out)
    bound = bind(strategy, prepared.bars, points)
    return lambda i, out: walk_signals(prepared, bound.signals(i, i + 1), execution, start, out, skips=skips)
