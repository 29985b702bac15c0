"""What an older program has searched counts from now on: its tasks become counted searches when it is opened."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from golden.archive import unpack
from tunesmith.storage.sqlite import migrating
from tunesmith.storage.sqlite.database import Database

BEFORE = 9
"""The schema version of the program that did not count."""

STRATEGY = {"id": "r", "version": "1.0", "kind": "rule", "code": "", "code_hash": "c"}


def window(symbol: str) -> dict[str, Any]:
    return {"venue": "local", "symbol": symbol, "timeframe": "1h", "start_ms": 0, "end_ms": 100}


def request(*symbols: str, **more: Any) -> str:
    first, *others = map(window, symbols)
    return json.dumps({"strategy": STRATEGY, "window": first, **({"others": others} if others else {}), **more})


def make_old(path: Path) -> None:
    """One minute after the other: a search that ended and was cleaned, a backtest within it, a cancelled search over
    two symbols, a walk-forward, a backtest that failed, a verdict, and a task of a form that nobody knows any more."""
    plan = {"n_trials": 50, "method": "random"}
    tasks = [
        ("search", "optimization", "completed", 0, 1, 9, request("A", plan=plan)),
        ("point", "backtest", "completed", 2, 2, 3, request("A", params={"p": 1})),
        ("cancelled", "optimization", "cancelled", 4, 5, 6, request("A", "B", plan=plan)),
        ("walked", "walkforward", "completed", 5, 5, 7, request("A", plan=plan, n_windows=4)),
        ("failed", "backtest", "failed", 8, 8, 8, request("A", params={"p": 1})),
        ("vd", "verdict", "completed", 9, 9, 9, request("A", params={"p": 1})),
        ("strange", "backtest", "completed", 9, 9, 9, "{}"),
    ]
    with closing(sqlite3.connect(path, isolation_level=None)) as conn:
        conn.execute("PRAGMA journal_mode = WAL")
        for number, sql in migrating.migrations()[:BEFORE]:
            conn.executescript(f"BEGIN; {sql} PRAGMA user_version = {number}; COMMIT;")
        conn.execute(f"PRAGMA application_id = {migrating.APPLICATION_ID}")
        sql = """INSERT INTO tasks (id, kind, user, status, created_at, started_at, completed_at, request)
                 VALUES (?, ?, 'ann', ?, ?, ?, ?, ?)"""
        for task_id, kind, status, *times, asked in tasks:
            at = [f"2026-01-01T00:0{minute}:00.000Z" for minute in times]
            conn.execute(sql, (task_id, kind, status, *at, asked))
        version = {"strategy_id": "r", "version": "1.0", "name": "r", "kind": "rule", "code": "", "code_hash": "c"}
        conn.execute("INSERT INTO strategies (id, name, version, code, code_hash) VALUES ('r', 'r', '1.0', '', 'c')")
        conn.execute(
            """INSERT INTO strategy_versions (strategy_id, version, name, kind, code, code_hash, created_at, number)
               VALUES (:strategy_id, :version, :name, :kind, :code, :code_hash, '', 1)""",
            version,
        )
        for task_id, n_done in (("search", 0), ("cancelled", 2)):
            conn.execute(
                """INSERT INTO optimization_tasks (id, strategy_id, symbol, param_ranges, optimization_target,
                       strategy_version, venue, timeframe, method, n_trials, n_done, data_hash)
                   VALUES (?, 'r', 'A', '{}', 'sharpe', '1.0', 'local', '1h', 'random', 50, ?, '')""",
                (task_id, n_done),
            )
        conn.executemany(
            "INSERT INTO trials (optimization_id, idx, params) VALUES ('cancelled', ?, '{}')", [(2,), (3,)]
        )


def opened(path: Path) -> sqlite3.Connection:
    async def main() -> None:
        await (await Database.open(path)).close()

    asyncio.run(main())
    return sqlite3.connect(path)


def test_an_older_database_is_filled_from_its_tasks(tmp_path: Path) -> None:
    make_old(tmp_path / "t.db")
    with closing(opened(tmp_path / "t.db")) as conn:
        found = conn.execute(
            "SELECT task_id, n_at_end, n_made, visible_from FROM counted_searches ORDER BY id"
        ).fetchall()
        markets = conn.execute(
            """SELECT c.task_id, m.symbol, m.timeframe, m.start_ms, m.end_ms
               FROM counted_markets AS m JOIN counted_searches AS c ON c.id = m.counted_id ORDER BY c.id, m.symbol"""
        ).fetchall()
        [secret] = conn.execute("SELECT value FROM meta WHERE key = 'draw_secret'").fetchone()
    assert found == [
        ("search", None, 50, 1),  # its trials were cleaned away; whoever began after its start may have seen it
        ("point", 1, 1, 2),
        ("cancelled", None, 4, 4),  # the walk-forward began in the minute in which this one was started
        ("walked", 200, 200, 4),
        ("failed", 1, 0, None),
    ]
    expected = [(task_id, symbol, "1h", 0, 100) for task_id, symbol in (
        ("search", "A"), ("point", "A"), ("cancelled", "A"), ("cancelled", "B"), ("walked", "A"), ("failed", "A"),
    )]  # fmt: skip
    assert markets == expected
    assert len(bytes.fromhex(secret)) == 32


def test_what_the_release_has_searched_counts(tmp_path: Path) -> None:
    unpack(tmp_path)
    path = tmp_path / "data" / "tunesmith.db"
    shutil.rmtree(tmp_path / "data" / "backups", ignore_errors=True)
    with closing(opened(path)) as conn:
        kinds = ("optimization", "walkforward", "backtest")
        n_tasks = conn.execute(f"SELECT count(*) FROM tasks WHERE kind IN {kinds}").fetchone()[0]
        n_counted, n_markets = (
            conn.execute(f"SELECT count(DISTINCT {column}) FROM {table}").fetchone()[0]
            for column, table in (("id", "counted_searches"), ("counted_id", "counted_markets"))
        )
        wrong = conn.execute(
            """SELECT t.id, t.kind, t.status FROM counted_searches AS c JOIN tasks AS t ON t.id = c.task_id
               WHERE (t.status = 'completed' AND (c.n_made = 0 OR c.visible_from < c.id))
                  OR (c.n_made = 0) <> (c.visible_from IS NULL)"""
        ).fetchall()
    assert n_counted == n_markets == n_tasks > 10
    assert wrong == []
