"""A market is known again by its moves, whatever was done to its candles, and no other market is taken for it."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.alterations import ALTERATIONS, DAY_MS, HOUR_MS, Closes, noisy, without_each
from benchmarks.real_closes import closes_of, coin_of, files_of
from tunesmith.domain.market.comparable_marks import Comparable
from tunesmith.domain.market.market_kinship import KIN, Kinship, common_moves, kinship

N = 3_000
BEGIN = 1_704_067_200_000
REAL = {
    "spot/BTC_USDT-5m.parquet": "5m",
    "spot/SOL_USDT-5m.parquet": "5m",
    "spot16/spot_1h/XRPUSDT.parquet": "1h",
    "binance15/spot_8h/DOGEUSDT.parquet": "8h",
    "spot16/spot_1d/TRXUSDT.parquet": "1d",
}


def made(seed: int, n: int = N, timeframe: str = "1h", step: int = HOUR_MS) -> Closes:
    """A walk whose moves are calm and wild by turns."""
    rng = np.random.default_rng(seed)
    size = 0.004 * np.exp(0.5 * np.sin(np.arange(n) / 50.0 + seed))
    return Closes(BEGIN + np.arange(n) * step, 300.0 * np.exp(np.cumsum(size * rng.standard_normal(n))), timeframe)


def between(own: Closes, other: Closes) -> Kinship | None:
    return kinship(Comparable(own.mark()), Comparable(other.mark()))


@cache
def real(shared: Path, name: str) -> tuple[Closes, Comparable]:
    whole = closes_of(shared, name, REAL[name])
    return whole.at(slice(-N, None)), Comparable(whole.at(slice(-2 * N, None)).mark())


@pytest.mark.parametrize("name", ALTERATIONS)
def test_a_made_up_market_is_known_again(name: str) -> None:
    own = made(1)
    altered = ALTERATIONS[name](own, np.random.default_rng(2))
    assert between(own, altered) is not None
    assert between(altered, own) is not None
    assert between(altered, made(3)) is None


@pytest.mark.parametrize("name", ALTERATIONS)
def test_real_markets_are_known_again(name: str, shared_data: Path) -> None:
    for file in REAL:
        closes, whole = real(shared_data, file)
        altered = Comparable(ALTERATIONS[name](closes, np.random.default_rng(2)).mark())
        assert kinship(altered, whole) is not None, file


def test_no_two_real_markets_are_taken_for_one_and_each_is_one_at_all_venues(shared_data: Path) -> None:
    some = {name: each for name, each in files_of(shared_data).items() if "spot_8h" not in name}
    marks = {
        name: Comparable(closes_of(shared_data, name, each).at(slice(-N, None)).mark()) for name, each in some.items()
    }
    n_kin = 0
    for (one, ours), (other, theirs) in itertools.combinations(marks.items(), 2):
        found = kinship(ours, theirs)
        if coin_of(one) != coin_of(other):
            assert found is None, (one, other, found)
        n_kin += found is not None
    for coin in ("BTC", "ETH", "SOL", "XRP", "DOGE", "BNB", "AVAX"):
        venues = [marks[f"xvenue7/{folder}/{coin}.parquet"] for folder in ("perp_1h/binance", "perp_1h/bybit")]
        found = kinship(*venues)
        assert found is not None
        assert (found.scale, found.offset_ms) == (1.0, 0)
    assert n_kin > 30


def test_the_closest_of_different_real_markets_are_far_from_kin(shared_data: Path) -> None:
    bitcoin, ether = (closes_of(shared_data, f"spot/{coin}_USDT-5m.parquet", "5m") for coin in ("BTC", "ETH"))
    likeness = max(abs(found.r) for found in common_moves(Comparable(bitcoin.mark()), Comparable(ether.mark())))
    assert 0.8 < likeness < 0.9 < KIN


def ticks(seed: int, share: float = 0.3) -> Closes:
    """A coin whose price of about 50 ticks moves by one, up or down, at some bars."""
    rng = np.random.default_rng(seed)
    moves = rng.choice([-1, 0, 1], N, p=[share / 2, 1.0 - share, share / 2])
    level = 50 + np.abs(np.cumsum(moves) % 40 - 20)
    return Closes(BEGIN + np.arange(N) * HOUR_MS, level * 1e-4, "1h")


def stale(seed: int) -> Closes:
    """A market that stands still at weekends."""
    closes = made(seed)
    still = (closes.time // DAY_MS + 4) % 7 >= 5
    last = np.maximum.accumulate(np.where(still, 0, np.arange(N)))
    return closes.priced(closes.close[last])


def standing(seed: int) -> Closes:
    """A price that never moves, and one that moves twice."""
    close = np.ones(N)
    close[N // 2 : N // 2 + 10] = 1.0 + 0.1 * (seed % 2)
    return made(seed).priced(close)


@pytest.mark.parametrize("kind", [made, ticks, stale, standing])
def test_markets_that_have_little_to_tell_are_not_taken_for_each_other(kind: Callable[[int], Closes]) -> None:
    marks = [Comparable(kind(seed).mark()) for seed in range(12)]
    others = [Comparable(other(90 + i).mark()) for i, other in enumerate((made, ticks, stale)) if other is not kind]
    for own, other in itertools.combinations([*marks, *others], 2):
        assert kinship(own, other) is None


@pytest.mark.parametrize("kind", [ticks, stale])
def test_ticks_and_stale_weekends_are_known_again_all_the_same(kind: Callable[[int], Closes]) -> None:
    closes = kind(1)
    for altered in (closes, closes.later(DAY_MS), closes.called("2h"), closes.priced(1.0 / closes.close[::-1])):
        assert between(closes, altered) is not None


def correlated(own: Closes, r: float, seed: int = 5) -> Closes:
    """Moves that correlate with those of `own` at r, as far as these are Gaussian."""
    moves = np.diff(np.log(own.close), prepend=np.log(own.close[0]))
    size = np.abs(moves)
    noise = np.random.default_rng(seed).standard_normal(len(moves)) * np.median(size[1:]) / 0.67
    return own.priced(np.exp(np.cumsum(r * moves + np.sqrt(1.0 - r * r) * noise)))


def even(n: int = N) -> Closes:
    close = np.exp(np.cumsum(0.004 * np.random.default_rng(1).standard_normal(n)))
    return Closes(BEGIN + np.arange(n) * HOUR_MS, close, "1h")


@pytest.mark.parametrize(("r", "kin"), [(0.99, True), (0.985, True), (0.97, False), (0.9, False)])
def test_the_limit_lies_at_a_correlation_of_98_hundredths(r: float, kin: bool) -> None:
    found = between(even(), correlated(even(), r))
    assert (found is not None) == kin
    assert found is None or found.r == pytest.approx(r, abs=0.003)


def test_fewer_than_fifty_equal_moves_in_other_company_are_no_market() -> None:
    own = even()
    for n, kin in ((40, False), (60, True)):
        moves = 0.004 * np.random.default_rng(3).standard_normal(N)
        moves[900 : 900 + n] = np.diff(np.log(own.close[200 : 201 + n]))
        assert (between(own, own.priced(np.exp(np.cumsum(moves)))) is not None) == kin


@pytest.mark.parametrize(
    ("altered", "scale", "offset_ms"),
    [
        (lambda c: c, 1.0, 0),
        (lambda c: c.later(DAY_MS), 1.0, -DAY_MS),
        (lambda c: without_each(noisy(c, np.random.default_rng(1), 1e-5), 8), 1.0, 0),
        (lambda c: c.made_into(4), 1.0, 0),
        (lambda c: c.called("2h"), 0.5, None),
        (lambda c: c.at(slice(500, 580)).called("2h"), 0.5, None),
        (lambda c: c.priced(c.close[::-1]), -1.0, None),
        (lambda c: c.at(slice(500, 580)).priced(c.close[500:580][::-1]), -1.0, None),
    ],
)
def test_kinship_says_when_theirs_happened_in_our_times(
    altered: Callable[[Closes], Closes], scale: float, offset_ms: int | None
) -> None:
    own = even()
    other = altered(own)
    found = between(own, other)
    assert found is not None
    assert found.scale == scale
    assert offset_ms is None or found.offset_ms == offset_ms
    middle = len(other.time) // 2
    price, length = other.close[middle], other.mark().length_ms
    ours_ms = found.scale * (other.time[middle] + length) + found.offset_ms
    at: NDArray[np.bool_] = np.isclose(own.close, price, rtol=1e-4)
    assert np.abs(own.time[at] + HOUR_MS - ours_ms).min() <= (HOUR_MS if scale < 0 else 0)


def test_a_few_bars_of_the_same_times_are_known_by_equal_moves() -> None:
    own = made(1, n=24 * 300)
    weeks = own.made_into(24 * 7)
    assert len(weeks.time) < 50
    assert between(own, weeks) is not None
    assert between(own, weeks.at(slice(0, 15))) is None, "too few to tell"
    assert between(made(2, n=24 * 300), weeks) is None
