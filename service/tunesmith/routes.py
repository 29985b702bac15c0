"""Which handler answers which message: the routes of every use case and of every kind of task."""

from __future__ import annotations

from tunesmith.protocol.catalog import Call, Handler
from tunesmith.protocol.message_schema import message_schemas
from tunesmith.protocol.messages.server import GetSchema, SchemaReply
from tunesmith.services.backtests import backtest_requests, report_requests
from tunesmith.services.daemon import server_requests
from tunesmith.services.market import data_requests
from tunesmith.services.packages import package_requests
from tunesmith.services.requests import audit_log
from tunesmith.services.requests.handlers import Route
from tunesmith.services.runtime.context import Context
from tunesmith.services.schedules import schedule_requests
from tunesmith.services.searches import optimization_requests
from tunesmith.services.sessions import session_plans, session_requests
from tunesmith.services.strategies import strategy_requests
from tunesmith.services.tasks import task_requests
from tunesmith.services.tasks.task_kinds import KINDS
from tunesmith.services.verdicts import replay_requests, verdict_plans, verdict_requests
from tunesmith.services.walkforwards import walkforward_requests


def schema(context: Context, request: GetSchema, call: Call) -> SchemaReply:
    """The JSON Schemas of every message, or of one type."""
    return message_schemas(request.type)


ROUTES: dict[str, Route] = {
    "ping": Route(server_requests.ping),
    "server.info": Route(server_requests.info),
    "schema.get": Route(schema),
    "workers.resize": Route(server_requests.resize),
    "strategy.create": Route(strategy_requests.create),
    "strategy.get": Route(strategy_requests.get, looked_up=True),
    "strategy.list": Route(strategy_requests.list_all),
    "strategy.update": Route(strategy_requests.update),
    "strategy.delete": Route(strategy_requests.delete),
    "search.plan": Route(verdict_plans.plan_search),
    "verdict.plan": Route(verdict_plans.plan_verdict),
    "session.plan": Route(session_plans.plan),
    "schedule.create": Route(schedule_requests.create),
    "schedule.list": Route(schedule_requests.list_all),
    "schedule.delete": Route(schedule_requests.delete),
    "package.latest": Route(package_requests.latest, looked_up=True),
    "package.get": Route(package_requests.get, looked_up=True),
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
    "data.show": Route(data_requests.show),
    "data.remove": Route(data_requests.remove),
    "audit.list": Route(audit_log.list_all),
    "events.snapshot": Route(server_requests.snapshot),
    "events.replay": Route(server_requests.replay),
}
"""Message type → use case, of the messages that are about no kind of task."""

FEATURES = (
    backtest_requests,
    optimization_requests,
    session_requests,
    walkforward_requests,
    verdict_requests,
    replay_requests,
)
"""The modules that register the daemon's kinds of task when they are imported."""


def all_routes() -> dict[str, Route]:
    """Message type → use case, of every message: those of `ROUTES` and of every registered kind of task."""
    of_tasks = [kind.all_routes() for kind in KINDS.values()]
    return ROUTES | {name: route for routes in of_tasks for name, route in routes.items()}


def handlers(context: Context) -> dict[str, Handler]:
    """The handler of every message type, with idempotency around those that change something."""
    return {name: route.handler(context, name) for name, route in all_routes().items()}
