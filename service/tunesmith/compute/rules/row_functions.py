"""Row functions: which compiled indicator computes a node, and from which bar on it is defined."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tunesmith.compute.rules.indicators import ranges, smoothing, sums, windows

Rows = NDArray[np.float64]
Source = NDArray[np.int64]


class RowFunction(NamedTuple):
    """How rows of one operation are made.

    `compute(out, rows, sources, points)`: `out` float64[k, T]; `rows` the arguments' distinct rows float64[m, T] and
    `sources` int64[k] which of them each result reads; `points` the numbers float64[k] beside them. `lookback(points)`
    int64[k]: bars that it needs before the first defined one.
    """

    compute: Callable[[Rows, Sequence[Rows], Sequence[Source], Sequence[NDArray[np.float64]]], None]
    lookback: Callable[[Sequence[NDArray[np.float64]]], Any]


def _no_space(n_bars: int) -> tuple[NDArray[Any], ...]:
    return ()


def _sum_space(n_bars: int) -> tuple[NDArray[Any], ...]:
    return np.empty((2, n_bars + 1)), np.empty(n_bars + 1, np.int64)


def _queue_space(n_bars: int) -> tuple[NDArray[Any], ...]:
    return (np.empty(n_bars, np.int64),)


def _windowed(
    kernel: Callable[..., None], less: int = 0, space: Callable[[int], tuple[NDArray[Any], ...]] = _no_space
) -> RowFunction:
    """A function of one row and one window n, defined from n - `less` on; `space` makes its working space."""

    def compute(out: Rows, rows: Sequence[Rows], sources: Sequence[Source], points: Sequence[Any]) -> None:
        kernel(rows[0], sources[0], points[0].astype(np.int64), *space(out.shape[1]), out)

    return RowFunction(compute, lambda points: points[0].astype(np.int64) - less)


def _of_bars(kernel: Callable[..., None], lookback: int) -> RowFunction:
    """A function of columns alone: one row."""

    def compute(out: Rows, rows: Sequence[Rows], sources: Sequence[Source], points: Sequence[Any]) -> None:
        for j in range(len(out)):
            kernel(*(row[source[j]] for row, source in zip(rows, sources, strict=True)), out[j])

    return RowFunction(compute, lambda points: lookback)


ROW_FUNCTIONS: dict[str, RowFunction] = {
    "shift": _windowed(windows.shift_nb),
    "highest": _windowed(windows.highest_nb, 1, _queue_space),
    "lowest": _windowed(windows.lowest_nb, 1, _queue_space),
    "sma": _windowed(sums.sma_nb, 1, _sum_space),
    "ema": _windowed(smoothing.ema_nb, 1),
    "wilder": _windowed(smoothing.wilder_nb, 1),
    "rsi": _windowed(smoothing.rsi_nb),
    "true_range": _of_bars(ranges.true_range_nb, 1),
}
"""Every row function by its op."""
