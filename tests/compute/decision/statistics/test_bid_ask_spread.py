"""The estimated spread: EDGE where opens differ, its first moment where they repeat, and what the bars cannot tell."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from bidask import edge

from benchmarks.made_markets import walk
from benchmarks.untradable import N_BARS, Cell, make_market
from tunesmith.compute.decision.statistics.bid_ask_spread import N_BLOCKS, spread_of, squared_spreads
from tunesmith.domain.market.bars import Bars

SAMPLE = Path(__file__).resolve().parents[4] / "service" / "tunesmith" / "sample" / "BTC_USDT-1h.parquet"
NAMES = ("open", "high", "low", "close")


def apart(bars: Bars, rng: np.random.Generator, gap: float) -> Bars:
    """The bars with opens beside the last close."""
    opens = bars.open * np.exp(gap * rng.standard_normal(len(bars)))
    return replace(bars, open=opens, high=np.maximum(bars.high, opens), low=np.minimum(bars.low, opens))


@pytest.mark.parametrize("half", [0.0, 0.0005, 0.002, 0.005])
def test_it_is_the_authors_estimate_where_opens_differ(half: float) -> None:
    rng = np.random.default_rng(int(1e5 * half))
    bars = make_market(rng, Cell("walk", 0.004, half, 0.0), own_opens=True)
    theirs = edge(*(getattr(bars, name)[100:] for name in NAMES), sign=True)
    found = spread_of(bars, 100)
    assert not found.first_alone
    assert found.estimate == theirs
    moments = squared_spreads(*(getattr(bars, name)[100:] for name in NAMES))
    assert moments is not None
    squares = moments[1]
    assert math.copysign(math.sqrt(abs(squares.mean())), squares.mean()) == pytest.approx(theirs, abs=1e-9)


def test_a_spread_is_told_where_opens_repeat_and_the_authors_estimate_is_zero() -> None:
    for seed, (sigma, half) in enumerate([(0.004, 0.001), (0.004, 0.002), (0.01, 0.005), (0.01, 0.003)]):
        bars = make_market(np.random.default_rng(seed), Cell("walk", sigma, half, 0.0))
        assert edge(*(getattr(bars, name) for name in NAMES)) == pytest.approx(0.0, abs=1e-6)
        found = spread_of(bars)
        assert found.first_alone
        assert found.used == found.estimate == pytest.approx(2.0 * half, rel=0.12)
        assert abs(found.estimate - 2.0 * half) < 4.0 * found.error


def test_opens_that_are_the_last_close_but_for_a_trifle_hide_no_spread() -> None:
    for seed, (sigma, half) in enumerate([(0.004, 0.002), (0.004, 0.005), (0.01, 0.005)]):
        rng = np.random.default_rng(seed)
        bars = apart(make_market(rng, Cell("walk", sigma, half, 0.0)), rng, gap=0.00002)
        assert edge(*(getattr(bars, name) for name in NAMES)) < 0.2 * half
        found = spread_of(bars)
        assert found.first_alone
        assert found.used == pytest.approx(2.0 * half, rel=0.12)


def test_opens_that_are_trades_of_their_own_are_left_to_the_authors_estimate() -> None:
    """Hourly candles of a market whose spread is below a basis point: half of the opens repeat the last close."""
    bars = Bars.read(SAMPLE, symbol="BTC/USDT", timeframe="1h")
    assert 0.4 < np.mean(bars.open[1:] == bars.close[:-1]) < 0.6
    found = spread_of(bars)
    assert not found.first_alone
    assert abs(found.estimate) < 0.0001


def test_twenty_basis_points_are_kept_and_none_is_rarely_seen() -> None:
    """The design's simulation: 93 to 97 % of markets without a spread show none; 20 bp at .4 % a bar always show."""
    rng = np.random.default_rng(20_261_315)
    none = [spread_of(make_market(rng, Cell("walk", 0.01, 0.0, 0.0))).used for _ in range(40)]
    assert sum(used > 0.0 for used in none) <= 6
    kept = [spread_of(make_market(rng, Cell("walk", 0.004, 0.001, 0.0))).used for _ in range(20)]
    assert min(kept) > 0.0
    assert np.median(kept) == pytest.approx(0.002, rel=0.1)


def test_the_error_is_that_of_twenty_blocks() -> None:
    bars = make_market(np.random.default_rng(3), Cell("walk", 0.004, 0.001, 0.0))
    found = spread_of(bars)
    moments = squared_spreads(*(getattr(bars, name) for name in NAMES))
    assert moments is not None
    squares = moments[0]
    length = (N_BARS - 1) // N_BLOCKS
    means = [np.mean(squares[i * length : (i + 1) * length]) for i in range(N_BLOCKS)]
    of_square = np.std(means, ddof=1) / math.sqrt(20)
    assert found.least_told == pytest.approx(math.sqrt(2 * of_square))
    assert found.error == pytest.approx(of_square / (2 * found.estimate))
    assert found.estimate**2 == pytest.approx(squares.mean())


def test_too_few_bars_and_prices_that_stand_still_tell_of_no_spread() -> None:
    bars = walk(np.random.default_rng(1), 59)
    assert (spread_of(bars).used, math.isnan(spread_of(bars).estimate)) == (0.0, True)
    still = replace(bars.slice(0, 59), **{name: np.full(59, 100.0) for name in NAMES})
    assert math.isnan(spread_of(still).estimate)
    long = walk(np.random.default_rng(1), 200)
    still = replace(long, **{name: np.full(200, 100.0) for name in NAMES})
    assert (spread_of(still).used, spread_of(still).roll) == (0.0, 0.0)
    assert math.isnan(spread_of(still).error)


def test_rolls_estimate_is_only_reported_as_it_takes_reversion_for_spread() -> None:
    bounce = spread_of(make_market(np.random.default_rng(9), Cell("walk", 0.004, 0.002, 0.0)))
    assert bounce.roll == pytest.approx(0.004, rel=0.1)
    reverting = spread_of(make_market(np.random.default_rng(9), Cell("ou4", 0.01, 0.0002, 0.0)))
    assert reverting.roll > 1.5 * reverting.estimate
