"""Reports of backtests."""

from __future__ import annotations

from typing import ClassVar

from tunesmith.domain.records import JsonObject
from tunesmith.domain.trading import OWN_ENGINE
from tunesmith.storage.sqlite.connections import Connection, Source
from tunesmith.storage.sqlite.rows import Page, Row, insert, page, select_one


class ReportSummaryRow(Row, frozen=True, kw_only=True):
    """A report without its large parts."""

    table: ClassVar[str] = "backtest_reports"

    id: str
    task_id: str | None
    optimization_id: str | None
    strategy_id: str
    strategy_version: str
    code_hash: str
    venue: str
    symbol: str
    timeframe: str
    params: JsonObject
    metrics: dict[str, float | None]
    start_date: str
    end_date: str
    used_holdout: bool
    data_hash: str
    costs: dict[str, float]
    fill: str
    direction: str
    initial_cash: float
    created_at: str
    warnings: list[str] = []
    bars: JsonObject | None = None


class ReportRow(ReportSummaryRow, frozen=True, kw_only=True):
    """A whole report: `equity` holds pairs of UTC milliseconds and equity, `engine` is what evaluated."""

    engine: str = OWN_ENGINE
    stats: JsonObject
    trades: list[JsonObject]
    equity: list[tuple[int, float]]


async def create(conn: Connection, report: ReportRow) -> None:
    """Stores a report; the columns to sort by come out of its metrics."""
    columns = {"max_drawdown": "max_drawdown", "sharpe_ratio": "sharpe", "total_return": "total_return"}
    await insert(conn, report, {column: report.metrics.get(name) for column, name in columns.items()})


async def get(source: Source, report_id: str) -> ReportRow | None:
    """The whole report, or None."""
    return await select_one(source, ReportRow, "WHERE id = ?", (report_id,))


async def summary(source: Source, report_id: str) -> ReportSummaryRow | None:
    """The report without its large parts, or None."""
    return await select_one(source, ReportSummaryRow, "WHERE id = ?", (report_id,))


async def of_task(source: Source, task_id: str) -> ReportSummaryRow | None:
    """The report that a task made, without its large parts, or None."""
    return await select_one(source, ReportSummaryRow, "WHERE task_id = ?", (task_id,))


async def listing(
    source: Source,
    *,
    symbol: str | None = None,
    strategy_id: str | None = None,
    optimization_id: str | None = None,
    limit: int = 50,
    offset: int = 0,
) -> Page:
    """`ReportSummaryRow`s, newest first."""
    filters = {"symbol": symbol, "strategy_id": strategy_id, "optimization_id": optimization_id}
    order = "created_at DESC, rowid DESC"
    return await page(source, ReportSummaryRow, filters, order=order, limit=limit, offset=offset)
