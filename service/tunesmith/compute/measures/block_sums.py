"""What the decision asks of every trial: sums of its returns over blocks of time, at the speed of the search itself.

1. The points are walked as in a search, with their orders written down, in blocks of points that fit a buffer.
2. From the orders a kernel makes the sums: `block_kernel` says how.

Timing returns a_t = R_t - e * r_t (R the net return, r the market's, e the mean exposure) need no pass of their own:
their sums follow from those of R, r and R * r.
"""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from tunesmith.compute.measures.block_kernel import PRODUCTS, RETURN_SQUARES, RETURNS, BlockTerms, sum_blocks_nb
from tunesmith.compute.rules.binding import bind, row_bytes
from tunesmith.compute.rules.strategy import Strategy
from tunesmith.compute.simulation.arrays import N_ORDERS, N_TOTALS, Results
from tunesmith.compute.simulation.execution import Execution
from tunesmith.compute.simulation.run import (
    PreparedBars,
    check_start,
    empty_results,
    plain,
    prepare,
    terms_of,
    walk_signals,
)
from tunesmith.compute.strategies.stepped_run import walk_of
from tunesmith.domain.array_types import Floats, Ints
from tunesmith.domain.market.bars import Bars
from tunesmith.errors import Invalid

_MAX_CHUNK = 16_384
_ROW_BUDGET = 192 * 2**20
_SIGNAL_BUDGET = 2**20
_MAX_BLOCK = 512
_FIRST_ORDERS = 65_536


@dataclass(frozen=True, eq=False)
class BlockSums:
    """Sums over S blocks of `length` bars; NaN rows are points that break a require(…).

    `returns`, `squares`, `products` float64[n, S]: of R, R² and R * r; `exposure` float64[n]: the mean net exposure e
    over all bars of the account; `market`, `market_squares` float64[S]: of r and r².
    """

    length: int
    returns: Floats
    squares: Floats
    products: Floats
    exposure: Floats
    market: Floats
    market_squares: Floats

    @property
    def timing(self) -> Floats:
        """Sums of the timing returns, float64[n, S]."""
        return self.returns - self.exposure[:, np.newaxis] * self.market

    @property
    def timing_squares(self) -> Floats:
        """Sums of the squares of the timing returns, float64[n, S]."""
        e = self.exposure[:, np.newaxis]
        return self.squares - 2.0 * e * self.products + e * e * self.market_squares


def evaluate_blocks(
    strategy: Strategy,
    bars: Bars,
    points: Floats,
    execution: Execution,
    n_blocks: int,
    *,
    start: int = 0,
    n_threads: int = 1,
) -> BlockSums:
    """Block sums of `points` float64[n, p] over the bars from `start` on, whose first T mod S are left out of them.

    They are kept for every point, 24 bytes a block; beside that memory does not grow with their number. Raises
    `Invalid` for a start outside the bars and for more blocks than bars.
    """
    check_start(bars, start)
    length = (len(bars) - start) // n_blocks if n_blocks > 0 else 0
    if length < 1:
        raise Invalid(f"{len(bars) - start} bars cannot be cut into {n_blocks} blocks")
    points = np.ascontiguousarray(points, np.float64)
    prepared = prepare(bars)
    first = len(bars) - length * n_blocks
    terms = BlockTerms(float(execution.initial_cash), float(start), float(first), float(length))
    work = _Work(strategy, prepared, execution, terms)
    sums = np.full((len(points), 3, n_blocks), np.nan)
    exposure = np.full(len(points), np.nan)
    chosen = np.flatnonzero(strategy.valid(points))
    lo = 0
    while lo < len(chosen):
        rows = chosen[lo : lo + _chunk_length(strategy, len(bars), points, chosen[lo : lo + _MAX_CHUNK])]
        sums[rows], exposure[rows] = work.chunk(points[rows], n_blocks, n_threads)
        lo += len(rows)
    close = bars.close[start:]
    market = np.diff(close, prepend=close[:1]) / np.concatenate([close[:1], close[:-1]])
    market = market[first - start :].reshape(n_blocks, length)
    return BlockSums(
        length=length,
        returns=sums[:, RETURNS],
        squares=sums[:, RETURN_SQUARES],
        products=sums[:, PRODUCTS],
        exposure=exposure,
        market=market.sum(axis=1),
        market_squares=(market * market).sum(axis=1),
    )


@dataclass(frozen=True, eq=False)
class _Work:
    strategy: Strategy
    prepared: PreparedBars
    execution: Execution
    terms: BlockTerms

    def chunk(self, points: Floats, n_blocks: int, n_threads: int) -> tuple[Floats, Floats]:
        """Sums float64[n, 3, S] and exposures float64[n] of points that keep every require(…)."""
        sums, exposure = np.empty((len(points), 3, n_blocks)), np.empty(len(points))
        start = int(self.terms.start)
        if self.strategy.kind == "kernel":
            has = {"has_long": self.strategy.has_long, "has_short": self.strategy.has_short}
            terms, walk = terms_of(self.execution, start, **has), walk_of(self.strategy)
            fitting = _MAX_BLOCK

            def walk_range(lo: int, hi: int, out: Results) -> None:
                walk(self.prepared, points[lo:hi], terms, out)

        else:
            bound = bind(self.strategy, self.prepared.bars, points)
            a_point = (len(bound.plan.conditions) + 8 * len(bound.plan.prices)) * len(self.prepared.bars)
            fitting = max(_SIGNAL_BUDGET // a_point, 1)

            def walk_range(lo: int, hi: int, out: Results) -> None:
                walk_signals(self.prepared, bound.signals(lo, hi), self.execution, start, out)

        market = (plain(self.prepared.bars.close, np.float64), self.prepared.tables.sums)

        def work(lo: int, hi: int) -> None:
            out = empty_results(np.empty((hi - lo, N_TOTALS)), n_orders=_FIRST_ORDERS)
            walk_range(lo, hi, out)
            n_orders = int(out.totals[:, N_ORDERS].sum())
            if n_orders > _FIRST_ORDERS:
                out = empty_results(out.totals, n_orders=n_orders)
                walk_range(lo, hi, out)
            log = (out.orders, np.ascontiguousarray(out.totals[:, N_ORDERS]))
            sum_blocks_nb(log, market, tuple(self.terms), sums[lo:hi], exposure[lo:hi])

        length = max(1, min(fitting, _MAX_BLOCK, -(-len(points) // max(n_threads, 1))))
        edges = [*range(0, len(points), length), len(points)]
        if n_threads > 1 and len(edges) > 2:
            with ThreadPoolExecutor(n_threads) as pool:
                list(pool.map(work, edges[:-1], edges[1:]))
        else:
            for lo, hi in itertools.pairwise(edges):
                work(lo, hi)
        return sums, exposure


def _chunk_length(strategy: Strategy, n_bars: int, points: Floats, candidates: Ints) -> int:
    """How many of `candidates` to take at once, so that their indicator rows fit the budget."""
    length = len(candidates)
    while (
        strategy.kind == "rule"
        and length > 16
        and row_bytes(strategy, n_bars, points[candidates[:length]]) > _ROW_BUDGET
    ):
        length //= 2
    return length
