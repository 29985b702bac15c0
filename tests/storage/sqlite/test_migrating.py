"""Schema versions: what the tables are, and how a database becomes newer."""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from storage.opened import add_optimization, batch, over_database
from tunesmith.domain.approval import ApprovalCriteria
from tunesmith.domain.criteria import bounds
from tunesmith.domain.metrics import METRICS, Metric
from tunesmith.domain.search.search_plan import SearchPlan
from tunesmith.services.searches.search_tasks import OptimizationTask
from tunesmith.storage.sqlite import migrating
from tunesmith.storage.sqlite.database import Database
from tunesmith.storage.tables import trial_table

USER_COLUMNS = {
    "strategies": "id name version code default_params created_at updated_at",
    "backtest_reports": "id strategy_id symbol params metrics max_drawdown sharpe_ratio total_return start_date "
    "end_date created_at",
    "optimization_tasks": "id strategy_id symbol param_ranges optimization_target status progress created_at "
    "completed_at",
    "optimization_results": "id optimization_id best_params best_score all_results created_at",
    "parameter_packages": "id backtest_id symbol strategy_id params metrics approved created_at published_at",
}
USER_INDEXES = [
    "idx_strategies_name",
    "idx_strategies_version",
    "idx_backtest_strategy_id",
    "idx_backtest_symbol",
    "idx_backtest_created_at",
    "idx_backtest_sharpe",
    "idx_optimization_strategy_id",
    "idx_optimization_status",
    "idx_optimization_created_at",
    "idx_optimization_results_task_id",
    "idx_optimization_results_score",
    "idx_parameter_packages_symbol",
    "idx_parameter_packages_approved",
    "idx_parameter_packages_created_at",
]


@pytest.fixture
def conn() -> Iterator[sqlite3.Connection]:
    conn = sqlite3.connect(":memory:", isolation_level=None)
    yield conn
    conn.close()


def columns(conn: sqlite3.Connection, table: str) -> list[str]:
    return [row[1] for row in conn.execute(f"PRAGMA table_info({table})")]


def names(conn: sqlite3.Connection, kind: str) -> set[str]:
    return {row[0] for row in conn.execute("SELECT name FROM sqlite_schema WHERE type = ?", (kind,))}


def test_the_user_s_tables_are_there_with_their_columns_and_indexes(conn: sqlite3.Connection) -> None:
    migrating.migrate(conn)
    for table, wanted in USER_COLUMNS.items():
        assert columns(conn, table)[: len(wanted.split())] == wanted.split()
    assert set(USER_INDEXES) <= names(conn, "index")


def test_every_metric_is_a_column_of_trials(conn: sqlite3.Connection) -> None:
    migrating.migrate(conn)
    assert set(METRICS) <= set(columns(conn, "trials"))


def test_migrating_again_changes_nothing(conn: sqlite3.Connection) -> None:
    newest = len(migrating.migrations())
    assert migrating.migrate(conn) == 0
    before = conn.execute("SELECT * FROM sqlite_schema").fetchall()
    assert migrating.migrate(conn) == newest
    assert conn.execute("SELECT * FROM sqlite_schema").fetchall() == before
    assert conn.execute("PRAGMA user_version").fetchone()[0] == newest


