"""Reports of backtests: made from what a worker found, stored, listed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from tunesmith.domain.market.bars_used import BarsUsed
from tunesmith.domain.records import build
from tunesmith.domain.trading import RUINED, is_ruined
from tunesmith.errors import NotFound
from tunesmith.protocol.catalog import Call
from tunesmith.protocol.messages.backtests import GetReport, ListReports, Report, ReportList, ReportSummary
from tunesmith.services.market.market_windows import Assignment, used_of
from tunesmith.services.runtime.context import Context
from tunesmith.services.runtime.task_runner import Job
from tunesmith.storage.tables import report_table
from tunesmith.storage.tables.report_table import ReportRow
from tunesmith.storage.timestamps import iso, now
from tunesmith.workers.chunks.payloads import Prepared


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a report comes from."""

    report_id: str
    task_id: str
    optimization_id: str | None
    used_holdout: bool


def make_report(origin: Origin, assignment: Assignment, data: Prepared, made: dict[str, Any]) -> ReportRow:
    """The row of a report from what the `backtest` chunk made."""
    window, strategy = assignment.window, assignment.strategy
    return build(
        ReportRow,
        origin,
        window,
        id=origin.report_id,
        strategy_id=strategy.id,
        strategy_version=strategy.version,
        code_hash=strategy.code_hash,
        params=made["params"],
        metrics=made["metrics"],
        start_date=iso(data.start_ms),
        end_date=iso(data.end_ms),
        data_hash=data.snapshot,
        costs=msgspec.to_builtins(window.costs),
        stats=made["stats"],
        trades=made["trades"],
        equity=made["equity"],
        warnings=made["warnings"],
        created_at=now(),
        bars=msgspec.to_builtins(used_of(data, made["longer"])),
    )


def log_warnings(job: Job, symbol: str, made: dict[str, Any]) -> None:
    """Write the warnings of what the `backtest` chunk made into the task's log, and that its account was ruined."""
    for warning in made["warnings"]:
        job.log(f"{symbol}: {warning}", "warning")
    if is_ruined(made["metrics"]["total_return"]):
        job.log(f"{symbol}: {RUINED}", "warning")


async def get(context: Context, request: GetReport, call: Call) -> Report:
    """A report whole. `not_found`."""
    row = await report_table.get(context.database, request.report_id)
    if row is None:
        raise NotFound(f"there is no report {request.report_id!r}", path="/data/report_id")
    return build(Report, row, report_id=row.id, bars=msgspec.convert(row.bars, BarsUsed | None))


async def list_all(context: Context, request: ListReports, call: Call) -> ReportList:
    """Reports without their large parts, newest first."""
    rows, total = await report_table.listing(
        context.database,
        symbol=request.symbol,
        strategy_id=request.strategy_id,
        optimization_id=request.optimization_id,
        limit=request.limit,
        offset=request.offset,
    )
    return ReportList(reports=[build(ReportSummary, row, report_id=row.id) for row in rows], total=total)
