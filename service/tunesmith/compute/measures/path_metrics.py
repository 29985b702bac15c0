"""Path metrics of many points: each is simulated by itself into one buffer a thread, which a kernel then reads.

A metric that carries a function of its own is computed by it, from the same buffer, where it is asked for.

Memory is that of the buffers, whatever the number of points: a few numbers a bar, and the orders of the busiest point.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from tunesmith.compute.measures.path_kernel import N_PATH, path_nb
from tunesmith.compute.measures.point_simulation import SimulatePoint, point_simulation
from tunesmith.compute.measures.trades_of_points import read_trades
from tunesmith.compute.rules.strategy import Strategy
from tunesmith.compute.simulation.arrays import N_ORDERS, N_TOTALS, Results
from tunesmith.compute.simulation.execution import Execution
from tunesmith.compute.simulation.run import PreparedBars, empty_results, plain
from tunesmith.domain.array_types import Floats
from tunesmith.domain.closed_trades import AccountPath
from tunesmith.domain.metrics import METRICS, PATH_METRICS

_FIRST_ORDERS = 256
_MAX_BLOCK = 1024


class PathReader:
    """Buffers and market of one thread, from which `read` makes path metrics of one point after another.

    `names` are those metrics, as `path_names` gives them.
    """

    def __init__(self, prepared: PreparedBars, execution: Execution, start: int, names: Sequence[str]) -> None:
        self._computed = [compute for name in names if (compute := METRICS[name].compute)]
        self._of = (prepared.bars, execution, start)
        close = plain(prepared.bars.close[start:], np.float64)
        before = np.concatenate([close[:1], close[:-1]])
        self._market = (close, close / before - 1.0)
        self._terms = (float(execution.initial_cash), float(prepared.bars.bars_per_year))
        self._per_bar = (np.empty(len(close)), np.empty(len(close)))
        self._trades = np.empty(0)

    def read(self, out: Results, values: Floats) -> None:
        """Fill `values` float64[len(names)] from the results of one point, which had room for all its path."""
        if len(self._trades) < len(out.orders):
            self._trades = np.empty(len(out.orders))
        n_orders = int(out.totals[0, N_ORDERS])
        scratch = (*self._per_bar, self._trades)
        path_nb(out.marks, self._market, out.orders, n_orders, self._terms, scratch, values[:N_PATH])
        if self._computed:
            equity, position = out.marks.copy()
            trades = read_trades(out, *self._of)
            path = AccountPath(equity, position, self._market[0], trades, self._terms[1])
            values[N_PATH:] = [compute(path) for compute in self._computed]


def evaluate_paths(
    strategy: Strategy,
    prepared: PreparedBars,
    points: Floats,
    execution: Execution,
    start: int,
    n_threads: int,
    metrics: Iterable[str] = (),
) -> dict[str, Floats]:
    """Path metrics, float64[n] by name, of points float64[n, p] that keep every require(…); NaN where undefined.

    Those of the kernel, and those of `metrics` that carry a function.
    """
    simulate = point_simulation(strategy, prepared, points, execution, start)
    names = path_names(metrics)
    values = np.empty((len(points), len(names)))

    def work(lo: int, hi: int) -> None:
        _fill(values[lo:hi], lo, simulate, PathReader(prepared, execution, start, names), len(prepared.bars) - start)

    length = max(1, min(_MAX_BLOCK, -(-len(points) // max(n_threads, 1))))
    edges = [*range(0, len(points), length), len(points)]
    if n_threads > 1 and len(edges) > 2:
        with ThreadPoolExecutor(n_threads) as pool:
            list(pool.map(work, edges[:-1], edges[1:]))
    else:
        for lo, hi in itertools.pairwise(edges):
            work(lo, hi)
    return named(values, names)


def path_metrics(prepared: PreparedBars, execution: Execution, start: int, out: Results) -> dict[str, Floats]:
    """Path metrics, float64[1] by name, from the results of one point, which had room for all its marks and orders."""
    names = path_names(METRICS)
    values = np.empty((1, len(names)))
    PathReader(prepared, execution, start, names).read(out, values[0])
    return named(values, names)


def path_names(metrics: Iterable[str]) -> tuple[str, ...]:
    """The kernel's metrics, and after them those of `metrics` that carry a function."""
    return (*PATH_METRICS, *(name for name in metrics if name in METRICS and METRICS[name].compute))


def named(values: Floats, names: Sequence[str]) -> dict[str, Floats]:
    """Columns of float64[n, len(names)] by the metrics' names; NaN for what is not finite."""
    finite = np.where(np.isfinite(values), values, np.nan)
    return {name: finite[:, column].copy() for column, name in enumerate(names)}


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
