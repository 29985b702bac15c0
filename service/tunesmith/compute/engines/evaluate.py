"""Strategy × points × bars → metrics.

1. Points that break a require(…) are set aside; they are rows of NaN.
2. The others are taken in chunks whose indicator rows fit a budget; `bind` computes each distinct indicator once.
3. A chunk is cut into blocks whose signals stay in a core's cache; threads take block after block (kernels release the
   GIL), fill in the signals and walk them.
4. The totals of a chunk become metrics, so memory does not grow with the number of points but for the results.
5. Where path metrics are asked for, `paths` walks the chunk's points once more, each by itself.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from tunesmith.compute.engines.engine_table import check_engine
from tunesmith.compute.engines.vectorbt_engine import evaluate_with_vectorbt
from tunesmith.compute.kernels.buffers import Lent
from tunesmith.compute.kernels.threads import in_blocks
from tunesmith.compute.measures.account_metrics import metrics_of
from tunesmith.compute.measures.path_metrics import evaluate_paths
from tunesmith.compute.rules.binding import bind, most_row_bytes, row_bytes
from tunesmith.compute.rules.strategy import Strategy
from tunesmith.compute.simulation.arrays import N_TOTALS
from tunesmith.compute.simulation.execution import Execution
from tunesmith.compute.simulation.run import PreparedBars, check_start, empty_results, prepare, terms_of, walk_signals
from tunesmith.compute.strategies.stepped_run import walk_of
from tunesmith.domain.market.bars import Bars
from tunesmith.domain.metrics import ACCOUNT_METRICS, PATH_METRICS

__all__ = ["Execution", "evaluate_points"]

_MAX_CHUNK = 65_536
_ROW_BUDGET = 192 * 2**20
_SIGNAL_BUDGET = 2**19
_MIN_BLOCK = 8
"""Points a block, as far as the signals of long series let there be: those do not stay in a core's cache anyway."""
_BLOCKS = 8
"""Blocks for each thread, so that none waits long for the last one."""


def evaluate_points(
    strategy: Strategy,
    bars: Bars,
    points: NDArray[np.float64],
    execution: Execution,
    *,
    start: int = 0,
    n_threads: int = 1,
    metrics: Collection[str] | None = None,
) -> dict[str, NDArray[np.float64]]:
    """Metrics of `domain.metrics.METRICS` for `points` float64[n, p]; float64[n] by name, NaN where undefined.

    `metrics` names those that are wanted, in the order of the answer; None: those of the account, which cost the least.
    `start` is the first bar whose signals count: earlier bars only warm indicators up, the account enters flat, and
    the metrics are over the bars from `start` on. Raises `Invalid` for a start outside the bars.
    """
    check_start(bars, start)
    points = np.ascontiguousarray(points, np.float64)
    found = {name: np.full(len(points), np.nan) for name in (ACCOUNT_METRICS if metrics is None else metrics)}
    needs_path = not found.keys().isdisjoint(PATH_METRICS)
    chosen = np.flatnonzero(strategy.valid(points))
    prepared = prepare(bars)
    if execution.engine == "vectorbt":
        check_engine(strategy, execution.engine, execution.costs, execution.direction)
        theirs = evaluate_with_vectorbt(strategy, prepared, points[chosen], execution, start, with_path=needs_path)
        for name, values in found.items():
            values[chosen] = theirs.get(name, np.nan)
        return found
    lo = 0
    while lo < len(chosen):
        rows = chosen[lo : lo + _chunk_length(strategy, bars, points, chosen[lo : lo + _MAX_CHUNK])]
        totals = evaluate_totals(strategy, prepared, points[rows], execution, start=start, n_threads=n_threads)
        chunk = metrics_of(totals, len(bars) - start, bars.bars_per_year, execution.initial_cash)
        if needs_path:
            chunk |= evaluate_paths(strategy, prepared, points[rows], execution, start, n_threads)
        if len(rows) == len(points):
            return {name: chunk[name] for name in found}
        for name, values in found.items():
            values[rows] = chunk[name]
        lo += len(rows)
    return found


def evaluate_totals(
    strategy: Strategy,
    prepared: PreparedBars,
    points: NDArray[np.float64],
    execution: Execution,
    *,
    start: int = 0,
    n_threads: int = 1,
) -> NDArray[np.float64]:
    """Totals float64[n, N_TOTALS] (columns named in `simulation.arrays`) of points that keep every require(…)."""
    totals = np.empty((len(points), N_TOTALS))
    n = len(points)
    shared = max(_MIN_BLOCK, -(-n // (_BLOCKS * n_threads)))
    if strategy.kind == "kernel":
        terms = terms_of(execution, start, has_long=strategy.has_long, has_short=strategy.has_short)
        walk = walk_of(strategy)

        def step(lo: int, hi: int) -> None:
            walk(prepared, points[lo:hi], terms, empty_results(totals[lo:hi]))

        in_blocks(step, n, min(shared, _MAX_CHUNK), n_threads)
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


def _chunk_length(strategy: Strategy, bars: Bars, points: NDArray[np.float64], candidates: NDArray[np.int64]) -> int:
    """How many of `candidates` to take at once, so that their indicator rows fit the budget."""
    length = len(candidates)
    if strategy.kind == "kernel" or length * most_row_bytes(strategy, len(bars)) <= _ROW_BUDGET:
        return length
    while length > 16 and row_bytes(strategy, len(bars), points[candidates[:length]]) > _ROW_BUDGET:
        length //= 2
    return length
