"""Row functions: which kernel computes a node of the graph, and from which bar on the result is defined."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tunesmith.domain.array_types import Floats, Ints, Rows

Measures = Literal["argument", "spread", "price", "distance", "share", "volume", "unknown"]
"""What a row is a value of: what its first argument is, how far values of that lie apart, a price, a distance between
prices, a share or rank or angle, a volume."""

Space = Callable[[int], tuple[NDArray[Any], ...]]
"""Makes a kernel's working space for series of some length."""


class RowFunction(NamedTuple):
    """How the rows of the nodes with the operation `op` are computed.

    `compute(out, rows, sources, points)`: `out` float64[k, T]; `rows` the arguments' distinct rows float64[m, T] and
    `sources` int64[k] which of them each result reads; `points` the numbers float64[k] beside them. `look_back(points)`
    int64[k]: bars that it needs before the first defined one. `measures` keeps stops from being set at no price.
    """

    op: str
    compute: Callable[[Rows, Sequence[Rows], Sequence[Ints], Sequence[Floats]], None]
    look_back: Callable[[Sequence[Floats]], Any]
    measures: Measures = "unknown"


def no_space(n_bars: int) -> tuple[NDArray[Any], ...]:
    """No working space."""
    return ()


def sum_space(n_bars: int) -> tuple[NDArray[Any], ...]:
    """One series' prefix sums float64[2, T + 1], and counts of undefined values int64[T + 1]."""
    return np.empty((2, n_bars + 1)), np.empty(n_bars + 1, np.int64)


def scan_space(n_bars: int) -> tuple[NDArray[Any], ...]:
    """Scans from both ends float64[2, T], and counts of undefined values int64[T + 1]."""
    return np.empty((2, n_bars)), np.empty(n_bars + 1, np.int64)


def moment_space(n_bars: int) -> tuple[NDArray[Any], ...]:
    """Working space for sums of x and of a second quantity.

    Their prefix sums float64[4, T + 1] as (high, low); counts of undefined values int64[T + 1]; equal values in a row
    up to each bar int64[T]: a window of equal values has slope and deviation zero exactly.
    """
    return np.empty((4, n_bars + 1)), np.empty(n_bars + 1, np.int64), np.empty(n_bars, np.int64)


def windowed(
    op: str,
    kernel: Callable[..., None],
    *,
    less: int = 0,
    space: Space = no_space,
    measures: Measures = "unknown",
) -> RowFunction:
    """A function of one row and one window n, defined from n - `less` on.

    The kernel takes x, source, window, the working space, out (see the package's table).
    """

    def compute(out: Rows, rows: Sequence[Rows], sources: Sequence[Ints], points: Sequence[Any]) -> None:
        kernel(rows[0], sources[0], points[0].astype(np.int64), *space(out.shape[1]), out)

    return RowFunction(op, compute, lambda points: points[0].astype(np.int64) - less, measures)


def of_bars(op: str, kernel: Callable[..., None], look_back: int, measures: Measures = "unknown") -> RowFunction:
    """A function of columns alone; the kernel takes each of them float64[T], and out float64[T]."""

    def compute(out: Rows, rows: Sequence[Rows], sources: Sequence[Ints], points: Sequence[Any]) -> None:
        for j in range(len(out)):
            kernel(*(row[source[j]] for row, source in zip(rows, sources, strict=True)), out[j])

    return RowFunction(op, compute, lambda points: look_back, measures)
