"""The REST routes: which path means which message."""

from __future__ import annotations

from typing import NamedTuple


class Route(NamedTuple):
    """One path that is one message; names in braces are fields of the request."""

    method: str
    path: str
    type: str


ROUTES = (
    Route("POST", "/api/backtest/start", "backtest.start"),
    Route("GET", "/api/backtest/status/{task_id}", "backtest.status"),
    Route("GET", "/api/strategies", "strategy.list"),
    Route("POST", "/api/strategies", "strategy.create"),
    Route("POST", "/api/strategies/approve", "strategy.approve"),
    Route("GET", "/api/strategies/{id}", "strategy.get"),
    Route("PUT", "/api/strategies/{id}", "strategy.update"),
    Route("DELETE", "/api/strategies/{id}", "strategy.delete"),
    Route("POST", "/api/optimization/start", "optimization.start"),
    Route("GET", "/api/optimization/status/{optimization_id}", "optimization.status"),
    Route("GET", "/api/optimization/results/{optimization_id}", "optimization.results"),
    Route("GET", "/api/reports", "report.list"),
    Route("GET", "/api/reports/{report_id}", "report.get"),
    Route("GET", "/api/packages", "package.list"),
)
"""Beside these, every type goes through `POST /api/messages/{type}`."""

ANY_MESSAGE = "/api/messages/{type}"
TASK_LOGS = "/api/tasks/{task_id}/logs"
