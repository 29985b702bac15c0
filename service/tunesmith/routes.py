"""Which handler answers which message, and what drives which task."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

from tunesmith.protocol.catalog import MESSAGES, Call, Handler
from tunesmith.protocol.message_schema import message_schemas
from tunesmith.protocol.messages.server import GetSchema, SchemaReply
from tunesmith.services.backtests import answers, backtest_requests, report_requests
from tunesmith.services.daemon import server_requests
from tunesmith.services.market import data_requests
from tunesmith.services.packages import package_requests
from tunesmith.services.requests import audit_log
from tunesmith.services.requests.idempotency import Finish, once
from tunesmith.services.requests.lookups import looked_up
from tunesmith.services.runtime.context import Context
from tunesmith.services.schedules import schedule_requests
from tunesmith.services.searches import analysis_requests, optimization_requests, search_tasks
from tunesmith.services.sessions import session_plans, session_requests, session_runs
from tunesmith.services.strategies import strategy_requests
from tunesmith.services.tasks import task_requests
from tunesmith.services.verdicts import replay_requests, verdict_requests, verdict_tasks
from tunesmith.services.walkforwards import walkforward_requests


def schema(context: Context, request: GetSchema, call: Call) -> SchemaReply:
    """The JSON Schemas of every message, or of one type."""
    return message_schemas(request.type)


class Route(NamedTuple):
    """The use case behind a message type; `finish` completes the reply of one that changes something."""

    handle: Callable[..., Any]
    finish: Finish | None = None


ROUTES: dict[str, Route] = {
    "ping": Route(server_requests.ping),
    "server.info": Route(server_requests.info),
    "schema.get": Route(schema),
    "workers.resize": Route(server_requests.resize),
    "strategy.create": Route(strategy_requests.create),
    "strategy.get": Route(strategy_requests.get),
    "strategy.list": Route(strategy_requests.list_all),
    "strategy.update": Route(strategy_requests.update),
    "strategy.delete": Route(strategy_requests.delete),
    "strategy.approve": Route(verdict_requests.approve, verdict_requests.await_verdict),
    "backtest.start": Route(backtest_requests.start),
    "backtest.status": Route(backtest_requests.status),
    "backtest.cancel": Route(backtest_requests.cancel),
    "optimization.start": Route(optimization_requests.start),
    "optimization.status": Route(optimization_requests.status),
    "optimization.results": Route(optimization_requests.results),
    "optimization.cancel": Route(optimization_requests.cancel),
    "optimization.resume": Route(optimization_requests.resume),
    "optimization.analyze": Route(analysis_requests.analyze),
    "optimization.compare": Route(analysis_requests.compare),
    "optimization.export": Route(analysis_requests.export),
    "session.plan": Route(session_plans.plan),
    "session.generate": Route(session_requests.generate),
    "session.execute": Route(session_requests.execute),
    "session.status": Route(session_requests.status),
    "session.cancel": Route(session_requests.cancel),
    "session.list": Route(session_requests.list_all),
    "session.results": Route(session_requests.results),
    "session.clean": Route(session_requests.clean),
    "schedule.create": Route(schedule_requests.create),
    "schedule.list": Route(schedule_requests.list_all),
    "schedule.delete": Route(schedule_requests.delete),
    "walkforward.start": Route(walkforward_requests.start),
    "walkforward.status": Route(walkforward_requests.status),
    "verdict.status": Route(verdict_requests.status),
    "verdict.get": Route(verdict_requests.get),
    "verdict.list": Route(verdict_requests.list_all),
    "verdict.replay": Route(replay_requests.start, replay_requests.await_replay),
    "replay.status": Route(replay_requests.status),
    "package.latest": Route(package_requests.latest),
    "package.get": Route(package_requests.get),
    "package.list": Route(package_requests.list_all),
    "package.revoke": Route(package_requests.revoke),
    "package.rollback": Route(package_requests.roll_back),
    "package.ack": Route(package_requests.acknowledge),
    "report.get": Route(report_requests.get),
    "report.list": Route(report_requests.list_all),
    "task.list": Route(task_requests.list_all),
    "task.cancel": Route(task_requests.cancel),
    "task.logs": Route(task_requests.logs),
    "data.list": Route(data_requests.list_all),
    "data.import": Route(data_requests.import_bars),
    "audit.list": Route(audit_log.list_all),
    "events.snapshot": Route(server_requests.snapshot),
    "events.replay": Route(server_requests.replay),
}
"""Message type → use case; every type of `MESSAGES` stands here."""

DRIVERS = {
    backtest_requests.KIND: backtest_requests.run,
    search_tasks.KIND: optimization_requests.run,
    session_runs.KIND: session_runs.run,
    verdict_tasks.KIND: verdict_requests.run,
    replay_requests.KIND: replay_requests.run,
    walkforward_requests.KIND: walkforward_requests.run,
}
"""Task kind → what drives it."""


LOOKED_UP = ("strategy.get", "package.get", "package.latest")
"""What bots look up again and again, and what the database and the time alone decide."""


def handlers(context: Context) -> dict[str, Handler]:
    """The handler of every message type, with idempotency around those that change something."""
    return {
        name: once(context, route.handle, route.finish)
        if MESSAGES[name].changes
        else answers.about_tasks(context, route.handle)
        if name in answers.ABOUT_TASKS
        else looked_up(context.database, functools.partial(route.handle, context))
        if name in LOOKED_UP
        else functools.partial(route.handle, context)
        for name, route in ROUTES.items()
    }
