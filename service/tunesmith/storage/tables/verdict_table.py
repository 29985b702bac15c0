"""Verdicts: the decisions on searches and backtests. A verdict's id is its task's."""

from __future__ import annotations

from typing import Any, ClassVar

from tunesmith.domain.approval import VerdictStatus
from tunesmith.protocol.grades import Grade
from tunesmith.storage.sqlite.connections import Connection, Source
from tunesmith.storage.sqlite.rows import Page, Row, insert, page, select_one

_ON_SYMBOL = "? IN (SELECT verdicts.symbol UNION ALL SELECT value ->> 'symbol' FROM json_each(verdicts.others))"


class VerdictRow(Row, frozen=True, kw_only=True):
    """One decision: approved, paper_only, rejected or insufficient_data, with its checks and evidence.

    `others` are the further symbols of one on several together: venue, symbol and package_id of each.
    """

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
    others: list[dict[str, str | None]] = []

    @property
    def package_ids(self) -> list[str]:
        """The packages that it made, in the order of its symbols."""
        made = [self.package_id, *(other["package_id"] for other in self.others)]
        return [package_id for package_id in made if package_id is not None]


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
    filters = {_ON_SYMBOL: symbol, "strategy_id": strategy_id, "venue": venue}
    return await page(source, VerdictRow, filters, order="created_at DESC, rowid DESC", limit=limit, offset=offset)
