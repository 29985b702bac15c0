"""Decisions through the daemon's handlers, over a real database and real workers, small enough for many of them.

Limits are wide and draws few: what a decision does is tested here, not how often it errs.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from services.search_house import House, housed
from tunesmith.config import Settings
from tunesmith.storage.market.market_folder import MarketFolder
from tunesmith.workers.inline import Inline

RULE = "ma_cross_v1.0"
RANGES = {"fast_period": [2, 3, 4], "slow_period": [8, 12, 16], "signal_threshold": 0.0}
N_BARS = 1200
_DAY_MS = 86_400_000
_BEGIN_MS = 1_500_000_000_000 - 1_500_000_000_000 % _DAY_MS
_numbers = itertools.count()
_LIMITS: dict[str, Any] = {
    "min_bars": 200,
    "min_holdout_bars": 100,
    "min_holdout_trades": 1,
    "n_permutations": 99,
    "max_permutations": 199,
    "stop_at": 21,
    "combined": 0.02,
}


@asynccontextmanager
async def open_court(folder: Path, n_workers: int = 1, quota: int = 1000, **limits: Any) -> AsyncIterator[House]:
    """A house that decides; `quota` verdicts on a market for each user, `limits` are settings of the statistics."""
    tree = {
        "server": {"data_dir": str(folder)},
        "workers": {"count": n_workers},
        "limits": {"verdicts_per_market": quota},
        "decision": {"min_sharpe": 0.0, "max_drawdown": 1.0, "min_trades": 1, "min_profit_factor": 0.0},
        "statistics": {**_LIMITS, **limits},
    }
    executor = Inline("tunesmith.workers.chunks.chunk_table", n_workers=n_workers)
    async with housed(msgspec.convert(tree, Settings), MarketFolder(folder / "market"), executor) as house:
        house._ids = _numbers
        yield house


def grow(
    folder: Path, symbol: str, seed: int, edge: float, bars: tuple[int, int] = (0, N_BARS), begin_ms: int = _BEGIN_MS
) -> None:
    """Store daily bars start to stop of a market whose drift is ±`edge` daily deviations, for 40 bars on average."""
    start, stop = bars
    rows = [(at + begin_ms - _BEGIN_MS, *prices) for at, *prices in _rows(seed, edge, stop)[start:]]
    MarketFolder(folder / "market").import_rows(rows, symbol=symbol, timeframe="1d")


async def searched(house: House, symbol: str | None, **data: Any) -> str:
    """The id of a search over `RANGES` that has ended."""
    found = await house.search(symbol=symbol, strategy_id=RULE, param_ranges=RANGES, method="grid", **data)
    assert found["status"] == "completed", found
    return str(found["optimization_id"])


async def decided(house: House, **about: Any) -> dict[str, Any]:
    """The verdict on a search or a backtest."""
    asked = await house.ask("strategy.approve", strategy_id=RULE, **about)
    await house.ended(asked["verdict_id"])
    verdict = await house.ask("verdict.get", verdict_id=asked["verdict_id"])
    assert verdict["status"] == "completed", verdict
    return verdict


@functools.cache
def _rows(seed: int, edge: float, n: int) -> list[tuple[int, float, float, float, float, float]]:
    rng = np.random.default_rng(seed)
    flips, noise = rng.random(20_000) < 1 / 40, rng.standard_normal(20_000)
    sign = np.where(np.cumsum(flips) % 2, -1.0, 1.0)
    close = 100.0 * np.exp(np.cumsum(0.02 * (sign * edge + noise))[:n])
    open_ = np.concatenate([[100.0], close[:-1]])
    high, low = np.maximum(open_, close) * math.exp(0.002), np.minimum(open_, close) * math.exp(-0.002)
    stamps = _BEGIN_MS + np.arange(n) * _DAY_MS
    columns = [column.tolist() for column in (stamps, open_, high, low, close, np.ones(n))]
    return list(zip(*columns, strict=True))
