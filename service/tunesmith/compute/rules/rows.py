"""Rows of a rule: every indicator node, once for each distinct combination of the parameters that it depends on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tunesmith.compute.rules.elementwise import Value, evaluate
from tunesmith.compute.rules.longer_bars import LongerBars, first_known, longer_bars, spread
from tunesmith.compute.rules.nodes import ELEMENTWISE, Node, reachable
from tunesmith.compute.rules.plan import Plan, row_arguments
from tunesmith.compute.rules.points import point_values
from tunesmith.compute.rules.row_functions import ROW_FUNCTIONS
from tunesmith.domain.bars import Bars

_BATCH_VALUES = 1 << 16


class Distinct(NamedTuple):
    """k distinct combinations among n points: `first` int64[k], a point with each; `inverse` int64[n], which it is."""

    first: NDArray[np.int64]
    inverse: NDArray[np.int64]


class Combinations:
    """The distinct combinations of parameter columns among points float64[n, p], each set of columns looked at once."""

    def __init__(self, points: NDArray[np.float64]) -> None:
        self._points = points
        self._known: dict[tuple[int, ...], Distinct] = {}

    def of(self, params: tuple[int, ...]) -> Distinct:
        """Those of the columns `params`."""
        if params not in self._known:
            self._known[params] = self._find(params)
        return self._known[params]

    def _find(self, params: tuple[int, ...]) -> Distinct:
        n = len(self._points)
        if not params:
            return Distinct(np.zeros(min(n, 1), np.int64), np.zeros(n, np.int64))
        if len(params) == 1:
            values: NDArray[Any] = self._points[:, params[0]]
        else:
            left, right = self.of(params[:-1]), self.of(params[-1:])
            values = left.inverse * max(len(right.first), 1) + right.inverse
        _, first, inverse = np.unique(values, return_index=True, return_inverse=True)
        return Distinct(first.astype(np.int64), inverse.astype(np.int64).reshape(n))


class Computed(NamedTuple):
    """The rows that conditions read: `matrix` float64[R, T]; for each leaf the number of its first row in it, and
    `warmups` int64[k]: the first bar at which each of its rows is defined."""

    matrix: NDArray[np.float64]
    starts: dict[int, int]
    warmups: dict[int, NDArray[np.int64]]


def compute_rows(
    nodes: Sequence[Node], plan: Plan, bars: Bars, points: NDArray[np.float64], combinations: Combinations
) -> Computed:
    """All rows of `plan` on `bars` for `points` float64[n, p]; what only rows need is dropped after its last use."""
    counts = {number: len(combinations.of(nodes[number].params).first) for number in plan.rows}
    starts = dict(zip(plan.leaves, np.cumsum([0, *(counts[n] for n in plan.leaves)]).tolist(), strict=False))
    matrix = np.empty((sum(counts[n] for n in plan.leaves), len(bars)))
    work = _Work(nodes, bars, points, combinations)
    last_use = {arg: number for number in plan.rows for arg in row_arguments(nodes, number)}
    for number in plan.rows:
        count = counts[number]
        if number in starts:
            out = matrix[starts[number] : starts[number] + count]
        else:
            out = np.empty((count, work.length(number)))
        work.compute(number, out)
        for arg in row_arguments(nodes, number):
            if last_use[arg] == number and arg not in starts:
                del work.rows[arg]
    return Computed(matrix, starts, work.warmups)


class _Work:
    """The rows computed so far."""

    def __init__(
        self, nodes: Sequence[Node], bars: Bars, points: NDArray[np.float64], combinations: Combinations
    ) -> None:
        self._nodes, self._bars, self._points, self._combinations = nodes, bars, points, combinations
        self.rows: dict[int, NDArray[np.float64]] = {}
        self.warmups: dict[int, NDArray[np.int64]] = {}
        self._frames: dict[str, LongerBars] = {}

    def length(self, number: int) -> int:
        """Bars of the timeframe that a node is computed on."""
        frame = self._nodes[number].frame
        return len(self._bars) if frame is None else len(self._longer(frame))

    def _longer(self, timeframe: str) -> LongerBars:
        if timeframe not in self._frames:
            self._frames[timeframe] = longer_bars(self._bars, timeframe)
        return self._frames[timeframe]

    def compute(self, number: int, out: NDArray[np.float64]) -> None:
        """Fill `out` float64[k, T] with the rows of a node."""
        node = self._nodes[number]
        self.rows[number] = out
        distinct = self._combinations.of(node.params)
        if node.op == "column":
            bars = self._bars if node.frame is None else self._longer(node.frame).bars
            if bars is not None:
                out[:] = getattr(bars, str(node.value))
            self.warmups[number] = np.zeros(len(out), np.int64)
            return
        arguments = row_arguments(self._nodes, number)
        rows = list(arguments)
        sources = [self._combinations.of(self._nodes[row].params).inverse[distinct.first] for row in rows]
        ready = np.zeros(len(out), np.int64)
        for row, source in zip(rows, sources, strict=True):
            np.maximum(ready, self.warmups[row][source] + arguments[row], out=ready)
        if node.op == "at":
            known = self._longer(str(node.value)).known
            spread(self.rows[rows[0]], known, out)
            self.warmups[number] = first_known(ready, known)
            return
        if node.op in ELEMENTWISE:
            self._elementwise(number, out, rows, sources, distinct)
            self.warmups[number] = ready
            return
        given = [arg for arg in node.args if not self._nodes[arg].varies]
        values = point_values(self._nodes, given, self._points[distinct.first])
        numbers = [np.ascontiguousarray(np.broadcast_to(values[arg], len(out)), np.float64) for arg in given]
        function = ROW_FUNCTIONS[node.op]
        function.compute(out, [self.rows[row] for row in rows], sources, numbers)
        self.warmups[number] = ready + function.lookback(numbers)

    def _elementwise(
        self,
        number: int,
        out: NDArray[np.float64],
        rows: Sequence[int],
        sources: Sequence[NDArray[np.int64]],
        distinct: Distinct,
    ) -> None:
        order = reachable(self._nodes, [number], lambda n: n in rows or not self._nodes[n].varies)
        scalars = [n for n in order if not self._nodes[n].varies]
        step = max(1, _BATCH_VALUES // max(out.shape[1], 1))
        for start in range(0, len(out), step):
            batch = slice(start, min(start + step, len(out)))
            points = self._points[distinct.first[batch]]
            known = {n: as_column(v) for n, v in point_values(self._nodes, scalars, points).items()}
            for row, source in zip(rows, sources, strict=True):
                known[row] = self.rows[row][source[batch]]
            out[batch] = evaluate(self._nodes, order, known)[number]


def as_column(value: Value) -> Value:
    """A point value or condition [n] as a column [n, 1], to meet rows [n, T]."""
    return tuple(part[:, None] for part in value) if isinstance(value, tuple) else value[:, None]
