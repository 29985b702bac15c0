"""Markets of which the truth is known: fourteen kinds without an edge, three with one planted, and grids to search.

Whatever is drawn comes from the generator that is passed in. Bars are daily where they are made up, and hourly where
real hourly candles are shuffled or drawn from. Made-up returns are simple ones, so that a walk without drift earns
nothing on average by being held.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.signal import lfilter

import tunesmith as ts
from tunesmith.compute.decision.inputs import WorkInputs
from tunesmith.compute.rules.strategy import Strategy
from tunesmith.domain.market.bars import Bars
from tunesmith.domain.market.timeframes import timeframe_ms
from tunesmith.domain.thresholds import Thresholds
from tunesmith.domain.trading import Direction
from tunesmith.notebook.study import Study

Rng = np.random.Generator
Floats = NDArray[np.float64]

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"
LENGTHS = (1500, 2000, 3000, 5000)
_START_MS = 1_262_304_000_000
_HALF = 2.0


def bars_of(steps: Floats, timeframe: str = "1d") -> Bars:
    """Bars from float64[T, 5]: open, high, low and close relative to the close before, and volume."""
    close = 100.0 * np.cumprod(steps[:, 3])
    before = np.concatenate([[100.0], close[:-1]])
    open_, high, low = (steps[:, i] * before for i in range(3))
    high = np.maximum.reduce([high, open_, close])
    low = np.minimum.reduce([low, open_, close])
    stamps = _START_MS + np.arange(len(steps), dtype=np.int64) * timeframe_ms(timeframe)
    columns = {"open": open_, "high": high, "low": low, "close": close, "volume": steps[:, 4]}
    return Bars.from_arrays(stamps, columns, symbol="MADE/UP", timeframe=timeframe)


def steps_of(bars: Bars) -> Floats:
    """The bars but the first as `bars_of` takes them."""
    before = bars.close[:-1]
    prices = [getattr(bars, name)[1:] / before for name in ("open", "high", "low", "close")]
    return np.stack([*prices, bars.volume[1:]], axis=1)


def moved(rng: Rng, returns: Floats, sigma: Floats | float) -> Bars:
    """Daily bars with these simple returns; each opens at the close before and reaches out as far as it may."""
    n = len(returns)
    close = 1.0 + np.maximum(returns, -0.5)
    high = np.maximum(1.0, close) * np.exp(0.5 * sigma * np.abs(rng.standard_normal(n)))
    low = np.minimum(1.0, close) * np.exp(-0.5 * sigma * np.abs(rng.standard_normal(n)))
    return bars_of(np.stack([np.ones(n), high, low, close, np.ones(n)], axis=1))


def walk(rng: Rng, n: int, sigma: float = 0.02, drift: float = 0.0) -> Bars:
    """Gaussian returns with a drift of `drift` standard deviations a bar."""
    return moved(rng, sigma * (drift + rng.standard_normal(n)), sigma)


def garch(rng: Rng, n: int, drift: float = 0.0) -> Bars:
    """GARCH(1, 1) with Student's t of 5 degrees of freedom: clusters of volatility, fat tails."""
    noise = rng.standard_t(5, n + 200) / np.sqrt(5.0 / 3.0)
    variance, returns = 0.02**2, np.empty(n + 200)
    sigmas = np.empty(n + 200)
    for t in range(n + 200):
        sigmas[t] = np.sqrt(variance)
        returns[t] = sigmas[t] * noise[t]
        variance = 0.02**2 * 0.03 + 0.07 * returns[t] ** 2 + 0.90 * variance
    return moved(rng, returns[200:] + drift * 0.02, sigmas[200:])


def jumping(rng: Rng, n: int) -> Bars:
    """A walk with a jump of a few deviations one bar in fifty, up as often as down."""
    jumps = (rng.random(n) < 0.02) * rng.standard_normal(n) * 0.08
    return moved(rng, 0.015 * rng.standard_normal(n) + jumps, 0.015)


def switching(rng: Rng, n: int) -> Bars:
    """Calm and wild months by turns, in which direction nobody knows."""
    wild = np.cumsum(rng.random(n) < 1.0 / 60.0) % 2
    sigma = np.where(wild, 0.035, 0.01)
    return moved(rng, sigma * rng.standard_normal(n), sigma)


