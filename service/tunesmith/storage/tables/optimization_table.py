"""Searches and their results. A search's id, status and progress are its task's."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

from tunesmith.domain.records import JsonObject
from tunesmith.errors import NotFound
from tunesmith.protocol.envelope import TaskStatus
from tunesmith.storage.sqlite.connections import Connection, Source
from tunesmith.storage.sqlite.rows import Row, insert, select_one
from tunesmith.storage.timestamps import now


class NewOptimization(Row, frozen=True, kw_only=True):
    """A search as it begins; `details` holds what else it needs (constraints, costs, fill, …)."""

    table: ClassVar[str] = "optimization_tasks"

    id: str
    strategy_id: str
    strategy_version: str
    venue: str
    symbol: str
    timeframe: str
    param_ranges: JsonObject
    optimization_target: str
    method: str
    seed: int
    n_trials: int
    start_date: str | None
    end_date: str | None
    withheld_from: str | None
    data_hash: str
    details: JsonObject


class OptimizationRow(NewOptimization, frozen=True, kw_only=True):
    """A search; `n_done` trials are stored, of which `n_failed` could not be evaluated."""

    status: TaskStatus
    progress: float
    n_done: int
    n_failed: int
    report_id: str | None
    verdict_id: str | None
    created_at: str
    completed_at: str | None


class ResultRow(Row, frozen=True, kw_only=True):
    """What a search found: its best trial. A search without a valid trial has none."""

    table: ClassVar[str] = "optimization_results"

    id: str
    optimization_id: str
    best_params: JsonObject
    best_score: float
    best_index: int
    front: list[int] | None
    stopped_by: str | None
    created_at: str


async def create(conn: Connection, new: NewOptimization) -> None:
    """Stores a search beside its task, which must be there."""
    await insert(conn, new, {"created_at": now()})


async def get(source: Source, optimization_id: str) -> OptimizationRow | None:
    """The search, or None."""
    return await select_one(source, OptimizationRow, "WHERE id = ?", (optimization_id,))


class Best(NamedTuple):
    """The best trial: its parameters, its (first) target's value and its number."""

    params: JsonObject
    score: float
    number: int


async def set_result(
    conn: Connection,
    optimization_id: str,
    best: Best,
    front: list[int] | None = None,
    stopped_by: str | None = None,
) -> ResultRow:
    """Stores the best trial, a Pareto front's trials, and what ended the search early; a second call replaces it."""
    await conn.execute("DELETE FROM optimization_results WHERE optimization_id = ?", (optimization_id,))
    row = ResultRow(
        id=optimization_id,
        optimization_id=optimization_id,
        best_params=best.params,
        best_score=best.score,
        best_index=best.number,
        front=front,
        stopped_by=stopped_by,
        created_at=now(),
    )
    await insert(conn, row)
    return row


async def result(source: Source, optimization_id: str) -> ResultRow | None:
    """The best trial, or None while there is none."""
    return await select_one(source, ResultRow, "WHERE optimization_id = ?", (optimization_id,))


async def set_size(conn: Connection, optimization_id: str, n_trials: int) -> None:
    """Sets how many trials a search has, where it ended before its last."""
    await conn.execute("UPDATE optimization_tasks SET n_trials = ? WHERE id = ?", (n_trials, optimization_id))


async def link(
    conn: Connection, optimization_id: str, *, report_id: str | None = None, verdict_id: str | None = None
) -> None:
    """Stores which report or verdict came out of a search (None: as it was); raises `NotFound` when it is not there."""
    sql = """UPDATE optimization_tasks SET report_id = coalesce(?, report_id), verdict_id = coalesce(?, verdict_id)
             WHERE id = ?"""
    if not await conn.execute(sql, (report_id, verdict_id, optimization_id)):
        raise NotFound(f"there is no optimization {optimization_id!r}")
