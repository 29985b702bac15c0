"""Backtests: one strategy, one set of parameters, one market."""

from __future__ import annotations

import msgspec

from tunesmith.compute.engines.engine_table import check_engine
from tunesmith.domain.market.bars_used import BarsUsed
from tunesmith.domain.records import build
from tunesmith.domain.space import encode_points
from tunesmith.domain.trading import Costs
from tunesmith.errors import Invalid, NotFound
from tunesmith.protocol.catalog import Call
from tunesmith.protocol.messages.backtests import BacktestStarted, BacktestStatusReply, StartBacktest
from tunesmith.protocol.task_types import BACKTEST
from tunesmith.services.backtests import backtest_results
from tunesmith.services.backtests.report_requests import Origin, log_warnings, make_report
from tunesmith.services.market.market_windows import Assignment, assign, window_of
from tunesmith.services.requests.handlers import Route
from tunesmith.services.requests.idempotency import Change
from tunesmith.services.runtime.context import Context
from tunesmith.services.runtime.task_runner import Job
from tunesmith.services.strategies import strategy_requests
from tunesmith.services.tasks.task_kinds import (
    TaskKind,
    check_quota,
    live_progress,
    new_id,
    register,
    request_of,
    start_task,
)
from tunesmith.services.tasks.tried import Tried
from tunesmith.storage.sqlite.connections import Connection, Source
from tunesmith.storage.tables import holdout_table, optimization_table, report_table
from tunesmith.storage.tables.task_table import TaskRow

_ESTIMATED_S = 1


class BacktestTask(Assignment, frozen=True, kw_only=True):
    """The stored request of a backtest."""

    params: dict[str, bool | int | float | str]
    use_holdout: bool
    optimization_id: str | None


async def start(context: Context, request: StartBacktest, call: Call) -> Change:
    """Store the task and answer its id. `not_found` for symbol or strategy, `invalid` for parameters and dates."""
    await check_quota(context, call, KIND)
    row = await strategy_requests.load(context, request.strategy_id, request.strategy_version, path="/data/strategy_id")
    parsed = strategy_requests.parse(row)
    params = {**row.default_params, **request.params}
    point = encode_points(parsed.parameters, params, "/data/params")
    if not parsed.valid(point)[0]:
        raise Invalid("these parameters break a require(…) of the strategy", path="/data/params")
    direction = parsed.direction(request.direction)
    parsed.check_levels(direction, "/data/direction")
    check_engine(parsed, request.engine, request.costs or Costs(), direction, "/data")
    if request.optimization_id is not None:
        found = await optimization_table.get(context.database, request.optimization_id)
        if found is None or found.strategy_id != request.strategy_id:
            raise NotFound("there is no such optimization of this strategy", path="/data/optimization_id")
    window = await window_of(context, request, request.symbol, direction, use_holdout=request.use_holdout)
    assignment = assign(row, window)
    task = build(BacktestTask, assignment, request, window=window, params=params)
    new = KIND.new(task, label=request.label)

    async def answer(conn: Connection, row: TaskRow) -> BacktestStarted:
        if request.use_holdout:
            span = (window.start_ms, window.end_ms)
            await holdout_table.record_look(conn, window.venue, window.symbol, span, call.user, "backtest", row.id)
        return build(BacktestStarted, window, task_id=row.id, status="pending", estimated_time=_ESTIMATED_S)

    return start_task(context, call, new, answer)


async def run(context: Context, job: Job) -> None:
    """Drive a backtest: cut the window and make the report in a worker, or find both in the cache; store it."""
    task = job.decode(BacktestTask)
    data, made = await backtest_results.backtest(context, job, task, task.params)
    log_warnings(job, task.window.symbol, made)
    job.advance(2, 3)
    report = make_report(
        Origin(
            report_id=new_id("rp-"),
            task_id=job.id,
            optimization_id=task.optimization_id,
            used_holdout=task.use_holdout and data.end_ms > task.window.boundary_ms,
        ),
        task,
        data,
        made,
    )

    async def apply(conn: Connection) -> dict[str, object]:
        await report_table.create(conn, report)
        return {"report_id": report.id, "metrics": made["metrics"]}

    await job.complete(apply)


async def _show(context: Context, row: TaskRow, source: Source) -> BacktestStatusReply:
    """Where a backtest stands, with its metrics once it is done."""
    progress, _ = live_progress(context, row)
    report = await report_table.of_task(source, row.id) if row.status == "completed" else None
    task = request_of(row, BacktestTask)
    return build(
        BacktestStatusReply,
        row,
        task,
        task.window,
        task_id=row.id,
        progress=progress,
        report_id=report.id if report else None,
        metrics=report.metrics if report else None,
        warnings=report.warnings if report else [],
        bars=msgspec.convert(report.bars, BarsUsed | None) if report else None,
    )


def _tried(task: BacktestTask) -> Tried:
    return Tried(task.strategy, [task.window], params=task.params, n_at_end=1)


KIND = register(
    TaskKind(
        wire=BACKTEST,
        request=BacktestTask,
        drive=run,
        show=_show,
        counts=_tried,
        settles=True,
        routes={"backtest.start": Route(start)},
    )
)
