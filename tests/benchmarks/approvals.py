"""Approvals by the thousand: each market has two packages, and going back from the newest to the one before approves.

A rollback stores a package, its event and its reply in one transaction, as every approval does, and asks no worker.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from pathlib import Path
from typing import Any

from benchmarks.loads import body
from storage.opened import MA, add_report
from tunesmith.protocol.canonical import canonical_hash
from tunesmith.protocol.messages.packages import Package
from tunesmith.services.packages.package_requests import publish
from tunesmith.services.strategies.strategy_requests import seed
from tunesmith.storage.sqlite.connections import Connection
from tunesmith.storage.sqlite.database import Database
from tunesmith.storage.timestamps import now

FAR = "2999-01-01T00:00:00.000Z"


def plant(folder: Path, n: int) -> dict[str, str]:
    """Give a daemon's folder `n` markets with two packages each: symbol → the one in force."""

    async def main() -> dict[str, str]:
        database = await Database.open(folder / "tunesmith.db")
        try:
            await seed(database)
            return await database.write(lambda conn: _plant(conn, n))
        finally:
            await database.close()

    return asyncio.run(main())


async def _plant(conn: Connection, n: int) -> dict[str, str]:
    standing = {}
    for number in range(n):
        symbol, before = f"M{number:03d}/USDT", None
        for period in (5, 9):
            package = _package(symbol, period, before)
            await add_report(conn, f"rp-{package.package_id[:24]}", symbol=symbol)
            await publish(conn, package, verdict_id=None, report_id=f"rp-{package.package_id[:24]}")
            before = package.package_id
        standing[symbol] = before or ""
    return standing


def _package(symbol: str, period: int, supersedes: str | None) -> Package:
    fields: dict[str, Any] = {
        "grade": "tested",
        "venue": "local",
        "symbol": symbol,
        "timeframe": "1h",
        "strategy_id": MA.id,
        "strategy_version": "1.0",
        "code_hash": MA.code_hash,
        "params": {"fast_period": period, "slow_period": 20, "signal_threshold": 0.02},
        "metrics": {name: {f"m{i}": i / 7 for i in range(12)} for name in ("in_sample", "out_of_sample")},
        "checks": [],
        "data_hash": hashlib.sha256(symbol.encode()).hexdigest(),
        "costs": {"fee_rate": 0.001, "slippage_rate": 0.0, "fixed_fee": 0.0},
        "fill": "next_open",
        "direction": "long",
        "valid_from": "2024-01-01T00:00:00.000Z",
        "valid_until": FAR,
        "supersedes": supersedes,
        "apply": "new_trades",
        "created_at": now(),
    }
    return Package(package_id=canonical_hash(fields), **fields)


def approval(standing: str, id: str | None = None, **more: Any) -> bytes:
    """The request that puts the package before the one in force into force again."""
    return body("package.rollback", {"package_id": standing, "reason": "benchmark"}, id, **more)


def approved(reply: bytes) -> str:
    """The package that a reply says was approved; the reply itself in the error when it refuses."""
    found = json.loads(reply)
    assert found["ok"], found
    return str(found["data"]["package"]["package_id"])