def test_later_migrations_are_applied_to_older_databases(
    conn: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = migrating.migrations()
    migrating.migrate(conn)
    conn.execute("INSERT INTO meta (key, value) VALUES ('a', 'kept')")
    monkeypatch.setattr(
        migrating, "migrations", lambda: [*steps, (len(steps) + 1, "ALTER TABLE meta ADD COLUMN note;\n")]
    )
    assert migrating.migrate(conn) == len(steps)
    assert conn.execute("SELECT value, note FROM meta WHERE key = 'a'").fetchone() == ("kept", None)


def test_a_migration_that_fails_leaves_nothing_of_itself(
    conn: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = migrating.migrations()
    migrating.migrate(conn)
    broken = "CREATE TABLE half (a);\nINSERT INTO nowhere VALUES (1);\n"
    monkeypatch.setattr(migrating, "migrations", lambda: [*steps, (len(steps) + 1, broken)])
    with pytest.raises(sqlite3.OperationalError, match="nowhere"):
        migrating.migrate(conn)
    assert "half" not in names(conn, "table")
    assert conn.execute("PRAGMA user_version").fetchone()[0] == len(steps)
    assert not conn.in_transaction


def test_a_script_is_split_into_whole_statements() -> None:
    script = "-- a; comment\nCREATE TABLE a (\n  b\n);\nCREATE TRIGGER t AFTER INSERT ON a\nBEGIN\n  SELECT 1;\nEND;\n"
    parts = list(migrating.split(script))
    assert [re.sub(r"\s+", " ", part).strip()[-6:] for part in parts] == ["( b );", "; END;"]


def test_a_metric_that_came_later_is_a_column_after_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def add(conn: object) -> None:
        await add_optimization(conn, "o1")  # type: ignore[arg-type]
        await trial_table.insert_batch(conn, "o1", batch(0, [1.0]))  # type: ignore[arg-type]

    async def before() -> None:
        database = await Database.open(tmp_path / "t.db")
        await database.write(add)
        await database.close()

    async def after() -> None:
        database = await Database.open(tmp_path / "t.db")
        row = await database.fetch_one("SELECT later, sharpe FROM trials")
        await database.close()
        assert row is not None
        assert tuple(row) == (None, 1.0)

    asyncio.run(before())
    monkeypatch.setitem(METRICS, "later", Metric("later", "", "", "maximize", "", "account"))
    asyncio.run(after())


OLD_REQUEST = {
    "strategy": {"id": "ma", "version": "1.0", "kind": "rule", "code": "x", "code_hash": "c"},
    "window": {
        "venue": "demo",
        "symbol": "A/B",
        "timeframe": "1h",
        "start_ms": 0,
        "end_ms": 9,
        "boundary_ms": 9,
        "withheld": False,
        "costs": {},
        "fill": "next_open",
        "direction": "long",
        "initial_cash": 10_000.0,
    },
    "ranges": {"fast": {"min": 2, "max": 5}, "slow": [10, 20]},
    "target": "calmar",
    "method": "random",
    "max_iterations": 50,
    "seed": 7,
    "n_trials": 40,
    "constraints": {"min_trades": 10, "max_drawdown": 0.3},
    "approve": None,
}


def version_2(conn: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database as version 2 left it: a search that had ended, with four trials, and one that had not."""
    steps = migrating.migrations()
    with monkeypatch.context() as patch:
        patch.setattr(migrating, "migrations", lambda: steps[:2])
        migrating.migrate(conn)
    conn.execute("PRAGMA foreign_keys = OFF")
    rows = [("done", "optimization", "completed"), ("half", "optimization", "running"), ("bt", "backtest", "completed")]
    sql = (
        "INSERT INTO tasks (id, kind, user, status, priority, request, created_at) VALUES (?, ?, 'a', ?, 5, ?, '2024')"
    )
    for row in rows:
        conn.execute(sql, (*row, json.dumps(OLD_REQUEST)))
    sql = """INSERT INTO optimization_tasks (id, strategy_id, strategy_version, venue, symbol, timeframe, param_ranges,
             optimization_target, method, n_trials, n_done, data_hash, created_at, status)
             VALUES (?, 'ma', '1.0', 'demo', 'A/B', '1h', '{}', 'calmar', 'random', 40, 4, 'h', '2024', ?)"""
    conn.execute(sql, ("done", "completed"))
    conn.execute(sql, ("half", "running"))
    trials_of = [(1.5, 12.0, 0.2), (2.5, 9.0, 0.2), (3.5, 12.0, 0.4), (None, 12.0, 0.2)]
    sql = (
        "INSERT INTO trials (optimization_id, idx, params, calmar, n_trades, max_drawdown) VALUES (?, ?, '{}', ?, ?, ?)"
    )
    for search in ("done", "half"):
        for index, values in enumerate(trials_of):
            conn.execute(sql, (search, index, *values))


def test_searches_of_version_2_are_read_as_plans(conn: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    version_2(conn, monkeypatch)
    assert migrating.migrate(conn) == 2
    for search in ("done", "half"):
        text = conn.execute("SELECT request FROM tasks WHERE id = ?", (search,)).fetchone()[0]
        task = msgspec.json.decode(text, type=OptimizationTask)
        assert task.window.symbol == "A/B"
        assert task.plan == SearchPlan(
            target="calmar",
            method="random",
            n_trials=40,
            seed=7,
            ranges={"fast": {"min": 2, "max": 5}, "slow": [10, 20]},
            bounds=bounds(ApprovalCriteria(min_trades=10, max_drawdown=0.3)),
        )
    other = conn.execute("SELECT request FROM tasks WHERE id = 'bt'").fetchone()[0]
    assert json.loads(other) == OLD_REQUEST


def test_trials_of_version_2_get_their_scores_or_are_made_again(
    conn: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    version_2(conn, monkeypatch)
    migrating.migrate(conn)
    rows = conn.execute("SELECT optimization_id, idx, score, eligible FROM trials ORDER BY idx").fetchall()
    assert rows == [("done", 0, 1.5, 1), ("done", 1, 2.5, 0), ("done", 2, 3.5, 0), ("done", 3, None, 0)]
    counts = dict(conn.execute("SELECT id, n_done FROM optimization_tasks").fetchall())
    assert counts == {"done": 4, "half": 0}


@over_database
async def test_foreign_keys_hold(database: Database) -> None:
    violations = await database.fetch_all("PRAGMA foreign_key_check")
    assert violations == []
    enforced = await database.fetch_one("PRAGMA foreign_keys")
    assert enforced is not None
    assert enforced[0] == 1
