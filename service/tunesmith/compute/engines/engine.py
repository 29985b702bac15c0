"""What an engine is: it says what it understands differently, evaluates points, and traces one point."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from tunesmith.compute.engines.trace import Trace
from tunesmith.compute.measures.trades_of_points import closed_trades_of
from tunesmith.compute.rules.strategy import Strategy
from tunesmith.compute.simulation.execution import Execution
from tunesmith.compute.simulation.run import PreparedBars
from tunesmith.domain.array_types import Floats
from tunesmith.domain.closed_trades import ClosedTrades
from tunesmith.domain.market.bars import Bars
from tunesmith.domain.trading import Costs, Direction

Columns = Mapping[str, Floats]
"""Metrics of n points by name, float64[n] each."""


class Difference(NamedTuple):
    """Something that an engine cannot do, or understands differently from ours: the request's field, and why.

    `reason` continues a sentence that begins with the engine's name.
    """

    field: str
    reason: str


class FindDifferences(Protocol):
    """Yields why an engine cannot evaluate a strategy at these costs and directions as ours does; nothing if it can."""

    def __call__(self, strategy: Strategy, costs: Costs, direction: Direction) -> Iterable[Difference]: ...


class Evaluate(Protocol):
    """Computes metrics of `points` float64[n, p], which keep every require(…), from bar `start` on.

    `metrics` names those that are wanted; more may be given. NaN where undefined.
    """

    def __call__(
        self,
        strategy: Strategy,
        prepared: PreparedBars,
        points: Floats,
        execution: Execution,
        *,
        start: int,
        n_threads: int,
        metrics: Collection[str],
    ) -> Columns: ...


class TracePoint(Protocol):
    """Gives every order, trade and equity value of one point float64[p] from bar `start` on."""

    def __call__(
        self, strategy: Strategy, bars: Bars, point: Floats, execution: Execution, *, start: int = 0
    ) -> Trace: ...


class FindTrades(Protocol):
    """Gives the closed trades of each of `points` float64[n, p]; None for one that it has no numbers for."""

    def __call__(
        self, strategy: Strategy, bars: Bars, points: Floats, execution: Execution, *, start: int = 0
    ) -> list[ClosedTrades | None]: ...


@dataclass(frozen=True, kw_only=True)
class Engine:
    """One engine that evaluates strategies. `engine_table` holds all of them by name.

    `closed_trades` are what targets that are functions of trades are computed from: ours, where an engine brings none.
    `no_numbers` says why a valid point may have NaN for all metrics; None where it always has numbers.
    `assumed_ns` is what a point takes on one bar, in nanoseconds of one core, until it was measured. A search hands the
    engine `chunk_divisor` times fewer trials at once than it hands the quickest, so that progress and cancelling stay
    as prompt.
    """

    name: str
    doc: str
    differences: FindDifferences
    evaluate: Evaluate
    trace: TracePoint
    assumed_ns: float
    closed_trades: FindTrades = closed_trades_of
    chunk_divisor: int = 1
    no_numbers: str | None = None
