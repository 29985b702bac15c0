"""Row functions: which compiled indicator computes a node, and from which bar on it is defined."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tunesmith.compute.indicators import deviations, extremes, smoothing, trends, true_range, volumes, window_sums

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


def _scan_space(n_bars: int) -> tuple[NDArray[Any], ...]:
    return np.empty((2, n_bars)), np.empty(n_bars + 1, np.int64)


def _windowed(
    kernel: Callable[..., None], less: int = 0, space: Callable[[int], tuple[NDArray[Any], ...]] = _no_space
) -> RowFunction:
    """A function of one row and one window n, defined from n - `less` on; `space` makes its working space."""

    def compute(out: Rows, rows: Sequence[Rows], sources: Sequence[Source], points: Sequence[Any]) -> None:
        kernel(rows[0], sources[0], points[0].astype(np.int64), *space(out.shape[1]), out)

    return RowFunction(compute, lambda points: points[0].astype(np.int64) - less)


def _moment_space(n_bars: int) -> tuple[NDArray[Any], ...]:
    return np.empty((4, n_bars + 1)), np.empty(n_bars + 1, np.int64), np.empty(n_bars, np.int64)


def _of_bars(kernel: Callable[..., None], lookback: int) -> RowFunction:
    """A function of columns alone: one row."""

    def compute(out: Rows, rows: Sequence[Rows], sources: Sequence[Source], points: Sequence[Any]) -> None:
        for j in range(len(out)):
            kernel(*(row[source[j]] for row, source in zip(rows, sources, strict=True)), out[j])

    return RowFunction(compute, lambda points: lookback)


def _directional(which: int) -> RowFunction:
    def compute(out: Rows, rows: Sequence[Rows], sources: Sequence[Source], points: Sequence[Any]) -> None:
        high, low, close = (row[0] for row in rows)
        trends.directional_nb(high, low, close, points[0].astype(np.int64), which, out)

    needed = 2 if which == trends.ADX else 1
    return RowFunction(compute, lambda points: needed * points[0].astype(np.int64) - (needed - 1))


def _supertrend(direction: bool) -> RowFunction:
    def compute(out: Rows, rows: Sequence[Rows], sources: Sequence[Source], points: Sequence[Any]) -> None:
        high, low, close = (row[0] for row in rows[:3])
        trends.supertrend_nb(high, low, close, rows[3], sources[3], points[0], direction, out)

    return RowFunction(compute, lambda points: 0)


def _macd_line(out: Rows, rows: Sequence[Rows], sources: Sequence[Source], points: Sequence[Any]) -> None:
    fast, slow = (point.astype(np.int64) for point in points)
    trends.macd_line_nb(rows[0], sources[0], fast, slow, out)


def _since(out: Rows, rows: Sequence[Rows], sources: Sequence[Source], points: Sequence[Any]) -> None:
    extremes.since_nb(rows[0], sources[0], out)


def _percent_rank(out: Rows, rows: Sequence[Rows], sources: Sequence[Source], points: Sequence[Any]) -> None:
    ranks = np.empty(rows[0].shape, np.int64)
    for i, row in enumerate(rows[0]):
        _, place = np.unique(row, return_inverse=True)
        ranks[i] = np.where(np.isfinite(row), place.reshape(row.shape) + 1, 0)
    tree = np.empty(out.shape[1] + 1, np.int64)
    extremes.percent_rank_nb(ranks, sources[0], points[0].astype(np.int64), tree, out)


ROW_FUNCTIONS: dict[str, RowFunction] = {
    "shift": _windowed(extremes.shift_nb),
    "highest": _windowed(extremes.highest_nb, 1, _scan_space),
    "lowest": _windowed(extremes.lowest_nb, 1, _scan_space),
    "since": RowFunction(_since, lambda points: 0),
    "percent_rank": RowFunction(_percent_rank, lambda points: points[0].astype(np.int64)),
    "sma": _windowed(window_sums.sma_nb, 1, _sum_space),
    "wma": _windowed(deviations.wma_nb, 1, _moment_space),
    "stddev": _windowed(deviations.stddev_nb, 1, _moment_space),
    "linreg_slope": _windowed(deviations.linreg_slope_nb, 1, _moment_space),
    "cci": _windowed(deviations.cci_nb, 1, _moment_space),
    "ema": _windowed(smoothing.ema_nb, 1),
    "wilder": _windowed(smoothing.wilder_nb, 1),
    "rsi": _windowed(smoothing.rsi_nb),
    "macd_line": RowFunction(_macd_line, lambda points: np.maximum(*points).astype(np.int64) - 1),
    "true_range": _of_bars(true_range.true_range_nb, 1),
    "obv": _of_bars(volumes.obv_nb, 0),
    "adx": _directional(trends.ADX),
    "plus_di": _directional(trends.PLUS_DI),
    "minus_di": _directional(trends.MINUS_DI),
    "supertrend_line": _supertrend(False),
    "supertrend_direction": _supertrend(True),
}
"""Every row function by its op."""