@cache
def _real(name: str) -> tuple[Floats, str]:
    if name in ("GOOG", "EURUSD"):
        from backtesting import test  # type: ignore[import-untyped]

        frame: pd.DataFrame = getattr(test, name)
        timeframe = "1d" if name == "GOOG" else "1h"
        columns = {column.lower(): frame[column].to_numpy(float) for column in frame}
        stamps = _START_MS + np.arange(len(frame), dtype=np.int64) * timeframe_ms(timeframe)
        bars = Bars.from_arrays(stamps, columns, symbol=name, timeframe=timeframe)
    else:
        timeframe = "1h"
        bars = Bars.read(SHARED / "spot" / f"{name}_USDT-1h.parquet", symbol=name, timeframe=timeframe)
    return steps_of(bars), timeframe


def shuffled(rng: Rng, n: int, name: str) -> Bars:
    """Real bars in another order; as many as there are, where they are fewer than `n`."""
    steps, timeframe = _real(name)
    return bars_of(steps[rng.permutation(len(steps))[:n]], timeframe)


def bootstrapped(rng: Rng, n: int, name: str) -> Bars:
    """Real bars, drawn with replacement."""
    steps, timeframe = _real(name)
    return bars_of(steps[rng.integers(0, len(steps), n)], timeframe)


NOISE: dict[str, Callable[[Rng, int], Bars]] = {
    "walk, low volatility": lambda rng, n: walk(rng, n, 0.007),
    "walk, middling volatility": lambda rng, n: walk(rng, n, 0.02),
    "walk, high volatility": lambda rng, n: walk(rng, n, 0.045),
    "walk, drift up": lambda rng, n: walk(rng, n, 0.015, 0.06),
    "walk, drift down": lambda rng, n: walk(rng, n, 0.02, -0.04),
    "GARCH-t": garch,
    "GARCH-t, drift up": lambda rng, n: garch(rng, n, 0.05),
    "jumps": jumping,
    "switching volatility": switching,
    "GOOG shuffled": lambda rng, n: shuffled(rng, n, "GOOG"),
    "EURUSD shuffled": lambda rng, n: shuffled(rng, n, "EURUSD"),
    "BTC bootstrapped": lambda rng, n: bootstrapped(rng, n, "BTC"),
    "ETH bootstrapped": lambda rng, n: bootstrapped(rng, n, "ETH"),
    "SOL bootstrapped": lambda rng, n: bootstrapped(rng, n, "SOL"),
}
"""Markets in which no order of bars tells of the next, by name."""


def regimes(rng: Rng, n: int, drift: float = 0.22, length: float = 80.0, sigma: float = 0.02) -> Bars:
    """A drift of ± `drift` standard deviations whose sign turns every `length` bars on average."""
    sign = 1.0 - 2.0 * (np.cumsum(rng.random(n) < 1.0 / length) % 2)
    return moved(rng, sigma * (drift * sign + rng.standard_normal(n)), sigma)


def reverting(rng: Rng, n: int, half_life: float, k: float, sigma: float = 0.01) -> Bars:
    """A walk of `sigma` a bar, and about it an Ornstein-Uhlenbeck process with a deviation of `k` times that.

    `k` is the stationary deviation of the process, not that of its innovations: with a half-life of 8 and k = 5 they
    are twice the walk's, and the best reverting rule has a true Sharpe ratio of 1.5 a year of 252 bars. Were `k` the
    innovations' own, what reverts would be nearly all that moves, and the rules would find it more than nine times in
    ten.
    """
    keep = _HALF ** (-1.0 / half_life)
    pull = lfilter([np.sqrt(1.0 - keep * keep)], [1.0, -keep], rng.standard_normal(n + 200))[200:]
    level = np.cumsum(sigma * rng.standard_normal(n)) + k * sigma * pull
    returns = np.diff(np.exp(level - level[0]), prepend=1.0) / np.concatenate([[1.0], np.exp(level - level[0])[:-1]])
    return moved(rng, returns, sigma)


AVERAGES = """
fast = Int(10, 2, 100)
slow = Int(50, 5, 400)
require(fast < slow)
quick = sma(close, fast)
steady = sma(close, slow)
enter_long(crossed_above(quick, steady))
exit_long(crossed_below(quick, steady))
enter_short(crossed_below(quick, steady))
exit_short(crossed_above(quick, steady))
"""
"""A cross of averages that turns about, as falling regimes are half of the edge; the built-in one never sells short."""

