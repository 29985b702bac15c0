"""Range queries over one market equal plain loops, also where rounding would eat a calm stretch after a wild one."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference.cases import random_bars
from tunesmith.compute.kernels.masks import packed, unpacked
from tunesmith.compute.simulation import range_tables as tables_of
from tunesmith.compute.simulation.arrays import Conditions, Sides
from tunesmith.compute.simulation.holdings import find_signalled_nb
from tunesmith.compute.simulation.run import prepare
from tunesmith.compute.simulation.signal_reading import next_signal_nb


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(2, 200), data=st.data())
@settings(max_examples=60, deadline=None)
def test_queries_equal_plain_loops(seed: int, n: int, data: st.DataObject) -> None:
    bars = random_bars(np.random.default_rng(seed), n)
    prepared = prepare(bars)
    market, tables = prepared.market, prepared.tables
    start = data.draw(st.integers(1, n - 1))
    stop = data.draw(st.integers(start + 1, n))
    returns = [market.close[t] / market.close[t - 1] - 1.0 for t in range(start, stop)]
    wanted = [
        (tables_of.SUM, math.fsum(returns)),
        (tables_of.SQUARES, math.fsum(r * r for r in returns)),
        (tables_of.DOWNSIDE, math.fsum(r * r for r in returns if r < 0)),
    ]
    for column, total in wanted:
        assert tables_of.stretch_sum_nb(tables.sums, column, start, stop) == pytest.approx(total, rel=1e-12, abs=1e-17)
    peak, worst = 101.0, 0.01
    slow_peak, slow_worst = peak, worst
    for price in market.close[start:stop]:
        slow_peak = max(slow_peak, price)
        slow_worst = max(slow_worst, 1.0 - price / slow_peak)
    found = tables_of.stretch_drawdown_nb(market.close, tables, start, stop, peak, worst)
    assert found == pytest.approx((slow_peak, slow_worst), rel=1e-14)
    low, high = data.draw(st.sampled_from([60.0, 90.0, 99.0])), data.draw(st.sampled_from([101.0, 120.0, math.inf]))
    touched = [t for t in range(start, stop) if market.low[t] <= low or market.high[t] >= high]
    assert tables_of.first_touch_nb(market, tables, start, stop, low, high) == (touched[0] if touched else stop)


@pytest.mark.parametrize("drift", [0.004, 0.0, -0.002])
def test_long_stretches_of_rising_and_falling_markets_equal_plain_loops(drift: float) -> None:
    rng = np.random.default_rng(3)
    close = 100.0 * np.exp(np.cumsum(rng.normal(drift, 0.01, 5000)))
    market = prepare(random_bars(rng, len(close))).market._replace(close=close)
    tables = tables_of.build_tables(market)
    for start, length in zip(rng.integers(0, 4900, 400), rng.integers(1, 3000, 400), strict=True):
        stretch = close[start : start + length]
        stop = int(start) + len(stretch)
        worst = float((1.0 - stretch / np.maximum.accumulate(stretch)).max())
        assert tables_of.own_drawdown_nb(close, tables, int(start), stop) == pytest.approx(worst, rel=1e-13)
        extremes = tables_of.stretch_extremes_nb(close, tables, int(start), stop)
        assert extremes == (stretch.max(), stretch.min())


def test_a_calm_stretch_after_a_crash_keeps_its_digits() -> None:
    rng = np.random.default_rng(0)
    close = 100.0 * np.cumprod(1.0 + np.concatenate([[0.0, -0.5, 1.0, -0.9], rng.normal(0, 1e-6, 20_000)]))
    market = prepare(random_bars(rng, len(close))).market._replace(close=close)
    sums = tables_of.build_tables(market).sums
    returns = close[1:] / close[:-1] - 1.0
    for start, stop in ((19_000, 19_010), (5, 20_000)):
        exact = math.fsum(r * r for r in returns[start - 1 : stop - 1])
        assert tables_of.stretch_sum_nb(sums, tables_of.SQUARES, start, stop) == pytest.approx(exact, rel=1e-13)


@given(
    density=st.sampled_from([0.0, 0.01, 0.3]),
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 400),
    data=st.data(),
)
@settings(max_examples=60, deadline=None)
def test_scans_equal_plain_searches(density: float, seed: int, n: int, data: st.DataObject) -> None:
    rng = np.random.default_rng(seed)
    rows = (rng.random((4, 2, n)) < density).astype(np.uint8)
    conditions = Conditions(*map(packed, rows))
    start = data.draw(st.integers(0, n))
    enter_long, exit_long, enter_short, exit_short = (row[1] != 0 for row in rows)
    long, short = enter_long & ~exit_long, enter_short & ~exit_short
    wanted = [
        (0.0, (1.0, 0.0), long),
        (0.0, (0.0, 1.0), short),
        (0.0, (1.0, 1.0), long ^ short),
        (1.0, (1.0, 0.0), exit_long),
        (-1.0, (0.0, 1.0), exit_short),
        (1.0, (1.0, 1.0), exit_long | (enter_short & ~exit_short & ~enter_long)),
        (-1.0, (1.0, 1.0), exit_short | (enter_long & ~exit_long & ~enter_short)),
        (0.0, (0.0, 0.0), np.zeros(n, bool)),
    ]
    for side, trades, asked in wanted:
        hits = np.flatnonzero(asked[start:])
        expected = start + int(hits[0]) if len(hits) else n
        assert next_signal_nb(conditions, 1, n, start, side, Sides(*trades)) == expected


@given(
    densities=st.tuples(*[st.sampled_from([0.0, 0.01, 0.1, 0.5, 0.95])] * 2),
    lag=st.integers(0, 1),
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 400),
    data=st.data(),
)
@settings(max_examples=100, deadline=None)
def test_trades_of_signals_alone_are_those_found_bar_by_bar(
    densities: tuple[float, float], lag: int, seed: int, n: int, data: st.DataObject
) -> None:
    rng = np.random.default_rng(seed)
    enter, leave = ((rng.random(n) < density).astype(np.uint8) for density in densities)
    start = data.draw(st.integers(0, n - 1))
    expected: list[list[int]] = []
    is_held = False
    for t in range(start, n):
        if is_held and leave[t]:
            expected[-1][1] = min(t + lag, n)
            is_held = False
        elif not is_held and enter[t] and not leave[t]:
            expected.append([t + lag, n])
            is_held = True
    times = np.empty((n + 2, 2), np.int64)
    found = find_signalled_nb(packed(enter), packed(leave), start, lag, n, times)
    assert times[:found].tolist() == [trade for trade in expected if trade[0] < n]


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(0, 200))
@settings(max_examples=30, deadline=None)
def test_masks_hold_one_bit_a_bar(seed: int, n: int) -> None:
    flags = np.random.default_rng(seed).integers(0, 2, (3, n), np.uint8)
    masks = packed(flags)
    assert masks.shape == (3, -(-n // 64))
    assert [int(mask) >> (t % 64) & 1 for t in range(n) for mask in masks[:, t // 64]] == flags.T.ravel().tolist()
    np.testing.assert_array_equal(unpacked(masks, n), flags)
