"""Backtests: one strategy, one set of parameters, one market."""

from __future__ import annotations

from tunesmith.compute.engines.engine_table import check_engine
from tunesmith.domain.space.space import encode_points
from tunesmith.domain.trading import Costs
from tunesmith.errors import Invalid, NotFound
from tunesmith.protocol.catalog import Call
from tunesmith.protocol.messages.backtests import (
    BacktestStarted,
    BacktestStatus,
    BacktestStatusReply,
    CancelBacktest,
    StartBacktest,
)
from tunesmith.services.backtests import answers
from tunesmith.services.backtests.report_requests import Origin, make_report
from tunesmith.services.market.market_windows import window_of
from tunesmith.services.market.payload_building import Assignment, assign
from tunesmith.services.requests.idempotency import Change
from tunesmith.services.runtime.context import Context
from tunesmith.services.runtime.task_runner import Job
from tunesmith.services.strategies import strategy_requests
from tunesmith.services.tasks import task_requests
from tunesmith.storage.sqlite.connections import Connection
from tunesmith.storage.tables import holdout_table, optimization_table, report_table
from tunesmith.storage.tables.task_table import TaskRow

KIND = "backtest"
_ESTIMATED_S = 1


class BacktestTask(Assignment, frozen=True, kw_only=True):
    """The stored request of a backtest."""

    params: dict[str, bool | int | float | str]
    use_holdout: bool
    optimization_id: str | None


async def start(context: Context, request: StartBacktest, call: Call) -> Change:
    """Store the task and answer its id. `not_found` for symbol or strategy, `invalid` for parameters and dates."""
    await task_requests.check_quota(context, call)
    row = await strategy_requests.load(context, request.strategy_id, request.strategy_version, path="/data/strategy_id")
    parsed = strategy_requests.parse(row)
    params = {**row.default_params, **request.params}
    point = encode_points(parsed.parameters, params, "/data/params")
    if not parsed.valid(point)[0]:
        raise Invalid("these parameters break a require(…) of the strategy", path="/data/params")
    check_engine(parsed, request.engine, request.costs or Costs(), request.direction, "/data")
    if request.optimization_id is not None:
        found = await optimization_table.get(context.database, request.optimization_id)
        if found is None or found.strategy_id != request.strategy_id:
            raise NotFound("there is no such optimization of this strategy", path="/data/optimization_id")
    window = await window_of(context, request, request.symbol, use_holdout=request.use_holdout)
    assignment = assign(row, window)
    task = BacktestTask(
        strategy=assignment.strategy,
        window=window,
        params=params,
        use_holdout=request.use_holdout,
        optimization_id=request.optimization_id,
    )
    task_id = task_requests.new_id("bt")
    stored: list[TaskRow] = []

    async def apply(conn: Connection) -> BacktestStarted:
        await task_requests.check_quota(context, call, conn)
        stored.append(await task_requests.insert(conn, call, task_id, KIND, task))
        if request.use_holdout:
            span = (window.start_ms, window.end_ms)
            await holdout_table.record_look(conn, window.venue, window.symbol, span, call.user, "backtest", task_id)
        return BacktestStarted(
            task_id=task_id, status="pending", estimated_time=_ESTIMATED_S, withheld_from=window.withheld_from
        )

    return Change(apply, after=lambda: context.tasks.start(stored[-1]))


async def status(context: Context, request: BacktestStatus, call: Call) -> BacktestStatusReply:
    """Where the backtest stands, with its metrics once it is done. `not_found`."""
    row = await task_requests.load(context, request.task_id, KIND)
    return await _reply(context, row)


async def cancel(context: Context, request: CancelBacktest, call: Call) -> Change:
    """Cancel a backtest. `not_found`, `conflict` when it has come to its own end."""
    row = await task_requests.cancel_one(context, call, request.task_id, KIND)
    reply = await _reply(context, row)

    async def apply(conn: Connection) -> BacktestStatusReply:
        return reply

    return Change(apply)


async def run(context: Context, job: Job) -> None:
    """Drive a backtest: cut the window and make the report in a worker, or find both in the cache; store it."""
    task = job.decode(BacktestTask)
    data, made = await answers.backtest(context, job, task, task.params)
    job.advance(2, 3)
    report = make_report(
        Origin(
            report_id=task_requests.new_id("rp"),
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


async def _reply(context: Context, row: TaskRow) -> BacktestStatusReply:
    progress, _ = task_requests.live_progress(context, row)
    report = await report_table.of_task(context.database, row.id) if row.status == "completed" else None
    task = task_requests.request_of(row, BacktestTask)
    return BacktestStatusReply(
        task_id=row.id,
        status=row.status,
        progress=progress,
        report_id=report.id if report else None,
        optimization_id=task.optimization_id,
        metrics=report.metrics if report else None,
        withheld_from=task.window.withheld_from,
        error=row.error,
    )
