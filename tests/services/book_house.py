"""A house in which searches stand still: they are stored as they are asked for, and make trials when a test says so."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from benchmarks.made_markets import moved
from services.search_house import House
from services.verdict_house import NOISE, RANGES, SEARCH, open_court, rows_of
from storage.opened import batch
from tunesmith.domain.market.bars import Bars
from tunesmith.protocol.messages.optimizations import StartOptimization
from tunesmith.services.market.market_windows import Window
from tunesmith.services.searches.optimization_requests import insert_search
from tunesmith.services.searches.search_tasks import OptimizationTask, make_search
from tunesmith.services.tasks.task_kinds import request_of
from tunesmith.services.verdicts.search_book import Book, book_of
from tunesmith.storage.tables import task_table, trial_table

POINTS = {"strategy_id": "averages", "direction": "both"}


class BookHouse:
    """The house, and its searches by the names that a test gives them."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.context = house.context
        self.names: dict[str, str] = {}

    async def begin(self, name: str, user: str = "ann", symbol: str = NOISE, **asked: Any) -> str:
        """Store a search of `user` that nobody drives; its id."""
        data = {"symbol": symbol, **SEARCH, "param_ranges": RANGES, **asked}
        made = await make_search(self.context, msgspec.convert(data, StartOptimization))
        row = await self.context.database.write(lambda conn: insert_search(conn, user, None, made))
        self.names[name] = row.id
        return row.id

    async def trials(self, name: str, n: int, start: int = 0) -> None:
        """Have the search make its trials from number `start` on."""
        found = batch(start, [float(i) for i in range(n)])
        task_id = self.names[name]
        await self.context.database.write(lambda conn: trial_table.insert_batch(conn, task_id, found))

    async def ended(self, name: str, user: str = "ann", symbol: str = NOISE, **asked: Any) -> str:
        """A search of `user` that has made all of its six trials."""
        task_id = await self.begin(name, user, symbol, **asked)
        await self.trials(name, 6)
        return task_id

    async def point(self, name: str, fast: int, user: str = "ann", symbol: str = NOISE, **asked: Any) -> str:
        """A single backtest that has ended."""
        params = {"fast": fast, "slow": 50}
        data = {"symbol": symbol, "params": params, **POINTS, **asked}
        task_id = (await self.house.ask("backtest.start", user=user, **data))["task_id"]
        self.names[name] = task_id
        await self.house.ended(task_id)
        return str(task_id)

    async def book(self, asked: str, *users: str) -> Book:
        """The book of a verdict on a search."""
        window = await self.window(asked)
        return await book_of(self.context, users or ("ann",), [window], self.names[asked])

    async def window(self, name: str) -> Window:
        row = await task_table.get(self.context.database, self.names[name])
        assert row is not None
        return request_of(row, OptimizationTask).window

    def told(self, ids: list[str]) -> list[str]:
        """The names of searches."""
        by_id = {task_id: name for name, task_id in self.names.items()}
        return [by_id[each] for each in ids]

    def seen(self, book: Book) -> dict[str, list[str]]:
        """What each search that is not foreign has seen, by name."""
        return {self.told([each.search_id])[0]: self.told(each.seen) for each in book.counted}


@asynccontextmanager
async def open_book(folder: Path) -> AsyncIterator[BookHouse]:
    async with open_court(folder) as house:
        yield BookHouse(house)


def importing(house: House, symbol: str, bars: Bars, timeframe: str = "1d") -> None:
    """Store bars under a symbol."""
    house.context.market.import_rows(rows_of(bars), symbol=symbol, timeframe=timeframe, venue="local")


def pair(correlation: float, n: int = 1700) -> tuple[Bars, Bars]:
    """Two markets whose returns have that correlation, but for what chance adds."""
    rng = np.random.default_rng(11)
    common, own = rng.standard_normal((2, n))
    other = correlation * common + np.sqrt(1.0 - correlation**2) * own
    return moved(rng, 0.01 * common, 0.01), moved(rng, 0.01 * other, 0.01)


async def driven(house: House, task_id: str) -> None:
    """Have a search that stood still be driven to its end."""
    row = await task_table.get(house.context.database, task_id)
    assert row is not None
    house.context.tasks.start(row)
    await house.ended(task_id)
