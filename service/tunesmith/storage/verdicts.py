"""Verdicts: the decisions on searches and backtests. A verdict's id is its task's."""

from __future__ import annotations

from typing import Any, ClassVar

from tunesmith.domain.messages.envelope import Grade
from tunesmith.domain.messages.verdicts import VerdictStatus
from tunesmith.storage.connections import Connection, Source
from tunesmith.storage.rows import Page, Row, insert, page, select_one


class VerdictRow(Row, frozen=True, kw_only=True):
    """One decision: approved, paper_only, rejected or insufficient_data, with its checks and evidence."""

    table: ClassVar[str] = "verdicts"

    id: str
    user: str
    strategy_id: str
    optimization_id: str | None
    report_id: str | None
    venue: str
    symbol: str
    timeframe: str
    verdict: VerdictStatus
    grade: Grade | None
    reason: str
    checks: list[dict[str, Any]]
    evidence: dict[str, Any]
    package_id: str | None
    request_key: str | None = None
    created_at: str


async def create(conn: Connection, verdict: VerdictRow) -> None:
    """Stores a verdict; its task, search and report must be there."""
    await insert(conn, verdict)


async def get(source: Source, verdict_id: str) -> VerdictRow | None:
    """The verdict, or None while there is none."""
    return await select_one(source, VerdictRow, "WHERE id = ?", (verdict_id,))


async def with_key(source: Source, key: str) -> VerdictRow | None:
    """The verdict that was given to the same request, or None."""
    return await select_one(source, VerdictRow, "WHERE request_key = ?", (key,))


async def listing(
    source: Source,
    *,
    symbol: str | None = None,
    strategy_id: str | None = None,
    venue: str | None = None,
    limit: int = 50,
    offset: int = 0,
) -> Page:
    """`VerdictRow`s, newest first."""
    filters = {"symbol": symbol, "strategy_id": strategy_id, "venue": venue}
    return await page(source, VerdictRow, filters, order="created_at DESC, rowid DESC", limit=limit, offset=offset)
