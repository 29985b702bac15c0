"""Path metrics of many points: each is simulated by itself into one buffer a thread, which a kernel then reads.

Memory is that of the buffers, whatever the number of points: a few numbers a bar, and the orders of the busiest point.
"""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from tunesmith.compute.measures.path_kernel import N_PATH, path_nb
from tunesmith.compute.measures.point_simulation import SimulatePoint, point_simulation
from tunesmith.compute.rules.strategy import Strategy
from tunesmith.compute.simulation.arrays import N_ORDERS, N_TOTALS, Results
from tunesmith.compute.simulation.execution import Execution
from tunesmith.compute.simulation.run import PreparedBars, empty_results, plain
from tunesmith.domain.array_types import Floats
from tunesmith.domain.metrics import PATH_METRICS

_FIRST_ORDERS = 256
_MAX_BLOCK = 1024


class PathReader:
    """Buffers and market of one thread, from which `read` makes path metrics of one point after another."""

    def __init__(self, prepared: PreparedBars, execution: Execution, start: int) -> None:
        close = plain(prepared.bars.close[start:], np.float64)
        before = np.concatenate([close[:1], close[:-1]])
        self._market = (close, close / before - 1.0)
        self._terms = (float(execution.initial_cash), float(prepared.bars.bars_per_year))
        self._per_bar = (np.empty(len(close)), np.empty(len(close)))
        self._trades = np.empty(0)

    def read(self, out: Results, values: Floats) -> None:
        """Fill `values` float64[N_PATH] from the results of one point, which had room for all its marks and orders."""
        if len(self._trades) < len(out.orders):
            self._trades = np.empty(len(out.orders))
        n_orders = int(out.totals[0, N_ORDERS])
        scratch = (*self._per_bar, self._trades)
        path_nb(out.marks, self._market, out.orders, n_orders, self._terms, scratch, values)


def evaluate_paths(
    strategy: Strategy,
    prepared: PreparedBars,
    points: Floats,
    execution: Execution,
    start: int,
    n_threads: int,
) -> dict[str, Floats]:
    """Path metrics, float64[n] by name, of points float64[n, p] that keep every require(…); NaN where undefined."""
    simulate = point_simulation(strategy, prepared, points, execution, start)
    values = np.empty((len(points), N_PATH))

    def work(lo: int, hi: int) -> None:
        _fill(values[lo:hi], lo, simulate, PathReader(prepared, execution, start), len(prepared.bars) - start)

    length = max(1, min(_MAX_BLOCK, -(-len(points) // max(n_threads, 1))))
    edges = [*range(0, len(points), length), len(points)]
    if n_threads > 1 and len(edges) > 2:
        with ThreadPoolExecutor(n_threads) as pool:
            list(pool.map(work, edges[:-1], edges[1:]))
    else:
        for lo, hi in itertools.pairwise(edges):
            work(lo, hi)
    return named(values)


def path_metrics(prepared: PreparedBars, execution: Execution, start: int, out: Results) -> dict[str, Floats]:
    """Path metrics, float64[1] by name, from the results of one point, which had room for all its marks and orders."""
    values = np.empty((1, N_PATH))
    PathReader(prepared, execution, start).read(out, values[0])
    return named(values)


def named(values: Floats) -> dict[str, Floats]:
    """Columns of float64[n, N_PATH] by the metrics' names; NaN for what is not finite."""
    finite = np.where(np.isfinite(values), values, np.nan)
    return {name: finite[:, column].copy() for column, name in enumerate(PATH_METRICS)}


def _fill(values: Floats, first: int, simulate: SimulatePoint, reader: PathReader, n_bars: int) -> None:
    """Simulate the points from number `first` on and read a row of `values` from each."""
    out = empty_results(np.empty((1, N_TOTALS)), n_orders=min(_FIRST_ORDERS, n_bars + 1), n_marks=n_bars)
    for i, row in enumerate(values, start=first):
        out.state[:] = 0.0
        simulate(i, out)
        n_orders = int(out.totals[0, N_ORDERS])
        if n_orders > len(out.orders):
            out = empty_results(out.totals, n_orders=2 * n_orders, n_marks=n_bars)
            simulate(i, out)
        reader.read(out, row)
