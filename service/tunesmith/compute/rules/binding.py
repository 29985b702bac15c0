"""A rule bound to bars and points: rows once for each distinct value, then signals for any range of points.

1. For every family of rows, the distinct combinations of the values that they depend on (`families`).
2. Rows in the plan's order, each from its arguments' rows; those that the conditions read stand in one matrix.
3. `signals(lo, hi)` hands the rows, their numbers and the scalars of these points to the compiled conditions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tunesmith.compute.codegen.emit import MARGIN
from tunesmith.compute.codegen.families import Needs
from tunesmith.compute.codegen.indicator_rows import as_column, compute_rows
from tunesmith.compute.codegen.rule_plan import Plan
from tunesmith.compute.graph.elementwise import evaluate
from tunesmith.compute.graph.nodes import reachable
from tunesmith.compute.kernels.buffers import New
from tunesmith.compute.kernels.generated_kernels import Kernel, load_kernel
from tunesmith.compute.kernels.masks import BITS, n_words_of, unpacked
from tunesmith.compute.language.points import check_points, point_values
from tunesmith.compute.language.program import Rule
from tunesmith.compute.rules.strategy import Strategy
from tunesmith.compute.simulation.signals import Level, Signals
from tunesmith.compute.simulation.single_precision import rough_rows
from tunesmith.domain.array_types import Bytes, Floats, Ints, Words
from tunesmith.domain.market.bars import Bars
from tunesmith.errors import Invalid


@dataclass(frozen=True, slots=True, eq=False)
class Bound:
    """A rule on bars for n points. Read-only: `signals` may be called from several threads at once.

    `rows` float64[R, T] are the middle of `flat`, which the kernel reads; `rough` and `known` are the same rounded and
    where they are defined, when it asks for them; `index` int64[n, L]: which row each leaf of a point is; `values`
    float64[n, Q]: its scalars;
    `warmup` int64[n]: the first bar at which every indicator that the point uses is defined (T where none is);
    `first_flags` uint8[C, n] and `first_prices` float64[P, n]: what bar 0 says, where the kernel leaves it out.
    """

    n_points: int
    n_bars: int
    rows: Floats
    flat: Floats
    rough: NDArray[np.float32]
    known: Words
    index: Ints
    values: Floats
    warmup: Ints
    plan: Plan
    fractions: dict[str, Floats]
    max_holding: Ints | None
    first_flags: Bytes
    first_prices: Floats
    kernel: Kernel

    @property
    def bytes_a_point(self) -> int:
        """Memory that `masks` writes for a point, about: of prices, a line of 64 bytes in 32 bars."""
        return 8 * n_words_of(self.n_bars) * len(self.plan.conditions) + 2 * self.n_bars * len(self.plan.prices)

    def signals(self, lo: int, hi: int) -> Signals:
        """Signals of the points lo to hi (exclusive): conditions as bytes, prices at every bar."""
        signals = self.masks(lo, hi, everywhere=True)
        for name in self.plan.conditions:
            setattr(signals, name, unpacked(getattr(signals, name), self.n_bars))
        return signals

    def masks(self, lo: int, hi: int, *, everywhere: bool = False, new: New = np.empty) -> Signals:
        """The same with conditions as masks, and prices at the bars that enter alone; releases the GIL meanwhile.

        `new` makes the memory.
        """
        n = hi - lo
        words = new((len(self.plan.conditions), n, n_words_of(self.n_bars)), np.uint64)
        prices = new((len(self.plan.prices), n, self.n_bars), np.float64)
        scratch = np.empty((self.plan.n_scratch, BITS))
        extent = (self.n_bars, lo, hi, int(everywhere))
        self.kernel(self.flat, self.rough, self.known, self.index, self.values, extent, scratch, words, prices)
        if self.plan.looks_back:
            words[:, :, 0] = (words[:, :, 0] & ~np.uint64(1)) | self.first_flags[:, lo:hi]
            prices[:, :, 0] = self.first_prices[:, lo:hi]
        signals = Signals(n, self.n_bars)
        for name, word in zip(self.plan.conditions, words, strict=True):
            setattr(signals, name, word)
        for name, price in zip(self.plan.prices, prices, strict=True):
            setattr(signals, name, Level(price=price))
        for name, fraction in self.fractions.items():
            setattr(signals, name, Level(fraction=fraction[lo:hi]))
        signals.max_holding = None if self.max_holding is None else self.max_holding[lo:hi]
        return signals


def bind(strategy: Strategy, bars: Bars, points: Floats, *, n_threads: int = 1, new: New = np.empty) -> Bound:
    """Compute every indicator of a rule for `points` float64[n, p] on `bars`, each distinct one once.

    Memory is 8 bytes a bar for each distinct row (see `row_bytes`), 12 where rows are rounded too; `new` makes it.
    Raises `Invalid` for a kernel strategy, for points outside the declared ranges, and for a longer timeframe that is
    no multiple of the bars'.
    """
    rule = _rule(strategy)
    check_points(strategy.parameters, points)
    plan = strategy.plan
    computed = compute_rows(rule.nodes, plan, bars, Needs(points), n_threads, new)
    n = len(points)
    index = np.empty((n, len(plan.leaves)), np.int64)
    warmup = np.zeros(n, np.int64)
    for i, (leaf, lag) in enumerate(zip(plan.leaves, plan.lags, strict=True)):
        index[:, i] = computed.row[leaf]
        np.maximum(warmup, computed.warmup[leaf] + lag, out=warmup)
    return Bound(
        n,
        len(bars),
        computed.matrix,
        computed.flat,
        *rough_rows(computed.flat, computed.matrix if plan.reads_rough else computed.matrix[:0], MARGIN, new),
        index,
        _scalars(rule, plan.scalars, points),
        np.minimum(warmup, len(bars)),
        plan,
        _fractions(rule, plan, points),
        _holding(rule, points),
        *_first_bar(rule, plan, points, computed.matrix[:, 0][index]),
        load_kernel(plan.source),
    )


def row_bytes(strategy: Strategy, n_bars: int, points: Floats) -> int:
    """Bytes of rows that `bind` would hold for `points` float64[n, p] on bars of this number: to size chunks by."""
    needs = Needs(points)
    return sum(len(needs.of(family)) for family in strategy.plan.families) * n_bars * _value_bytes(strategy)


def most_row_bytes(strategy: Strategy, n_bars: int) -> int:
    """What `row_bytes` is at most for each point, known without looking at points."""
    return sum(len(family.members) for family in strategy.plan.families) * n_bars * _value_bytes(strategy)


def _value_bytes(strategy: Strategy) -> int:
    return 12 if strategy.plan.reads_rough else 8


def _rule(strategy: Strategy) -> Rule:
    if strategy.rule is None:
        raise Invalid(f"{strategy.id} is not written in the rule language")
    return strategy.rule


def _scalars(rule: Rule, scalars: Sequence[int], points: Floats) -> Floats:
    values = point_values(rule.nodes, scalars, points)
    out = np.empty((len(points), len(scalars)))
    for i, number in enumerate(scalars):
        value = values[number]
        if rule.nodes[number].kind == "condition":
            true, false = value
            out[:, i] = np.where(true, 1.0, np.where(false, 0.0, np.nan))
        else:
            out[:, i] = value
    return out


def _first_bar(rule: Rule, plan: Plan, points: Floats, leaves: Floats) -> tuple[Bytes, Floats]:
    """Conditions uint8[C, n] and prices float64[P, n] at bar 0, whose leaves are float64[n, L]; none is before it."""
    flags = np.zeros((len(plan.conditions), len(points)), np.uint8)
    prices = np.empty((len(plan.prices), len(points)))
    if not plan.looks_back:
        return flags, prices
    targets = dict((*rule.conditions, *rule.levels))
    known = {n: as_column(v) for n, v in point_values(rule.nodes, plan.scalars, points).items()}
    known |= {leaf: leaves[:, i : i + 1] for i, leaf in enumerate(plan.leaves)}
    order = reachable(rule.nodes, [targets[name] for name in (*plan.conditions, *plan.prices)], known.__contains__)
    values = evaluate(rule.nodes, order, known)
    for flag, name in zip(flags, plan.conditions, strict=True):
        flag[:] = values[targets[name]][0].ravel()
    for price, name in zip(prices, plan.prices, strict=True):
        price[:] = values[targets[name]].ravel()
    return flags, prices


def _fractions(rule: Rule, plan: Plan, points: Floats) -> dict[str, Floats]:
    values = point_values(rule.nodes, [node for _, node in plan.fractions], points)
    fractions = {}
    for name, node in plan.fractions:
        value = np.broadcast_to(values[node], len(points))
        fractions[name] = np.where((value > 0) & np.isfinite(value), value, np.nan)
    return fractions


def _holding(rule: Rule, points: Floats) -> Ints | None:
    if rule.max_holding is None:
        return None
    value = point_values(rule.nodes, [rule.max_holding], points)[rule.max_holding]
    bars: Ints = np.nan_to_num(np.broadcast_to(value, len(points))).astype(np.int64)
    return bars
