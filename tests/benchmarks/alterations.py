"""Thirty ways to give a market's candles another look, by each of which it must be known again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tunesmith.domain.market.market_marks import Mark, mark_of
from tunesmith.domain.market.timeframes import timeframe_ms

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Rng = np.random.Generator

MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000


class Closes(NamedTuple):
    """When bars open, UTC milliseconds, their closes, and what the bars are called."""

    time: Ints
    close: Floats
    timeframe: str

    def mark(self) -> Mark:
        return mark_of(*self)

    def at(self, rows: NDArray[Any] | slice) -> Closes:
        return self._replace(time=self.time[rows], close=self.close[rows])

    def priced(self, close: Floats) -> Closes:
        return self._replace(close=close)

    def later(self, ms: int) -> Closes:
        return self._replace(time=self.time + ms)

    def called(self, timeframe: str) -> Closes:
        """The same bars one after the other as if they were of this length."""
        length = timeframe_ms(timeframe)
        return Closes(self.time[0] // length * length + np.arange(len(self.time)) * length, self.close, timeframe)

    def made_into(self, times: int) -> Closes:
        """Bars of so many of these."""
        length = timeframe_ms(self.timeframe)
        last = np.flatnonzero((self.time + length) % (length * times) == 0)
        return Closes(self.time[last] - length * (times - 1), self.close[last], _named(length * times))


def _named(length_ms: int) -> str:
    return f"{length_ms // HOUR_MS}h" if length_ms % HOUR_MS == 0 else f"{length_ms // MINUTE_MS}m"


def digits(close: Floats, n: int) -> Floats:
    """The prices with `n` significant digits."""
    unit = 10.0 ** (np.floor(np.log10(close)) - n + 1)
    return np.round(close / unit) * unit


def noisy(closes: Closes, rng: Rng, size: float) -> Closes:
    return closes.priced(closes.close * (1.0 + size * rng.standard_normal(len(closes.close))))


def without_each(closes: Closes, n: int) -> Closes:
    """Each n-th bar dropped; the others keep their times."""
    return closes.at(np.arange(len(closes.time)) % n != n - 1)


def backwards(closes: Closes) -> Closes:
    return closes.priced(closes.close[::-1])


def half_made_up(closes: Closes, rng: Rng) -> Closes:
    """The second half replaced by a walk."""
    half = len(closes.close) // 2
    walk = closes.close[half] * np.exp(np.cumsum(_step(closes) * rng.standard_normal(len(closes.close) - half)))
    return closes.priced(np.concatenate([closes.close[:half], walk]))


def in_company(closes: Closes, rng: Rng) -> Closes:
    """Seventy of its moves within a walk."""
    moves = _step(closes) * rng.standard_normal(len(closes.close))
    moves[700:770] = np.diff(np.log(closes.close[500:571]))
    return closes.priced(np.exp(np.cumsum(moves)))


def _step(closes: Closes) -> float:
    return float(np.diff(np.log(closes.close)).std())


Alteration = Callable[[Closes, Rng], Closes]

ALTERATIONS: dict[str, Alteration] = {
    "nothing": lambda c, rng: c,
    "prices times 37.3": lambda c, rng: c.priced(c.close * 37.3),
    "1/price": lambda c, rng: c.priced(1.0 / c.close),
    "noise of 1e-5": lambda c, rng: noisy(c, rng, 1e-5),
    "noise of 5e-5": lambda c, rng: noisy(c, rng, 5e-5),
    "four digits": lambda c, rng: c.priced(digits(c.close, 4)),
    "five digits of 1/price": lambda c, rng: c.priced(digits(1.0 / c.close, 5)),
    "moves half as large again": lambda c, rng: c.priced(c.close**1.5),
    "a drift added": lambda c, rng: c.priced(c.close * np.exp(1e-5 * np.arange(len(c.close)))),
    "an hour later": lambda c, rng: c.later(HOUR_MS),
    "a day earlier": lambda c, rng: c.later(-DAY_MS),
    "37 seconds later": lambda c, rng: c.later(37_000),
    "three years earlier": lambda c, rng: c.later(-3 * 365 * DAY_MS),
    "each eighth bar dropped": lambda c, rng: without_each(c, 8),
    "each eighth day dropped": lambda c, rng: c.at(c.time // DAY_MS % 8 != 3),
    "each third bar dropped": lambda c, rng: without_each(c, 3),
    "weekends dropped": lambda c, rng: c.at((c.time // DAY_MS + 4) % 7 < 5),
    "each eighth bar dropped, a day later": lambda c, rng: without_each(c, 8).later(DAY_MS),
    "called 1m": lambda c, rng: c.called("1m"),
    "called 2h": lambda c, rng: c.called("2h"),
    "called 3d, noise of 1e-5": lambda c, rng: noisy(c, rng, 1e-5).called("3d"),
    "made into bars of four": lambda c, rng: c.made_into(4),
    "made into bars of twelve, four digits": lambda c, rng: (lambda d: d.priced(digits(d.close, 4)))(c.made_into(12)),
    "backwards": lambda c, rng: backwards(c),
    "backwards, called 2h, 1/price": lambda c, rng: backwards(c).called("2h").priced(1.0 / c.close[::-1]),
    "the last 130 bars": lambda c, rng: c.at(slice(-130, None)),
    "80 bars of the middle, called 2h": lambda c, rng: c.at(slice(1000, 1080)).called("2h"),
    "the second half made up": half_made_up,
    "70 of its moves in other company": in_company,
    "each bar twice, called 2h": lambda c, rng: c.at(np.repeat(np.arange(len(c.time)), 2)).called("2h"),
}
