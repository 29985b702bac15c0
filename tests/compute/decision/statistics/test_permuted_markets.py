"""Permuted bars keep what they must; sequential p-values do not depend on who is quick; Stouffer against scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from tunesmith.compute.decision.statistics.permuted_markets import Sequential, combined, draw_order, permuted
from tunesmith.domain.market.bars import Bars, find_problems


def walk(n: int, seed: int) -> Bars:
    rng = np.random.default_rng(seed)
    close = 100.0 * np.exp(np.cumsum(rng.normal(0.0, 0.01, n)))
    opened = close * np.exp(rng.normal(0.0, 0.003, n))
    spread = np.exp(np.abs(rng.normal(0.0, 0.004, n)))
    columns = {
        "open": opened,
        "high": np.maximum(opened, close) * spread,
        "low": np.minimum(opened, close) / spread,
        "close": close,
        "volume": rng.uniform(1.0, 9.0, n),
    }
    stamps = np.arange(n, dtype=np.int64) * 3_600_000
    return Bars.from_arrays(stamps, columns, symbol="WALK/X", timeframe="1h")


def relative(bars: Bars) -> np.ndarray:
    before = bars.close[:-1]
    return np.column_stack([getattr(bars, name)[1:] / before for name in ("open", "high", "low", "close")])


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 300), st.integers(0, 2**32), st.integers(0, 1000))
def test_every_bar_comes_back_whole_in_another_place(n: int, seed: int, index: int) -> None:
    bars = walk(n, seed % 1000)
    order = draw_order(n, seed, index)
    made = permuted(bars, order)
    assert sorted(order.tolist()) == list(range(n))
    np.testing.assert_allclose(relative(made), relative(bars)[order[1:] - 1], rtol=1e-12)
    np.testing.assert_array_equal(made.volume, bars.volume[order])
    np.testing.assert_array_equal(made.timestamp, bars.timestamp)
    assert made.close[-1] == pytest.approx(bars.close[-1], rel=1e-10)
    columns = {name: getattr(made, name) for name in ("open", "high", "low", "close", "volume")}
    assert find_problems(made.timestamp, columns) == []


def test_bars_before_the_start_stay() -> None:
    bars = walk(50, 1)
    made = permuted(bars, draw_order(50, 3, 0, start=20))
    np.testing.assert_allclose(made.close[:20], bars.close[:20], rtol=1e-12)
    assert (made.close[20:] != bars.close[20:]).any()


def test_draws_are_reproducible_and_differ() -> None:
    np.testing.assert_array_equal(draw_order(100, 7, 3), draw_order(100, 7, 3))
    assert (draw_order(100, 7, 3) != draw_order(100, 7, 4)).any()
    assert (draw_order(100, 7, 3) != draw_order(100, 8, 3)).any()


def slow_p(real: float, draws: list[float], stop_at: int) -> tuple[int, float]:
    reached = 0
    for b, value in enumerate(draws, 1):
        reached += value >= real - 1e-12
        if reached == stop_at:
            return b, reached / b
    return len(draws), (1 + reached) / (len(draws) + 1)


@given(
    st.lists(st.sampled_from([0.1, 0.5, 0.9, math.nan]), min_size=1, max_size=60),
    st.integers(1, 8),
    st.randoms(use_true_random=False),
)
def test_a_sequential_test_does_not_depend_on_the_order_of_arrival(
    draws: list[float], stop_at: int, random: object
) -> None:
    test = Sequential(real=0.5, n_draws=len(draws), stop_at=stop_at)
    chunks = [(start, draws[start : start + 7]) for start in range(0, len(draws), 7)]
    random.shuffle(chunks)  # type: ignore[attr-defined]
    for start, values in chunks:
        test.add(start, values)
    tally = test.tally
    assert (tally.n, tally.p) == slow_p(0.5, draws, stop_at)
    assert tally.over


def test_a_draw_below_by_rounding_reaches() -> None:
    assert Sequential(real=1.0, n_draws=1, stop_at=5).add(0, [1.0 - 1e-13]).p == 1.0
    assert Sequential(real=1.0, n_draws=1, stop_at=5).add(0, [1.0 - 1e-9]).p == 0.5


@given(st.floats(0.001, 0.999), st.floats(0.001, 0.999))
def test_stouffer_equals_scipy(a: float, b: float) -> None:
    theirs = scipy.stats.combine_pvalues([a, b], method="stouffer", weights=[math.sqrt(0.7), math.sqrt(0.3)])
    assert combined(a, b) == pytest.approx(theirs.pvalue, rel=1e-9)
