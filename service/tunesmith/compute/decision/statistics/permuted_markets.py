"""Permuted markets and the p-values of tests on them.

A permuted market has the same bars in another order: each bar keeps its open, high, low and close relative to the close
before it, and its volume, so that drift, volatility and costs stay while whatever the order told is gone (Aronson &
Masters; White 2000 for the null that the search itself is re-run on).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from tunesmith.domain.array_types import Ints
from tunesmith.domain.market.bars import Bars

TIE = 1e-12
"""A permuted statistic this much below the real one counts as reaching it: rounding shall not decide."""


def draw_order(n_bars: int, seed: int, index: int, start: int = 1) -> Ints:
    """The order of the bars in permutation `index` of the test `seed`: int64[n_bars].

    Bars before `start` stay where they are; the first always does, as nothing comes before it. Streams of different
    indices are independent (`numpy.random.SeedSequence`, as its `spawn` makes them).
    """
    fixed = max(1, start)
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(index,)))
    return np.concatenate([np.arange(fixed), fixed + rng.permutation(n_bars - fixed)])


def draw_orders(timestamps: Sequence[Ints], seed: int, index: int, starts: Sequence[int]) -> list[Ints]:
    """The orders of several markets' bars in permutation `index` of the test `seed`: int64[n_bars] for each market.

    `timestamps` int64[n_bars] of each. Bars that open at the same times in all of them take the same places, so that
    what the markets have in common stays while its order goes; the bars of one market that another lacks change places
    among themselves. Bars before a market's `starts` stay, as does its first. One market moves as by `draw_order`.
    """
    return orders_of(timestamps, np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(index,))), starts)


def orders_of(timestamps: Sequence[Ints], rng: np.random.Generator, starts: Sequence[int]) -> list[Ints]:
    """The orders of several markets' bars, as `draw_orders` has them, drawn from `rng`."""
    fixed = [max(1, start) for start in starts]
    shared = functools.reduce(np.intersect1d, [stamps[begin:] for stamps, begin in zip(timestamps, fixed, strict=True)])
    moved = rng.permutation(len(shared))
    orders = []
    for stamps, begin in zip(timestamps, fixed, strict=True):
        order = np.arange(len(stamps))
        places = np.searchsorted(stamps, shared)
        order[places] = places[moved]
        own = (
            np.setdiff1d(order[begin:], places, assume_unique=True) if len(places) < len(stamps) - begin else order[:0]
        )
        order[own] = own[rng.permutation(len(own))]
        orders.append(order)
    return orders


def permuted(bars: Bars, order: Ints) -> Bars:
    """`bars` with bar order[i] in place i; timestamps and the first close stay.

    `order` int64[T] must hold every index once and begin with 0. Linear.
    """
    before = np.concatenate([bars.close[:1], bars.close[:-1]])
    steps = (bars.close / before)[order]
    steps[0] = 1.0
    close = bars.close[0] * np.cumprod(steps)
    base = np.concatenate([bars.close[:1], close[:-1]])
    moved = {name: (getattr(bars, name) / before)[order] * base for name in ("open", "high", "low")}
    high = np.maximum.reduce([moved["high"], moved["open"], moved["low"], close])
    low = np.minimum.reduce([moved["low"], moved["open"], close])
    return replace(bars, open=moved["open"], high=high, low=low, close=close, volume=bars.volume[order])


class Tally(NamedTuple):
    """A test so far: `n` draws counted, `n_reached` of them reached the real statistic, and whether it is over."""

    n: int
    n_reached: int
    p: float
    over: bool


@dataclass
class Sequential:
    """A permutation test that stops when it has seen enough (Besag & Clifford 1991).

    Stopped at the `stop_at`-th draw that reaches the real statistic, on draw b, p = stop_at / b; otherwise after
    `n_draws`, p = (1 + reached) / (n_draws + 1). Draws count in the order of their index, whichever comes first.
    """

    real: float
    n_draws: int
    stop_at: int
    _waiting: dict[int, float] = field(default_factory=dict)
    _n: int = 0
    _n_reached: int = 0

    def add(self, index: int, statistics: Sequence[float]) -> Tally:
        """Take the statistics of the draws from number `index` on; NaN, a search without a winner, reaches nothing."""
        self._waiting.update({index + i: value for i, value in enumerate(statistics)})
        while self._n in self._waiting and not self.tally.over:
            value = self._waiting.pop(self._n)
            self._n += 1
            self._n_reached += value >= self.real - TIE
        return self.tally

    @property
    def tally(self) -> Tally:
        """Where the test stands."""
        stopped = self._n_reached >= self.stop_at
        p = self._n_reached / self._n if stopped else (1 + self._n_reached) / (self._n + 1)
        return Tally(self._n, self._n_reached, p, stopped or self._n >= self.n_draws)


def p_value(real: float, drawn: Sequence[float]) -> dict[str, float | int]:
    """How many of `drawn` reach the real statistic, and p = (1 + reached) / (n + 1); NaN reaches nothing."""
    n_reached = sum(value >= real - TIE for value in drawn)
    return {"p": (1 + n_reached) / (len(drawn) + 1), "n_reached": n_reached}


def combined(p_search: float, p_holdout: float, weight: float = 0.7) -> float:
    """Stouffer's p-value of two independent ones, z = √w · z₁ + √(1 - w) · z₂."""
    normal = NormalDist()
    z = math.sqrt(weight) * normal.inv_cdf(p_search) + math.sqrt(1.0 - weight) * normal.inv_cdf(p_holdout)
    return normal_cdf(z)


def normal_cdf(z: float) -> float:
    """Probability that a standard normal is at most `z`, with all its digits in the left tail too."""
    return 0.5 * math.erfc(-z / math.sqrt(2.0))
