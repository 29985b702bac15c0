"""A house with markets that a verdict can be asked about: one with an edge, one without."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.made_markets import AVERAGES, regimes, walk
from services.search_house import House, open_house
from tunesmith.domain.market.bars import Bars
from tunesmith.storage.tables import verdict_table

EDGE, NOISE = "EDGE/USDT", "NOISE/USDT"
RANGES = {"fast": [5, 10, 20], "slow": [40, 60]}
SEARCH = {"strategy_id": "averages", "param_ranges": RANGES, "method": "grid", "direction": "both"}
LAX = {
    "min_sharpe": -1e6, "max_drawdown": 1.0, "min_return": -1e6, "min_trades": 0, "min_profit_factor": 0.0,
}  # fmt: skip

_IDS = itertools.count()
"""Ids of requests, which go on where a house is opened again."""


def rows_of(bars: Bars) -> list[tuple[int, float, float, float, float, float]]:
    """Bars as they are imported."""
    columns = [getattr(bars, name).tolist() for name in ("timestamp", "open", "high", "low", "close", "volume")]
    return list(zip(*columns, strict=True))


def edge(n: int = 1700) -> Bars:
    return regimes(np.random.default_rng(5), n, drift=0.4, length=60.0)


def noise(n: int = 1700) -> Bars:
    return walk(np.random.default_rng(6), n)


FEW_DRAWS = {"n_permutations": 199, "max_permutations": 399}
"""As few as can still approve."""


@asynccontextmanager
async def open_court(folder: Path, n_processes: int = 0, **limits: Any) -> AsyncIterator[House]:
    """A house with both markets and the strategy; a second one on the same folder is the daemon started again.

    `limits` are settings of the statistics.
    """
    async with open_house(folder, n_processes, {**FEW_DRAWS, **limits}) as house:
        house._ids = _IDS
        known = {series.symbol for series in house.context.market.list()}
        for symbol, bars in ((EDGE, edge()), (NOISE, noise())):
            if symbol not in known:
                house.context.market.import_rows(rows_of(bars), symbol=symbol, timeframe="1d", venue="local")
        if EDGE not in known:
            await house.ask("strategy.create", id="averages", name="Averages", version="1.0", code=AVERAGES)
        yield house


async def searched(house: House, symbol: str = NOISE, **data: Any) -> str:
    """The id of a search that has ended."""
    found = await house.search(symbol=symbol, **{**SEARCH, **data})
    assert found["status"] == "completed", found
    return str(found["optimization_id"])


async def decided(house: House, optimization_id: str, user: str = "local", **data: Any) -> dict[str, Any]:
    """The verdict on a search, as it is answered."""
    data = {"strategy_id": "averages", "approval_criteria": LAX, **data}
    asked = await house.ask("strategy.approve", user=user, optimization_id=optimization_id, **data)
    await house.ended(asked["verdict_id"])
    return await house.ask("verdict.status", verdict_id=asked["verdict_id"])


async def evidence(house: House, verdict_id: str) -> dict[str, Any]:
    """What is stored of a verdict."""
    row = await verdict_table.get(house.context.database, verdict_id)
    assert row is not None
    return row.evidence


async def look_of(house: House, verdict: dict[str, Any]) -> int:
    """Which look at the hold-out the ledger says that this is, or would have been."""
    ledger: dict[str, int] = (await evidence(house, verdict["verdict_id"]))["ledger"]
    return ledger["look"]
