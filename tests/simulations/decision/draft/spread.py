"""The bid-ask spread of a market, estimated from its bars.

Prices that bounce between bid and ask look like reversals that nobody can trade. The estimate is EDGE (Ardia, Guidotti
and Kroencke 2024, Efficient estimation of bid-ask spreads from open, high, low, and close prices, Journal of Financial
Economics 161), by the authors' package. Where opens repeat the last close one of its two moments vanishes and takes all
the weight, so that EDGE answers 0; there the other moment, the first in the paper's equation 14, is used alone.
"""

from __future__ import annotations

import math
import warnings
from typing import NamedTuple

import bidask
import numpy as np
from numpy.typing import NDArray

from tunesmith.domain.market.bars import Bars

N_BLOCKS = 20
"""Blocks of time that the estimate's standard error comes from."""
_REPEATED = 0.5
_SIGNIFICANT = 2.0

Prices = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]


class Spread(NamedTuple):
    """An estimate of the whole spread as a share of the price, its standard error, and whether it is told from 0.

    `roll` is Roll's (1984) estimate from the covariance of successive returns. It doubles where prices really revert, so
    it is only reported. `estimate` is 0 where it is not told from 0.
    """

    estimate: float
    raw: float
    error: float
    roll: float
    opens_repeat_closes: bool


def spread_of(bars: Bars, first: int = 0) -> Spread:
    """Estimate the spread of `bars` from bar `first` on. 0 where fewer bars than `N_BLOCKS` · 3 say nothing."""
    prices = tuple(getattr(bars, name)[first:] for name in ("open", "high", "low", "close"))
    opens, _, _, closes = prices
    repeats = len(closes) > 1 and bool(np.mean(opens[1:] == closes[:-1]) > _REPEATED)
    roll = _roll(closes)
    if len(closes) < 3 * N_BLOCKS:
        return Spread(0.0, math.nan, math.nan, roll, repeats)
    raw = _signed(prices, repeats)
    edges = np.linspace(0, len(closes), N_BLOCKS + 1).astype(int)
    blocks = [_signed(tuple(p[a:b] for p in prices), repeats) for a, b in zip(edges[:-1], edges[1:], strict=True)]
    known = np.array([value for value in blocks if math.isfinite(value)])
    error = float(np.std(known, ddof=1) / math.sqrt(len(known))) if len(known) > 1 else math.nan
    told = math.isfinite(raw) and math.isfinite(error) and raw > _SIGNIFICANT * error
    return Spread(raw if told else 0.0, raw, error, roll, repeats)


def _signed(prices: tuple[NDArray[np.float64], ...], repeats: bool) -> float:
    if repeats:
        return first_moment(*prices)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return float(bidask.edge(*prices, sign=True))


def first_moment(
    opens: NDArray[np.float64], highs: NDArray[np.float64], lows: NDArray[np.float64], closes: NDArray[np.float64]
) -> float:
    """EDGE's first moment alone as a signed spread; NaN where it is undefined. Arrays float64[n], in order of time."""
    o, h, low, c = np.log(opens), np.log(highs), np.log(lows), np.log(closes)
    mid = (h + low) / 2.0
    h1, l1, c1, m1 = h[:-1], low[:-1], c[:-1], mid[:-1]
    o, h, low, mid = o[1:], h[1:], low[1:], mid[1:]
    moved = ((h != low) | (low != c1)).astype(np.float64)
    p_open = float((moved * (o != h)).mean() + (moved * (o != low)).mean())
    p_close = float((moved * (c1 != h1)).mean() + (moved * (c1 != l1)).mean())
    if moved.sum() < 2 or p_open == 0.0 or p_close == 0.0:
        return math.nan
    r1, r3 = mid - o, mid - c1
    d1 = r1 - r1.mean() / moved.mean() * moved
    d3 = r3 - r3.mean() / moved.mean() * moved
    square = float((-4.0 / p_open * d1 * (o - m1) - 4.0 / p_close * d3 * (c1 - m1)).mean())
    return math.copysign(math.sqrt(abs(square)), square)


def _roll(closes: NDArray[np.float64]) -> float:
    returns = np.diff(np.log(closes))
    if len(returns) < 3:
        return math.nan
    return 2.0 * math.sqrt(max(0.0, -float(np.cov(returns[1:], returns[:-1])[0, 1])))
