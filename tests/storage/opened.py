"""What the storage tests share: a test over an open database, and rows that other rows need."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np

from tunesmith.protocol.messages.packages import Package
from tunesmith.storage.sqlite.connections import Connection
from tunesmith.storage.sqlite.database import Database
from tunesmith.storage.tables import (
    optimization_table,
    outbox,
    package_table,
    report_table,
    strategy_table,
    task_table,
    trial_table,
    verdict_table,
)
from tunesmith.storage.tables.strategy_table import StrategyText
from tunesmith.storage.timestamps import now

MA = StrategyText(
    id="ma_cross_v1.0",
    name="Moving Average Cross Strategy",
    version="1.0",
    code="fast = param(5)\n",
    default_params={"fast_period": 5, "slow_period": 20, "signal_threshold": 0.02},
    doc="Two averages.",
)


def over_database(test: Callable[[Database], Awaitable[None]]) -> Callable[[Path], None]:
    """The async test `(database) -> None` as one that pytest runs, over a fresh database."""

    @functools.wraps(test)
    def run(tmp_path: Path) -> None:
        async def main() -> None:
            database = await Database.open(tmp_path / "t.db")
            try:
                await test(database)
            finally:
                await database.close()

        asyncio.run(main())

    del run.__wrapped__  # type: ignore[attr-defined]  # pytest would read the parameters of `test`
    run.__annotations__ = {"tmp_path": Path}
    return run


async def add_task(conn: Connection, task_id: str, kind: str = "backtest", **more: Any) -> task_table.TaskRow:
    values = {"user": "ann", "client": None, "priority": 5, "request": "{}", **more}
    return await task_table.create(conn, task_table.NewTaskRow(id=task_id, kind=kind, **values))


async def add_optimization(conn: Connection, task_id: str, **more: Any) -> None:
    """A search with its task and strategy."""
    if await strategy_table.get(conn, MA.id) is None:
        await strategy_table.create(conn, MA)
    await add_task(conn, task_id, "optimization")
    values: dict[str, Any] = {
        "id": task_id,
        "strategy_id": MA.id,
        "strategy_version": "1.0",
        "venue": "local",
        "symbol": "BTC/USDT",
        "timeframe": "1h",
        "param_ranges": {"fast_period": {"min": 5, "max": 60}},
        "optimization_target": "sharpe",
        "method": "grid",
        "seed": 7,
        "n_trials": 100,
        "start_date": None,
        "end_date": None,
        "withheld_from": None,
        "data_hash": "0" * 64,
        "details": {"fill": "next_open"},
        **more,
    }
    await optimization_table.create(conn, optimization_table.NewOptimization(**values))


def batch(start: int, scores: list[float], **more: Any) -> trial_table.Batch:
    """Trials whose Sharpe ratio is their score."""
    n = len(scores)
    values: dict[str, Any] = {
        "start": start,
        "params": [f'{{"p": {start + i}}}' for i in range(n)],
        "metrics": {"sharpe": np.array(scores)},
        "scores": np.array(scores).reshape(n, 1),
        "eligible": np.ones(n, bool),
        "errors": [None] * n,
        **more,
    }
    return trial_table.Batch(**values)


async def add_report(conn: Connection, report_id: str, **more: Any) -> report_table.ReportRow:
    if await strategy_table.get(conn, MA.id) is None:
        await strategy_table.create(conn, MA)
    values: dict[str, Any] = {
        "id": report_id,
        "task_id": None,
        "optimization_id": None,
        "strategy_id": MA.id,
        "strategy_version": "1.0",
        "code_hash": MA.code_hash,
        "venue": "local",
        "symbol": "BTC/USDT",
        "timeframe": "1h",
        "params": {"fast_period": 5},
        "metrics": {"sharpe": 1.5, "max_drawdown": 0.2, "total_return": 0.4, "calmar": None},
        "start_date": "2024-01-01T00:00:00.000Z",
        "end_date": "2024-06-01T00:00:00.000Z",
        "used_holdout": False,
        "data_hash": "0" * 64,
        "costs": {"fee_rate": 0.001},
        "fill": "next_open",
        "direction": "long",
        "initial_cash": 10_000.0,
        "created_at": now(),
        "stats": {"Total Trades": 3},
        "trades": [{"size": 1.0, "pnl": -2.5}],
        "equity": [[1704067200000, 10_000.0]],
        **more,
    }
    report = report_table.ReportRow(**values)
    await report_table.create(conn, report)
    return report


async def add_verdict(conn: Connection, verdict_id: str, **more: Any) -> verdict_table.VerdictRow:
    await add_task(conn, verdict_id, "verdict")
    if await strategy_table.get(conn, MA.id) is None:
        await strategy_table.create(conn, MA)
    values: dict[str, Any] = {
        "id": verdict_id,
        "user": "ann",
        "strategy_id": MA.id,
        "optimization_id": None,
        "report_id": None,
        "venue": "local",
        "symbol": "BTC/USDT",
        "timeframe": "1h",
        "verdict": "rejected",
        "grade": None,
        "reason": "too few trades",
        "checks": [{"name": "min_trades", "value": 3, "threshold": 10, "passed": False}],
        "evidence": {"n": 1},
        "package_id": None,
        "created_at": now(),
        **more,
    }
    row = verdict_table.VerdictRow(**values)
    await verdict_table.create(conn, row)
    return row


async def add_package(
    conn: Connection, package_id: str, *, topic: str = "pkg/BTC/USDT/1h/x/", **more: Any
) -> package_table.PackageRow:
    """A package with its report and event, which is on another topic than its own; `more` are fields of the package."""
    values: dict[str, Any] = {
        "package_id": package_id,
        "grade": "criteria",
        "venue": "local",
        "symbol": "BTC/USDT",
        "timeframe": "1h",
        "strategy_id": MA.id,
        "strategy_version": "1.0",
        "code_hash": MA.code_hash,
        "params": {"fast_period": 9},
        "metrics": {"in_sample": {"sharpe": 1.0, "calmar": None}},
        "checks": [],
        "data_hash": "0" * 64,
        "costs": {"fee_rate": 0.001},
        "fill": "next_open",
        "direction": "long",
        "valid_from": "2024-01-01T00:00:00.000Z",
        "valid_until": "2999-01-01T00:00:00.000Z",
        "supersedes": None,
        "apply": "new_trades",
        "created_at": now(),
        **more,
    }
    package = Package(**values)
    await add_report(conn, f"r-{package_id}")
    appended = await outbox.append(conn, topic, "package.approved", package.symbol, package)
    return await package_table.create(conn, package, seq=appended.seq, backtest_id=f"r-{package_id}")


async def made_as_they_closed(conn: Connection) -> None:
    """Date every look to where its bars end, as if the daemon had run then: bars of before now can be later than it."""
    sql = "UPDATE holdout_looks SET time = strftime('%Y-%m-%dT%H:%M:%fZ', end_ms / 1000.0, 'unixepoch')"
    await conn.execute(sql)
