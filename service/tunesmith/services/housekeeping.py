"""What the daemon does every second beside answering: packages expire, gauges are set."""

from __future__ import annotations

import asyncio

import structlog

from tunesmith import telemetry
from tunesmith.domain.topics import package_topic
from tunesmith.errors import TunesmithError
from tunesmith.services.context import Context
from tunesmith.storage import outbox, packages, tasks
from tunesmith.storage.connections import Connection

logger = structlog.get_logger(__name__)

_INTERVAL_S = 1.0
_STATES = ("pending", "running", "completed", "failed", "cancelled")


async def keep_house(context: Context) -> None:
    """Run until cancelled; a round that fails is logged and the next one tries again."""
    while True:
        try:
            await expire_packages(context)
            await set_gauges(context)
        except TunesmithError as error:
            logger.warning("housekeeping failed", reason=error.message)
        await asyncio.sleep(_INTERVAL_S)


async def expire_packages(context: Context) -> int:
    """Take packages whose time is over out of force and announce it; how many there were."""
    if not await packages.n_due(context.database):
        return 0

    async def write(conn: Connection) -> int:
        due = await packages.expire_due(conn)
        for row in due:
            topic = package_topic(row.symbol, row.timeframe, row.strategy_id)
            data = {"package_id": row.id, "reason": f"it was valid until {row.valid_until}"}
            await outbox.append(conn, topic, "package.expired", row.symbol, data)
        return len(due)

    n_expired = await context.database.write(write)
    telemetry.PACKAGES.labels("expired").inc(n_expired)
    return n_expired


async def set_gauges(context: Context) -> None:
    """Bring the gauges that nobody counts up and down to what they measure."""
    counts = await tasks.count_by_status(context.database)
    for status in _STATES:
        telemetry.TASKS.labels(status).set(counts.get(status, 0))
    stats = context.executor.stats()
    telemetry.WORKERS.set(stats.alive)
    telemetry.QUEUE_DEPTH.set(stats.queued)
    telemetry.EVENT_HEAD.set(context.database.head)
