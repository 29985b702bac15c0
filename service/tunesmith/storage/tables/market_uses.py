"""What uses a market: tasks that are not done, schedules, packages in force, and what counts on it."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tunesmith.errors import Conflict
from tunesmith.protocol.messages.markets import MarketUses
from tunesmith.storage.sqlite.connections import Source
from tunesmith.storage.tables.holdout_table import Name
from tunesmith.storage.tables.market_table import reading

_QUERIES = (
    """SELECT id FROM tasks WHERE ?1 <> '' AND status IN ('pending', 'running')
           AND instr(request || coalesce(state, ''), json_quote(?2)) > 0 ORDER BY created_at""",
    "SELECT id FROM schedules WHERE ?1 <> '' AND instr(search, json_quote(?2)) > 0 ORDER BY id",
    """SELECT id FROM parameter_packages WHERE venue = ?1 AND symbol = ?2
           AND superseded_by IS NULL AND revoked_at IS NULL AND expired_at IS NULL ORDER BY seq""",
    "SELECT count(*) FROM counted_markets WHERE venue = ?1 AND symbol = ?2",
    "SELECT count(*) FROM holdout_looks WHERE venue = ?1 AND symbol = ?2",
)
"""Tasks and schedules name a market by its symbol: those of another venue are taken for its own."""
_SHOWN = 3


async def uses(source: Source, name: Name) -> MarketUses:
    """What uses the market of a venue and symbol."""
    return _uses([await source.fetch_all(sql, name) for sql in _QUERIES])


def stored_uses(database: Path, name: Name) -> MarketUses:
    """The same from the database at that path, whoever has it open; nothing where there is none."""
    if not database.exists():
        return MarketUses()
    with reading(database) as conn:
        return _uses([conn.execute(sql, name).fetchall() for sql in _QUERIES])


def refuse_used(found: MarketUses, said: str) -> None:
    """Raise `Conflict` where anything uses the market; `said` is how somebody removes it all the same."""
    parts = []
    for ids, one, many in (
        (found.tasks, "a task that is not done", "tasks that are not done"),
        (found.schedules, "a schedule", "schedules"),
        (found.packages, "a package in force", "packages in force"),
    ):
        if ids:
            shown = ", ".join(ids[:_SHOWN]) + (", …" if len(ids) > _SHOWN else "")
            parts.append(f"{one if len(ids) == 1 else f'{len(ids)} {many}'} ({shown})")
    if parts:
        raise Conflict(f"the market is used by {', '.join(parts)}; {said} removes its candles all the same",
                       path="/data/symbol")  # fmt: skip


def is_unmarked(database: Path, name: Name) -> bool:
    """Whether the market has a hold-out and no mark: an older program worked on it, and it would not be known again."""
    if not database.exists():
        return False
    sql = """SELECT EXISTS (SELECT 1 FROM holdouts WHERE venue = ?1 AND symbol = ?2)
                 AND NOT EXISTS (SELECT 1 FROM market_marks WHERE venue = ?1 AND symbol = ?2)"""
    with reading(database) as conn:
        return bool(conn.execute(sql, name).fetchone()[0])


def _uses(found: Sequence[Sequence[Any] | list[sqlite3.Row]]) -> MarketUses:
    tasks, schedules, packages = ([row[0] for row in rows] for rows in found[:3])
    return MarketUses(
        tasks=tasks, schedules=schedules, packages=packages, searches=found[3][0][0], looks=found[4][0][0]
    )
