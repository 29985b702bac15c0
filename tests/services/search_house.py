"""The daemon's use cases over a real database and real workers, without its doors."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import msgspec
import numpy as np

from old_candles import accepting
from services.recorder import Recorder
from tunesmith.config import Settings
from tunesmith.protocol.catalog import MESSAGES, Call
from tunesmith.routes import handlers
from tunesmith.services.runtime.context import Context
from tunesmith.services.runtime.task_runner import Tasks
from tunesmith.services.runtime.upstream_bars import Upstream
from tunesmith.services.strategies import strategy_requests
from tunesmith.services.tasks.task_kinds import install_drivers
from tunesmith.storage.cache.caches import MemoryCache
from tunesmith.storage.market.market_folder import MarketFolder
from tunesmith.storage.sqlite.database import Database
from tunesmith.storage.tables import trial_table
from tunesmith.workers.executor import Executor, Limits
from tunesmith.workers.inline import Inline
from tunesmith.workers.local_pool import LocalPool
from tunesmith.workers.processes import ForkServer
from tunesmith.workers.worker import Program

SYMBOLS = ("A/USDT", "B/USDT")
_HOUR_MS = 3_600_000
_TABLE = "services.search_faults"
_WARM_UP = "tunesmith.workers.chunks.warm_ups:load_kernels"


class House:
    """What is asked goes through the daemon's handlers."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self._handlers = handlers(context)
        self._ids = itertools.count()

    async def ask(self, message_type: str, user: str = "local", role: Any = "operator", **data: Any) -> dict[str, Any]:
        """The reply's data; raises the `TunesmithError` of a refusal."""
        request = msgspec.convert(accepting(message_type, data), MESSAGES[message_type].request)
        deadline = asyncio.get_running_loop().time() + 30.0
        call = Call(message_type, f"r{next(self._ids)}", user, role, "requests", deadline)
        reply = self._handlers[message_type](request, call)
        if isinstance(reply, Awaitable):
            reply = await reply
        return cast(dict[str, Any], msgspec.to_builtins(reply))

    async def ended(self, task_id: str) -> None:
        """Wait until the task has ended and is no longer driven."""
        while not await self.context.tasks.wait(task_id, 1.0) or task_id in self.context.tasks.jobs:
            await asyncio.sleep(0.002)

    async def search(self, **data: Any) -> dict[str, Any]:
        """The status of a search that has ended."""
        task_id = (await self.ask("optimization.start", **data))["optimization_id"]
        await self.ended(task_id)
        return await self.ask("optimization.status", optimization_id=task_id)

    async def execute(self, session_id: str, **data: Any) -> dict[str, Any]:
        """The status of a session that has ended."""
        await self.ask("session.execute", session_id=session_id, **data)
        await self.ended(session_id)
        return await self.ask("session.status", session_id=session_id, detailed=True)

    async def until_stored(self, task_id: str, n_trials: int) -> None:
        """Wait until so many trials of a search are stored."""
        while True:
            if await trial_table.count(self.context.database, task_id) >= n_trials:
                return
            await asyncio.sleep(0.002)

    async def trials(self, task_id: str) -> list[dict[str, Any]]:
        """Every trial of a search, in order."""
        found = await self.ask("optimization.results", optimization_id=task_id, sort="index", limit=1000)
        return cast(list[dict[str, Any]], found["trials"])

    async def log_of(self, task_id: str) -> str:
        """All lines of a task's log, once they are written."""
        while self.context.tasks._lines or self.context.tasks._flusher is not None:
            await asyncio.sleep(0.002)
        lines = (await self.ask("task.logs", task_id=task_id))["lines"]
        return "\n".join(line["message"] for line in lines)


@asynccontextmanager
async def open_house(
    folder: Path, n_processes: int = 0, statistics: Mapping[str, Any] | None = None, **workers: Any
) -> AsyncIterator[House]:
    """A house on a data directory; `n_processes` workers of their own, or a thread.

    `statistics` and `workers` are settings.
    """
    tree = {
        "server": {"data_dir": str(folder)},
        "workers": {"count": n_processes or 1, **workers},
        "statistics": statistics or {},
    }
    settings = msgspec.convert(tree, Settings)
    if not n_processes:
        async with housed(settings, _market(folder), Inline(_TABLE)) as house:
            yield house
        return
    server = ForkServer(Program(table=_TABLE, preload=(_TABLE,)))
    pool = LocalPool(n_processes, server, warm_up=_WARM_UP, limits=Limits(attempts=2))
    pool.start()
    try:
        async with housed(settings, _market(folder), pool) as house:
            yield house
    finally:
        await server.close()


@asynccontextmanager
async def housed(settings: Settings, market: MarketFolder, executor: Executor) -> AsyncIterator[House]:
    """A house over the database of its data directory, with what was unfinished there going on."""
    database = await Database.open(settings.data_dir / "t.db")
    await strategy_requests.seed(database)
    tasks = Tasks(settings, database, executor, Recorder())
    context = Context(
        settings=settings,
        database=database,
        market=market,
        cache=MemoryCache(2**20),
        upstream=Upstream(settings, market, executor),
        executor=executor,
        tasks=tasks,
        started=0.0,
        doors={},
    )
    install_drivers(context)
    await tasks.recover()
    try:
        yield House(context)
    finally:
        await tasks.close()
        await context.upstream.close()
        await database.close()


def _market(folder: Path) -> MarketFolder:
    store = MarketFolder(folder / "market")
    for seed, symbol in enumerate(SYMBOLS):
        if not any(found.symbol == symbol for found in store.list()):
            store.import_rows(wave(seed), symbol=symbol, timeframe="1h", venue="local")
    return store


def wave(seed: int, n: int = 900) -> list[tuple[int, float, float, float, float, float]]:
    """Hourly bars of slow waves with noise, as rows."""
    rng = np.random.default_rng(seed)
    close = 100.0 * np.exp(0.08 * np.sin(np.arange(n) / 9.0 + seed) + 0.01 * rng.standard_normal(n))
    open_ = np.concatenate([close[:1], close[:-1]])
    high, low = np.maximum(open_, close), np.minimum(open_, close)
    stamps = 1_704_067_200_000 + np.arange(n) * _HOUR_MS
    columns = [column.tolist() for column in (stamps, open_, high, low, close, np.ones(n))]
    return list(zip(*columns, strict=True))
