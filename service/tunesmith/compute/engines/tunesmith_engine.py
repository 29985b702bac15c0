"""Our engine: compiled kernels, and the meaning that every other engine is held to.

1. The points are taken in chunks whose indicator rows fit a budget; `bind` computes each distinct indicator once.
2. A chunk is cut into blocks whose signals stay in a core's cache; threads take block after block (kernels release the
   GIL), fill in the signals and simulate them.
3. The totals of a chunk become metrics, so memory does not grow with the number of points but for the results.
4. Where path metrics are asked for, the chunk's points are simulated once more, each by itself. `TIMING_T` is none of
   them: its sums are two columns more of the totals.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

import numpy as np

from tunesmith.compute.engines.engine import Columns, Difference, Engine
from tunesmith.compute.engines.trace import trace
from tunesmith.compute.kernels.buffers import Lent
from tunesmith.compute.kernels.threads import in_blocks
from tunesmith.compute.measures.account_metrics import metrics_of, timing_t_of
from tunesmith.compute.measures.path_metrics import evaluate_paths
from tunesmith.compute.rules.binding import bind, most_row_bytes, row_bytes
from tunesmith.compute.rules.strategy import Strategy
from tunesmith.compute.simulation.arrays import N_TIMED_TOTALS, N_TOTALS
from tunesmith.compute.simulation.execution import Execution
from tunesmith.compute.simulation.run import PreparedBars, empty_results, terms_of, walk_signals
from tunesmith.compute.strategies.stepped_run import walk_of
from tunesmith.domain.array_types import Floats
from tunesmith.domain.metrics import ACCOUNT_METRICS, TIMING_T
from tunesmith.domain.trading import OWN_ENGINE, Costs, Direction

_FROM_TOTALS = frozenset((*ACCOUNT_METRICS, TIMING_T))
"""Metrics that need no path of the account."""
_MAX_BLOCK = 65_536
_ROW_BUDGET = 192 * 2**20
_SIGNAL_BUDGET = 2**19
_MIN_BLOCK = 8
"""Points a block, as far as the signals of long series let there be: those do not stay in a core's cache anyway."""
_BLOCKS = 8
"""Blocks for each of several threads, so that none waits long for the last one."""


def _differences(strategy: Strategy, costs: Costs, direction: Direction) -> Iterable[Difference]:
    return ()


def _evaluate(
    strategy: Strategy,
    prepared: PreparedBars,
    points: Floats,
    execution: Execution,
    *,
    start: int,
    n_threads: int,
    metrics: Collection[str],
) -> Columns:
    bars = prepared.bars
    parts: list[Columns] = []
    timed = TIMING_T in metrics
    lo = 0
    while lo < len(points):
        chunk = points[lo : lo + _chunk_length(strategy, len(bars), points[lo:])]
        totals = _evaluate_totals(strategy, prepared, chunk, execution, start=start, n_threads=n_threads, timed=timed)
        found = metrics_of(totals, len(bars) - start, bars.bars_per_year, execution.initial_cash)
        if timed:
            found[TIMING_T] = timing_t_of(totals, bars.close[start:])
        if not _FROM_TOTALS.issuperset(metrics):
            found |= evaluate_paths(strategy, prepared, chunk, execution, start, n_threads, metrics)
        parts.append(found)
        lo += len(chunk)
    if len(parts) == 1:
        return parts[0]
    return {name: np.concatenate([part[name] for part in parts]) for name in metrics} if parts else {}


def _evaluate_totals(
    strategy: Strategy,
    prepared: PreparedBars,
    points: Floats,
    execution: Execution,
    *,
    start: int,
    n_threads: int,
    timed: bool,
) -> Floats:
    """Totals float64[n, N_TOTALS] of points that keep every require(…), or those for timing returns too.

    Columns are named in `arrays`.
    """
    totals = np.empty((len(points), N_TIMED_TOTALS if timed else N_TOTALS))
    n = len(points)
    # One thread shares with nobody; its blocks need only stay in the cache.
    shared = max(_MIN_BLOCK, -(-n // (_BLOCKS * n_threads))) if n_threads > 1 else max(n, 1)
    if strategy.kind == "kernel":
        terms = terms_of(execution, start, has_long=strategy.has_long, has_short=strategy.has_short)
        walk = walk_of(strategy)

        def step(lo: int, hi: int) -> None:
            walk(prepared, points[lo:hi], terms, empty_results(totals[lo:hi]))

        in_blocks(step, n, min(shared, _MAX_BLOCK), n_threads)
        return totals
    with Lent() as rows_memory:
        bound = bind(strategy, prepared.bars, points, n_threads=n_threads, new=rows_memory)
        fitting = max(
            _SIGNAL_BUDGET // bound.bytes_a_point, min(_MIN_BLOCK, 8 * _SIGNAL_BUDGET // bound.bytes_a_point), 1
        )

        def work(lo: int, hi: int) -> None:
            with Lent() as memory:
                signals = bound.masks(lo, hi, new=memory)
                walk_signals(prepared, signals, execution, start, empty_results(totals[lo:hi]))

        in_blocks(work, n, min(shared, fitting), n_threads)
    return totals


def _chunk_length(strategy: Strategy, n_bars: int, points: Floats) -> int:
    """How many of `points` to take at once, so that their indicator rows fit the budget."""
    length = len(points)
    if strategy.kind == "kernel" or length * most_row_bytes(strategy, n_bars) <= _ROW_BUDGET:
        return length
    while length > 16 and row_bytes(strategy, n_bars, points[:length]) > _ROW_BUDGET:
        length //= 2
    return length


TUNESMITH = Engine(
    name=OWN_ENGINE,
    doc="Our own: compiled kernels. What it computes is what an order means here.",
    differences=_differences,
    evaluate=_evaluate,
    trace=trace,
    assumed_ns=5.0,
)
