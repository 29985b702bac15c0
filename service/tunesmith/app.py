"""The composition root: which handler answers which message, and how the daemon's parts are put together.

python -m tunesmith.app [--config FILE] [--data-dir DIR] [--requests ADDR] [--events ADDR] [--inbox ADDR]
                        [--http HOST:PORT]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import structlog
import zmq

from tunesmith import __version__, telemetry
from tunesmith.config import Settings, load
from tunesmith.domain.messages.catalog import MESSAGES, Handler
from tunesmith.errors import TunesmithError
from tunesmith.services import (
    backtests,
    data,
    optimizations,
    packages,
    reports,
    server,
    strategies,
    tasks,
    verdicts,
)
from tunesmith.services.context import Context
from tunesmith.services.jobs.pool import ProcessPool
from tunesmith.services.jobs.tasks import Tasks
from tunesmith.services.once import Finish, once
from tunesmith.storage import outbox
from tunesmith.storage.database import Database
from tunesmith.storage.market import MarketStore
from tunesmith.storage.strategies import seed_builtins
from tunesmith.transport.events import EventsDoor
from tunesmith.transport.http import HttpDoor, Probes
from tunesmith.transport.router import Router
from tunesmith.transport.sockets import InboxDoor, RequestsDoor

logger = structlog.get_logger(__name__)


class Route(NamedTuple):
    """The use case behind a message type; `finish` completes the reply of one that changes something."""

    handle: Callable[..., Any]
    finish: Finish | None = None


ROUTES: dict[str, Route] = {
    "ping": Route(server.ping),
    "server.info": Route(server.info),
    "schema.get": Route(server.schema),
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
    "verdict.status": Route(verdicts.status),
    "verdict.get": Route(verdicts.status),
    "verdict.list": Route(verdicts.list_all),
    "package.latest": Route(packages.latest),
    "package.get": Route(packages.get),
    "package.list": Route(packages.list_all),
    "package.revoke": Route(packages.revoke),
    "report.get": Route(reports.get),
    "report.list": Route(reports.list_all),
    "task.list": Route(tasks.list_all),
    "task.logs": Route(tasks.logs),
    "data.list": Route(data.list_all),
    "data.import": Route(data.import_bars),
    "events.snapshot": Route(server.snapshot),
    "events.replay": Route(server.replay),
}
"""Message type → use case; every type of `MESSAGES` stands here."""

DRIVERS = {
    backtests.KIND: backtests.run,
    optimizations.KIND: optimizations.run,
    verdicts.KIND: verdicts.run,
}
"""Task kind → what drives it."""


class Daemon:
    """The parts of a running daemon, in the order in which they start. Start-up and recovery are one path."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._stack = contextlib.AsyncExitStack()
        self.doors: dict[str, str | None] = {}
