"""Rows of a rule: every indicator, once for each distinct combination of the values that it depends on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tunesmith.compute.codegen.emit import MARGIN
from tunesmith.compute.codegen.families import Family, Needs
from tunesmith.compute.codegen.longer_bars import LongerBars, first_known, longer_bars, spread
from tunesmith.compute.codegen.rule_plan import Plan, row_arguments
from tunesmith.compute.graph.elementwise import Value, evaluate
from tunesmith.compute.graph.nodes import ELEMENTWISE, Node, reachable
from tunesmith.compute.indicators.registry import ROW_FUNCTIONS
from tunesmith.compute.kernels.buffers import New
from tunesmith.compute.kernels.threads import in_blocks
from tunesmith.compute.language.points import point_values
from tunesmith.domain.array_types import Floats, Ints
from tunesmith.domain.market.bars import Bars

_BATCH_VALUES = 1 << 16
_WORTH_A_THREAD = 1 << 16


class Computed(NamedTuple):
    """Rows of families: `matrix` float64[R, T] holds those that conditions read, in the middle of `flat`, which has
    `emit.MARGIN` values more on either side; for each leaf `row` int64[n]: which of them each point reads, and `warmup`
    int64[n]: the first bar at which that row is defined."""

    flat: Floats
    matrix: Floats
    row: dict[int, Ints]
    warmup: dict[int, Ints]


def compute_rows(nodes: Sequence[Node], plan: Plan, bars: Bars, needs: Needs, n_threads: int, new: New) -> Computed:
    """All rows of `plan` on `bars` for the points of `needs`; what only rows need is dropped after its last use.

    `new` makes the memory of the rows that conditions read.
    """
    work = _Work(nodes, plan, bars, needs, n_threads)
    kept = [family for family in plan.families if not set(plan.leaves).isdisjoint(family.members)]
    starts = dict(zip(kept, np.cumsum([0, *(len(needs.of(family)) for family in kept)]).tolist(), strict=False))
    shape = (sum(len(needs.of(family)) for family in kept), len(bars))
    flat = new(shape[0] * shape[1] + 2 * MARGIN)
    matrix = flat[MARGIN : len(flat) - MARGIN].reshape(shape)
    last_use = {work.family[arg]: family for family in plan.families for arg in row_arguments(nodes, family.model)}
    for family in plan.families:
        count = len(needs.of(family))
        if family in starts:
            out = matrix[starts[family] : starts[family] + count]
        else:
            out = np.empty((count, work.length(family.model)))
        work.compute(family, out)
        for used in {work.family[arg] for arg in row_arguments(nodes, family.model)}:
            if last_use[used] is family and used not in starts:
                del work.rows[used]
    leaves = {leaf: (work.family[leaf], needs.of(work.family[leaf]).inverse[leaf]) for leaf in plan.leaves}
    return Computed(
        flat,
        matrix,
        {leaf: starts[family] + inverse for leaf, (family, inverse) in leaves.items()},
        {leaf: work.warmups[family][inverse] for leaf, (family, inverse) in leaves.items()},
    )


class _Work:
    """The rows computed so far."""

    def __init__(self, nodes: Sequence[Node], plan: Plan, bars: Bars, needs: Needs, n_threads: int) -> None:
        self._nodes, self._bars, self._needs, self._n_threads = nodes, bars, needs, n_threads
        self.family = {member: family for family in plan.families for member in family.members}
        self.rows: dict[Family, Floats] = {}
        self.warmups: dict[Family, Ints] = {}
        self._frames: dict[str, LongerBars] = {}

    def length(self, number: int) -> int:
        """Bars of the timeframe that a node is computed on."""
        frame = self._nodes[number].frame
        return len(self._bars) if frame is None else len(self._longer(frame))

    def compute(self, family: Family, out: Floats) -> None:
        """Fill `out` float64[k, T] with the distinct rows of a family."""
        node = self._nodes[family.model]
        self.rows[family] = out
        if node.op == "column":
            bars = self._bars if node.frame is None else self._longer(node.frame).bars
            if bars is not None:
                out[:] = getattr(bars, str(node.value))
            self.warmups[family] = np.zeros(len(out), np.int64)
            return
        arguments = row_arguments(self._nodes, family.model)
        rows = [self.rows[self.family[arg]] for arg in arguments]
        sources = self._sources(family)
        ready = np.zeros(len(out), np.int64)
        for (arg, back), source in zip(arguments.items(), sources, strict=True):
            np.maximum(ready, self.warmups[self.family[arg]][source] + back, out=ready)
        points = self._needs.examples(family)
        if node.op == "at":
            known = self._longer(str(node.value)).known
            spread(rows[0][sources[0]], known, out)
            self.warmups[family] = first_known(ready, known)
        elif node.op in ELEMENTWISE:
            self._elementwise(
                family.model, out, dict(zip(arguments, zip(rows, sources, strict=True), strict=True)), points
            )
            self.warmups[family] = ready
        else:
            given = [arg for arg in node.args if not self._nodes[arg].varies]
            values = point_values(self._nodes, given, points)
            numbers = [np.array(np.broadcast_to(values[arg], len(out)), np.float64) for arg in given]
            undefined = ~np.logical_and.reduce([np.ones(len(out), bool), *map(np.isfinite, numbers)])
            for number in numbers:
                number[undefined] = 2.0
            function = ROW_FUNCTIONS[node.op]

            def fill(lo: int, hi: int) -> None:
                part = slice(lo, hi)
                function.compute(out[part], rows, [s[part] for s in sources], [n[part] for n in numbers])

            if out.size >= _WORTH_A_THREAD:
                in_blocks(fill, len(out), -(-len(out) // (4 * self._n_threads)), self._n_threads)
            else:
                fill(0, len(out))
            out[undefined] = np.nan
            self.warmups[family] = ready + function.look_back(numbers)

    def _longer(self, timeframe: str) -> LongerBars:
        if timeframe not in self._frames:
            self._frames[timeframe] = longer_bars(self._bars, timeframe)
        return self._frames[timeframe]

    def _sources(self, family: Family) -> list[Ints]:
        """For each argument of a family, which of its rows each of the family's rows reads, int64[k]."""
        distinct = self._needs.of(family)
        sources = [np.empty(len(distinct), np.int64) for _ in row_arguments(self._nodes, family.model)]
        for i, member in enumerate(family.members):
            chosen = distinct.member == i
            for source, arg in zip(sources, row_arguments(self._nodes, member), strict=True):
                inverse = self._needs.of(self.family[arg]).inverse[arg]
                source[chosen] = inverse[distinct.point[chosen]]
        return sources

    def _elementwise(
        self,
        number: int,
        out: Floats,
        rows: dict[int, tuple[Floats, Ints]],
        points: Floats,
    ) -> None:
        order = reachable(self._nodes, [number], lambda n: n in rows or not self._nodes[n].varies)
        scalars = [n for n in order if not self._nodes[n].varies]
        step = max(1, _BATCH_VALUES // max(out.shape[1], 1))
        for start in range(0, len(out), step):
            batch = slice(start, min(start + step, len(out)))
            values = point_values(self._nodes, scalars, points[batch])
            known = {n: as_column(value) for n, value in values.items()}
            known |= {arg: row[source[batch]] for arg, (row, source) in rows.items()}
            out[batch] = evaluate(self._nodes, order, known)[number]


def as_column(value: Value) -> Value:
    """A point value or condition [n] as a column [n, 1], to meet rows [n, T]."""
    return tuple(part[:, None] for part in value) if isinstance(value, tuple) else value[:, None]