BANDS = """
period = Int(20, 5, 200)
width = Float(2.0, 0.5, 4.0, step=0.1)
stop = Float(0.1, 0.01, 0.3, step=0.01)
bands = bbands(close, period, width)
enter_long(close < bands.lower)
exit_long(close >= bands.middle)
enter_short(close > bands.upper)
exit_short(close <= bands.middle)
stop_loss(stop)
"""
"""Against whatever is beyond a band, until it is back at the middle.

The built-in rule waits until the price has come back over the band, which bounds the damage of a real fall and gives
away the first part of every return: the best of this grid has a true Sharpe ratio of 1.5 a year of 252 bars where the
half-life is 8 and k = 5, the best of the built-in rule's 1.2.
"""

STRENGTH = """
period = Int(14, 2, 50)
oversold = Float(30, 5, 45, step=1)
exit_level = Float(55, 46, 90, step=1)
stop = Float(0.1, 0.01, 0.3, step=0.01)
strength = rsi(close, period)
enter_long(strength < oversold)
exit_long(strength > exit_level)
enter_short(strength > 100 - oversold)
exit_short(strength < 100 - exit_level)
stop_loss(stop)
"""
"""Against a fast move, on either side. The built-in rule waits here too, and only buys: 1.1 in place of 1.8 (long)."""


@dataclass(frozen=True)
class Family:
    """A strategy, and the ranges of about a thousand sets."""

    name: str
    rule: Strategy
    ranges: dict[str, Any]

    def search(self, bars: Bars, direction: Direction = "long", **more: Any) -> Study:
        """The grid's search on the in-sample part, at 0.1 % a side."""
        given = {"param_ranges": self.ranges, "method": "grid", "costs": ts.Costs(fee_rate=0.001), **more}
        return ts.optimize(self.rule, bars, direction=direction, **given)


def _span(low: float, high: float, step: float) -> dict[str, float]:
    return {"min": low, "max": high, "step": step}


FAMILIES: dict[str, Family] = {
    "moving averages": Family(
        "moving averages",
        Strategy.parse(AVERAGES, id="averages"),
        {"fast": _span(2, 62, 2), "slow": _span(10, 250, 6)},
    ),
    "RSI": Family(
        "RSI",
        Strategy.parse(STRENGTH, id="strength"),
        {
            "period": _span(2, 26, 4),
            "oversold": _span(15, 45, 3),
            "exit_level": _span(46, 70, 4),
            "stop": _span(0.1, 0.2, 0.1),
        },
    ),
    "Bollinger": Family(
        "Bollinger",
        Strategy.parse(BANDS, id="bands"),
        {"period": _span(5, 100, 5), "width": _span(0.5, 3.0, 0.1), "stop": _span(0.1, 0.2, 0.1)},
    ),
}
"""Grids to search, by name."""


@dataclass(frozen=True)
class Edge:
    """A market with an edge: its generator, the family that can find it, and the side that this trades."""

    make: Callable[[Rng, int], Bars]
    family: str
    direction: Direction


EDGES: dict[str, Edge] = {
    "drift regimes": Edge(regimes, "moving averages", "both"),
    "reverting, half-life 8": Edge(lambda rng, n: reverting(rng, n, 8.0, 5.0), "Bollinger", "both"),
    "reverting, half-life 4": Edge(lambda rng, n: reverting(rng, n, 4.0, 3.5), "RSI", "long"),
}
"""Edges by name. On the last, both sides together would have a true Sharpe ratio of 2, which is no test."""

WEAKER: dict[str, Edge] = {
    "drift regimes of .11": Edge(lambda rng, n: regimes(rng, n, 0.11), "moving averages", "both"),
    "drift regimes of .16": Edge(lambda rng, n: regimes(rng, n, 0.16), "moving averages", "both"),
    "half-life 8, k = 3": Edge(lambda rng, n: reverting(rng, n, 8.0, 3.0), "Bollinger", "both"),
    "half-life 8, k = 4": Edge(lambda rng, n: reverting(rng, n, 8.0, 4.0), "Bollinger", "both"),
    "half-life 4, k = 2": Edge(lambda rng, n: reverting(rng, n, 4.0, 2.0), "RSI", "long"),
    "half-life 4, k = 2.5": Edge(lambda rng, n: reverting(rng, n, 4.0, 2.5), "RSI", "long"),
}
"""The same edges, weaker: the lower part of the power curve."""


def draws(seed: int, start: int, stop: int) -> WorkInputs:
    """What a permutation test is given to draw the permuted markets `start` to `stop` of a seed."""
    return WorkInputs(thresholds=Thresholds(), seed=seed, start=start, stop=stop)
