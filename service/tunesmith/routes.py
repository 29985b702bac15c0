"""Which handler answers which message, and what drives which task."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

from tunesmith.protocol.catalog import MESSAGES, Call, Handler
from tunesmith.protocol.messages.server import GetSchema, SchemaReply
from tunesmith.protocol.schema import message_schemas
from tunesmith.services.backtests import answers, backtests, reports
from tunesmith.services.daemon import server
from tunesmith.services.market import data
from tunesmith.services.packages import packages
from tunesmith.services.requests import audit
from tunesmith.services.requests.lookups import looked_up
from tunesmith.services.requests.once import Finish, once
from tunesmith.services.runtime.context import Context
from tunesmith.services.schedules import schedules
from tunesmith.services.searches import analysis, optimizations, search_tasks
from tunesmith.services.sessions import session_plans, session_runs, sessions
from tunesmith.services.strategies import strategies
from tunesmith.services.tasks import tasks
from tunesmith.services.verdicts import replays, verdict_tasks, verdicts
from tunesmith.services.walkforwards import walkforwards


def schema(context: Context, request: GetSchema, call: Call) -> SchemaReply:
    """The JSON Schemas of every message, or of one type."""
    return message_schemas(request.type)


class Route(NamedTuple):
    """The use case behind a message type; `finish` completes the reply of one that changes something."""

    handle: Callable[..., Any]
    finish: Finish | None = None


ROUTES: dict[str, Route] = {
    "ping": Route(server.ping),
    "server.info": Route(server.info),
    "schema.get": Route(schema),
    "workers.resize": Route(server.resize),
    "strategy.create": Route(strategies.create),
    "strategy.get": Route(strategies.get),
    "strategy.list": Route(strategies.list_all),
    "strategy.update": Route(strategies.update),
    "strategy.delete": Route(strategies.delete),
    "strategy.approve": Route(verdicts.approve, verdicts.await_verdict),
    "backtest.start": Route(backtests.start),
    "backtest.status": Route(backtests.status),
    "backtest.cancel": Route(backtests.cancel),
    "optimization.start": Route(optimizations.start),
    "optimization.status": Route(optimizations.status),
    "optimization.results": Route(optimizations.results),
    "optimization.cancel": Route(optimizations.cancel),
    "optimization.resume": Route(optimizations.resume),
    "optimization.analyze": Route(analysis.analyze),
    "optimization.compare": Route(analysis.compare),
    "optimization.export": Route(analysis.export),
    "session.plan": Route(session_plans.plan),
    "session.generate": Route(sessions.generate),
    "session.execute": Route(sessions.execute),
    "session.status": Route(sessions.status),
    "session.cancel": Route(sessions.cancel),
    "session.list": Route(sessions.list_all),
    "session.results": Route(sessions.results),
    "session.clean": Route(sessions.clean),
    "schedule.create": Route(schedules.create),
    "schedule.list": Route(schedules.list_all),
    "schedule.delete": Route(schedules.delete),
    "walkforward.start": Route(walkforwards.start),
    "walkforward.status": Route(walkforwards.status),
    "verdict.status": Route(verdicts.status),
    "verdict.get": Route(verdicts.get),
    "verdict.list": Route(verdicts.list_all),
    "verdict.replay": Route(replays.start, replays.await_replay),
    "replay.status": Route(replays.status),
    "package.latest": Route(packages.latest),
    "package.get": Route(packages.get),
    "package.list": Route(packages.list_all),
    "package.revoke": Route(packages.revoke),
    "package.rollback": Route(packages.roll_back),
    "package.ack": Route(packages.acknowledge),
    "report.get": Route(reports.get),
    "report.list": Route(reports.list_all),
    "task.list": Route(tasks.list_all),
    "task.cancel": Route(tasks.cancel),
    "task.logs": Route(tasks.logs),
    "data.list": Route(data.list_all),
    "data.import": Route(data.import_bars),
    "audit.list": Route(audit.list_all),
    "events.snapshot": Route(server.snapshot),
    "events.replay": Route(server.replay),
}
"""Message type → use case; every type of `MESSAGES` stands here."""

DRIVERS = {
    backtests.KIND: backtests.run,
    search_tasks.KIND: optimizations.run,
    session_runs.KIND: session_runs.run,
    verdict_tasks.KIND: verdicts.run,
    replays.KIND: replays.run,
    walkforwards.KIND: walkforwards.run,
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
