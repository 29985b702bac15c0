"""Schema versions: what the tables are, and how a database becomes newer."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from storage.opened import add_optimization, batch, over_database
from tunesmith.domain.metrics import METRICS, Metric
from tunesmith.storage import schema, trials
from tunesmith.storage.database import Database

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
    schema.migrate(conn)
    for table, wanted in USER_COLUMNS.items():
        assert columns(conn, table)[: len(wanted.split())] == wanted.split()
    assert set(USER_INDEXES) <= names(conn, "index")


def test_every_metric_is_a_column_of_trials(conn: sqlite3.Connection) -> None:
    schema.migrate(conn)
    assert set(METRICS) <= set(columns(conn, "trials"))


def test_migrating_again_changes_nothing(conn: sqlite3.Connection) -> None:
    newest = len(schema.migrations())
    assert schema.migrate(conn) == 0
    before = conn.execute("SELECT * FROM sqlite_schema").fetchall()
    assert schema.migrate(conn) == newest
    assert conn.execute("SELECT * FROM sqlite_schema").fetchall() == before
    assert conn.execute("PRAGMA user_version").fetchone()[0] == newest


def test_later_migrations_are_applied_to_older_databases(
    conn: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = schema.migrations()
    schema.migrate(conn)
    conn.execute("INSERT INTO meta (key, value) VALUES ('a', 'kept')")
    monkeypatch.setattr(schema, "migrations", lambda: [*steps, (len(steps) + 1, "ALTER TABLE meta ADD COLUMN note;\n")])
    assert schema.migrate(conn) == len(steps)
    assert conn.execute("SELECT value, note FROM meta WHERE key = 'a'").fetchone() == ("kept", None)


def test_a_migration_that_fails_leaves_nothing_of_itself(
    conn: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = schema.migrations()
    schema.migrate(conn)
    broken = "CREATE TABLE half (a);\nINSERT INTO nowhere VALUES (1);\n"
    monkeypatch.setattr(schema, "migrations", lambda: [*steps, (len(steps) + 1, broken)])
    with pytest.raises(sqlite3.OperationalError, match="nowhere"):
        schema.migrate(conn)
    assert "half" not in names(conn, "table")
    assert conn.execute("PRAGMA user_version").fetchone()[0] == len(steps)
    assert not conn.in_transaction


def test_a_script_is_split_into_whole_statements() -> None:
    script = "-- a; comment\nCREATE TABLE a (\n  b\n);\nCREATE TRIGGER t AFTER INSERT ON a\nBEGIN\n  SELECT 1;\nEND;\n"
    parts = list(schema.split(script))
    assert [re.sub(r"\s+", " ", part).strip()[-6:] for part in parts] == ["( b );", "; END;"]


def test_a_metric_that_came_later_is_a_column_after_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def add(conn: object) -> None:
        await add_optimization(conn, "o1")  # type: ignore[arg-type]
        await trials.insert_batch(conn, "o1", batch(0, [1.0]))  # type: ignore[arg-type]

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


@over_database
async def test_foreign_keys_hold(database: Database) -> None:
    violations = await database.fetch_all("PRAGMA foreign_key_check")
    assert violations == []
    enforced = await database.fetch_one("PRAGMA foreign_keys")
    assert enforced is not None
    assert enforced[0] == 1
