"""A made-up market with an edge that is really there: drift regimes, which a moving-average cross can ride."""

from __future__ import annotations

import math
import random
from datetime import UTC, datetime, timedelta

_SIGMA = 0.02
_DRIFT = 0.35
_MEAN_LENGTH = 40
_START = datetime(2019, 1, 1, tzinfo=UTC)
_DAY = timedelta(days=1)


def planted_market(n_bars: int, seed: int, bar: timedelta = _DAY, start: datetime = _START) -> str:
    """Candles as CSV text, one each `bar` from `start` on: log returns with σ = 2 % and a drift of ±0.35 σ.

    The drift's sign changes every 40 bars on average.
    Highs and lows come from a walk within the bar, so that they are as wide as the returns ask for.
    """
    draw = random.Random(seed)  # noqa: S311 - a market, not a secret
    lines = ["timestamp,open,high,low,close,volume"]
    price, sign = 100.0, 1.0
    for i in range(n_bars):
        if draw.random() < 1.0 / _MEAN_LENGTH:
            sign = -sign
        path = [price]
        for _ in range(8):
            step = (sign * _DRIFT * _SIGMA) / 8 + draw.gauss(0.0, _SIGMA / math.sqrt(8))
            path.append(path[-1] * math.exp(step))
        price = path[-1]
        when = (start + i * bar).strftime("%Y-%m-%dT%H:%M:%SZ")
        volume = 1000.0 * math.exp(draw.gauss(0.0, 0.3))
        lines.append(f"{when},{path[0]:.8f},{max(path):.8f},{min(path):.8f},{price:.8f},{volume:.3f}")
    return "\n".join(lines) + "\n"
