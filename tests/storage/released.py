"""A database as the first released program left it: made by its migrations alone, filled by plain SQL."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from tunesmith.storage.sqlite import migrating

RELEASED = 6
"""The schema version of that program."""

EPOCH = "released-epoch"
PACKAGE_ID = "ab" * 32
TIME = "2026-01-01T00:00:00.000Z"
LATER = "2999-01-01T00:00:00.000Z"
CODE = "fast_period = Int(5, 2, 100)\nenter_long(crossed_above(close, sma(close, fast_period)))\n"
PACKAGE = {
    "package_id": PACKAGE_ID,
    "grade": "criteria",
    "venue": "demo",
    "symbol": "BTC/USDT",
    "timeframe": "1h",
    "strategy_id": "old_rule",
    "strategy_version": "1.0",
    "code_hash": "c" * 64,
    "params": {"fast_period": 9},
    "metrics": {"in_sample": {"sharpe": 1.0}},
    "checks": [],
    "data_hash": "d" * 64,
    "costs": {"fee_rate": 0.001},
    "fill": "next_open",
    "direction": "long",
    "valid_from": TIME,
    "valid_until": "2999-01-01T00:00:00.000Z",
    "supersedes": None,
    "apply": "new_trades",
    "created_at": TIME,
}
SEARCH = {"symbol": "BTC/USDT", "strategy_id": "old_rule", "param_ranges": {"fast_period": [5, 9]}}


def make_released(path: Path) -> None:
    """A strategy, an approved package with its event, a task that ended with its event, one that did not, a schedule,
    a stored reply."""
    with closing(sqlite3.connect(path, isolation_level=None)) as conn:
        conn.execute("PRAGMA journal_mode = WAL")
        for number, sql in migrating.migrations()[:RELEASED]:
            conn.executescript(f"BEGIN; {sql} PRAGMA user_version = {number}; COMMIT;")
        conn.execute(f"PRAGMA application_id = {migrating.APPLICATION_ID}")
        conn.execute("BEGIN")
        _insert(conn, "meta", key="epoch", value=EPOCH)
        about = {"version": "1.0", "name": "Old", "kind": "rule", "code": CODE, "code_hash": "c" * 64, "doc": ""}
        _insert(conn, "strategies", id="old_rule", default_params="{}", created_at=TIME, updated_at=TIME, **about)
        _insert(conn, "strategy_versions", strategy_id="old_rule", created_at=TIME, number=1, **about)
        _add_tasks(conn)
        _add_package(conn)
        _insert(
            conn,
            "schedules",
            id="nightly",
            user="ann",
            every="1d",
            search=SEARCH,
            next_at=LATER,
            created_at=TIME,
        )
        reply = {"data": {"schedule_id": "nightly", "deleted": True}}
        row = {"user": "local", "client": "", "id": "old-1", "type": "schedule.delete", "body_hash": "0" * 64}
        _insert(conn, "requests", reply=reply, created_at=TIME, **row)
        conn.execute("COMMIT")


def _add_tasks(conn: sqlite3.Connection) -> None:
    common: dict[str, Any] = {"user": "ann", "priority": 5, "request": SEARCH, "created_at": TIME}
    _insert(conn, "tasks", id="bt_done", kind="backtest", status="completed", completed_at=TIME, **common)
    _insert(conn, "tasks", id="opt_unfinished", kind="optimization", status="running", **common)
    _insert(conn, "task_logs", task_id="bt_done", n=1, time=TIME, level="info", message="backtest started")
    _add_event(conn, 1, "task/bt_done/done/", "task.completed", {"task_id": "bt_done", "status": "completed"})


def _add_package(conn: sqlite3.Connection) -> None:
    _insert(
        conn,
        "backtest_reports",
        id="r-released",
        task_id="bt_done",
        created_at=TIME,
        used_holdout=0,
        initial_cash=10_000.0,
        metrics={"sharpe": 1.0},
        stats={},
        trades=[],
        equity=[],
        **{name: PACKAGE[name] for name in _OF_REPORTS},
    )
    of_package = {name: PACKAGE[name] for name in _OF_PACKAGES}
    more = {"backtest_id": "r-released", "seq": 2, "approved": True, "published_at": TIME, "doc": PACKAGE}
    _insert(conn, "parameter_packages", id=PACKAGE_ID, **of_package, **more)
    _add_event(conn, 2, "pkg/BTC/USDT/1h/old_rule/", "package.approved", PACKAGE)


_OF_REPORTS = ("strategy_id", "strategy_version", "code_hash", "venue", "symbol", "timeframe", "params", "data_hash",
               "costs", "fill", "direction")  # fmt: skip
_OF_PACKAGES = ("grade", "venue", "symbol", "timeframe", "strategy_id", "strategy_version", "params", "metrics",
                "valid_from", "valid_until", "created_at")  # fmt: skip


def _add_event(conn: sqlite3.Connection, seq: int, topic: str, kind: str, data: Any) -> None:
    event = {"specversion": "1.0", "v": 1, "id": f"{EPOCH}-{seq}", "source": "urn:tunesmith:default", "type": kind}
    event |= {"time": TIME, "epoch": EPOCH, "seq": seq, "prev": 0, "data": data}
    _insert(conn, "events", seq=seq, topic=topic, prev=0, type=kind, time=TIME, event=event, published_at=TIME)


def _insert(conn: sqlite3.Connection, table: str, **row: Any) -> None:
    values = [json.dumps(value) if isinstance(value, dict | list) else value for value in row.values()]
    conn.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", values)
