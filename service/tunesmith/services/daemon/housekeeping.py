"""What the daemon does beside answering: packages expire, gauges are set, what nobody needs any more is removed."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable

import structlog

from tunesmith import telemetry
from tunesmith.errors import TunesmithError
from tunesmith.services.daemon.import_audit import ImportActs
from tunesmith.services.daemon.key_audit import KeyActs
from tunesmith.services.daemon.upkeep import back_up_when_due, watch_clock, watch_disk
from tunesmith.services.packages.package_requests import announce_withdrawn
from tunesmith.services.packages.reissuing import Reissuing
from tunesmith.services.runtime.context import Context
from tunesmith.services.schedules.schedule_requests import run_due
from tunesmith.services.schedules.suspension import suspend_revoked
from tunesmith.storage.market.snapshots import open_snapshots
from tunesmith.storage.sqlite.connections import Connection
from tunesmith.storage.tables import null_vector_table, package_table, reply_table, task_table
from tunesmith.storage.timestamps import iso

logger = structlog.get_logger(__name__)

_INTERVAL_S = 1.0
_REMOVAL_INTERVAL_S = 600.0
_TOLD_S = 60.0
_DAY_S = 86_400.0
_SHA256 = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
_STATES = ("pending", "running", "completed", "failed", "cancelled")

Step = Callable[[Context], Awaitable[object]]


async def keep_house(context: Context) -> None:
    """Run until cancelled; a step that fails is logged, and is tried again when its turn comes."""
    await asyncio.gather(
        _repeat(context, _INTERVAL_S, watch_disk),
        _repeat(context, _INTERVAL_S, expire_packages, set_gauges),
        _repeat(context, _INTERVAL_S, watch_clock, run_due),
        _repeat(context, _INTERVAL_S, back_up_when_due),
        _repeat(context, _INTERVAL_S, Reissuing().reissue_packages),
        _repeat(context, _INTERVAL_S, KeyActs().enter_key_acts, suspend_revoked),
        _repeat(context, _INTERVAL_S, ImportActs().enter_imports),
        _repeat(context, _REMOVAL_INTERVAL_S, remove_snapshots, forget_replies, forget_null_vectors),
    )


async def _repeat(context: Context, interval_s: float, *steps: Step) -> None:
    told: dict[str, tuple[str, float]] = {}
    while True:
        for step in steps:
            try:
                await step(context)
            except TunesmithError as error:
                reason, until = told.get(step.__name__, ("", 0.0))
                if reason != error.message or time.monotonic() > until:  # a full disk is not news every second
                    told[step.__name__] = (error.message, time.monotonic() + _TOLD_S)
                    logger.warning("housekeeping failed", step=step.__name__, reason=error.message)
            except Exception:  # a fault of ours in one step must not end the others for good
                logger.exception("housekeeping failed", step=step.__name__)
        await asyncio.sleep(interval_s)


async def expire_packages(context: Context) -> int:
    """Take packages whose time is over out of force and announce it; how many there were.

    It is for good, so a clock that was set must have stayed so for a while before a package expires by it.
    """
    steady_s = context.noticed.steady.now_s(context.settings.server.clock_grace_s)
    over = iso(int(min(time.time(), steady_s) * 1000))
    if not await package_table.n_due(context.database, over):
        return 0

    async def write(conn: Connection) -> int:
        due = await package_table.expire_due(conn, over)
        why = [(row, f"it was valid until {row.valid_until}") for row in due]
        await announce_withdrawn(conn, "package.expired", why)
        return len(due)

    n_expired = await context.database.write(write)
    telemetry.PACKAGES.labels("expired").inc(n_expired)
    return n_expired


async def set_gauges(context: Context) -> None:
    """Bring the gauges that nobody counts up and down to what they measure."""
    counts = await task_table.count_by_status(context.database)
    for status in _STATES:
        telemetry.TASKS.labels(status).set(counts.get(status, 0))
    stats = context.executor.stats()
    telemetry.WORKERS.set(stats.alive)
    telemetry.QUEUE_DEPTH.set(stats.queued)
    database = context.database
    telemetry.EVENT_HEAD.set(database.head)
    telemetry.DATABASE_DAMAGED.set(database.damage is not None)
    telemetry.DATABASE_REFUSING.set(database.refusal is not None)
    telemetry.DATABASE_FAILURES.inc(database.counts.failures - context.noticed.n_failures)
    context.noticed.n_failures = database.counts.failures


async def remove_snapshots(context: Context) -> int:
    """Remove snapshots that no unfinished task names and nobody asked for lately; how many there were.

    Nothing is taken for old soon after the clock was set; that holds for replies as well.
    """
    if not context.noticed.is_calm:
        return 0
    unfinished = await task_table.unfinished(context.database)
    named = {name for row in unfinished for name in _SHA256.findall(f"{row.request} {row.state}")}
    snapshots = open_snapshots(context.settings.data_dir)
    older_than_s = context.settings.retention.snapshot_days * _DAY_S
    return await asyncio.to_thread(snapshots.prune, named, older_than_s)


async def forget_replies(context: Context) -> int:
    """Forget stored replies whose time is over, some at a time so that no write is long; how many there were."""
    if not context.noticed.is_calm:
        return 0
    before = _days_ago(context.settings.retention.reply_days)
    n_forgotten = 0
    while n := await context.database.write(lambda conn: reply_table.forget(conn, before)):
        n_forgotten += n
    return n_forgotten


async def forget_null_vectors(context: Context) -> int:
    """Forget null vectors that were made long ago; a verdict that needs them makes them again. How many there were."""
    if not context.noticed.is_calm:
        return 0
    before = _days_ago(context.settings.retention.reply_days)
    n_forgotten = 0
    while n := await context.database.write(lambda conn: null_vector_table.forget(conn, before)):
        n_forgotten += n
    return n_forgotten


def _days_ago(days: float) -> str:
    return iso(int((time.time() - days * _DAY_S) * 1000))
