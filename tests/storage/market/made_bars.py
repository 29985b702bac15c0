"""Bars for the tests of snapshots."""

from __future__ import annotations

import numpy as np

from tunesmith.domain.market.bars import Bars

HOUR = 3_600_000


def make(n: int = 100, seed: int = 0) -> Bars:
    rng = np.random.default_rng(seed)
    opened, close = rng.uniform(90, 110, (2, n))
    columns = {
        "open": opened,
        "high": np.maximum(opened, close) + 1,
        "low": np.minimum(opened, close) - 1,
        "close": close,
        "volume": rng.random(n),
    }
    stamps = 1_704_067_200_000 + HOUR * np.arange(n)
    return Bars.from_arrays(stamps, columns, symbol="BTC/USDT", timeframe="1h", venue="binance", bars_per_year=8000.0)
