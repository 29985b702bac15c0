"""The bid-ask spread of a market, estimated from its bars.

Prices that bounce between bid and ask look like reversals, which nobody can trade. The estimate is EDGE (Ardia,
Guidotti and Kroencke 2024, Efficient estimation of bid-ask spreads from open, high, low, and close prices, Journal of
Financial Economics 161), by the authors' package. It averages two moments, weighted by their variances. The second one
takes a bar's open for a trade of its own. Where opens are made from the last close it vanishes and gets all the weight,
and EDGE answers 0; there the first moment is used alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tunesmith.domain.array_types import Floats
from tunesmith.domain.market.bars import Bars

N_BLOCKS = 20
"""Blocks of time, of equal length, whose means tell how exact the estimate is."""
_LEAST_BARS = 3 * N_BLOCKS
_REPEATED = 0.75
"""Share of opens that repeat the last close from which on they are no trades of their own.

Of true trades at bid and ask one half repeats the last price while the market stands still: 44 to 53 % on the hourly
candles of large exchanges. At 75 % the second moment is half of what it should be.
"""
_CONTRADICTED = 3.0
"""Standard errors by which the first moment is above EDGE where opens are the last closes but for a trifle."""
_SIGNIFICANT = 2.0


@dataclass(frozen=True, slots=True)
class Spread:
    """A market's whole spread, all of it as fractions of the price; NaN where the bars do not define it.

    `estimate` is negative where its square is. `error` is the estimate's standard error, from that of its square.
    `least_told` is the smallest spread that these bars can tell from none: whose square is twice the square's standard
    error. `used` is the estimate where it is that large, and 0 where it is not. `roll` is Roll's (1984) estimate from
    the covariance of successive returns; it doubles where prices really revert, so it is only reported.
    `first_alone`: opens were made from the last closes, so that EDGE's first moment was used alone.
    """

    estimate: float
    error: float
    least_told: float
    used: float
    roll: float
    first_alone: bool


def spread_of(bars: Bars, first: int = 0) -> Spread:
    """Estimate the spread from the bars `first` and later ones; fewer than 60 bars tell of none."""
    prices: list[Floats] = [getattr(bars, name)[first:] for name in ("open", "high", "low", "close")]
    opens, closes = prices[0], prices[3]
    roll = _roll(closes)
    moments = squared_spreads(*prices) if len(closes) >= _LEAST_BARS else None
    if moments is None:
        return Spread(math.nan, math.nan, math.nan, 0.0, roll, first_alone=False)
    by_first, by_both = moments
    repeated = float(np.mean(opens[1:] == closes[:-1]))
    above = float((by_first - by_both).mean())
    alone = repeated > _REPEATED or (above > 0.0 and above >= _CONTRADICTED * _error(by_first - by_both))
    squares = by_first if alone else by_both
    estimate = _signed_root(float(by_first.mean())) if alone else _edge(*prices)
    of_square = _error(squares)
    error = of_square / (2.0 * abs(estimate)) if estimate != 0.0 else math.nan
    told = estimate > 0.0 and estimate * estimate >= _SIGNIFICANT * of_square
    least_told = math.sqrt(_SIGNIFICANT * of_square)
    return Spread(estimate, error, least_told, estimate if told else 0.0, roll, alone)


def squared_spreads(opens: Floats, highs: Floats, lows: Floats, closes: Floats) -> tuple[Floats, Floats] | None:
    """Of each bar but the first two squared spreads, float64[n - 1] each: by the first moment, and by both as EDGE.

    The mean of the latter is the square of EDGE's estimate. None where prices move too little for an estimate.
    """
    o, h, low, c = (np.log(prices) for prices in (opens, highs, lows, closes))
    middle = (h + low) / 2.0
    h1, l1, c1, m1 = h[:-1], low[:-1], c[:-1], middle[:-1]
    o, h, low, middle = o[1:], h[1:], low[1:], middle[1:]
    moved = ((h != low) | (low != c1)).astype(np.float64)
    at_open = float((moved * (o != h)).mean() + (moved * (o != low)).mean())
    at_close = float((moved * (c1 != h1)).mean() + (moved * (c1 != l1)).mean())
    if moved.sum() < 2 or at_open == 0.0 or at_close == 0.0:
        return None

    def centred(returns: Floats) -> Floats:
        return np.asarray(returns - returns.mean() / moved.mean() * moved)

    from_open, from_close, between = centred(middle - o), centred(middle - c1), centred(o - c1)
    first = -4.0 / at_open * from_open * (o - m1) - 4.0 / at_close * from_close * (c1 - m1)
    second = -4.0 / at_open * from_open * (o - c1) - 4.0 / at_close * between * (c1 - m1)
    v1, v2 = float(first.var()), float(second.var())
    share = v2 / (v1 + v2) if v1 + v2 > 0.0 else 0.5
    return np.asarray(first), np.asarray(share * first + (1.0 - share) * second)


def _error(squares: Floats) -> float:
    """The standard error of the mean of `squares` float64[n], from blocks, as successive bars are not independent."""
    length = len(squares) // N_BLOCKS
    means = squares[: N_BLOCKS * length].reshape(N_BLOCKS, length).mean(axis=1)
    return float(means.std(ddof=1)) / math.sqrt(N_BLOCKS)


def _edge(opens: Floats, highs: Floats, lows: Floats, closes: Floats) -> float:
    # Imported here, as it brings pandas with it, which processes that estimate no spread need not load.
    from bidask import edge

    return float(edge(opens, highs, lows, closes, sign=True))


def _signed_root(square: float) -> float:
    return math.copysign(math.sqrt(abs(square)), square)


def _roll(closes: Floats) -> float:
    returns = np.diff(np.log(closes))
    if len(returns) < 3:
        return math.nan
    return 2.0 * math.sqrt(max(0.0, -float(np.cov(returns[1:], returns[:-1])[0, 1])))
