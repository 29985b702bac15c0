"""What the daemon watches beside its work: the database's file, room on the disk, backups, the clock."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import threading
import time

import structlog

from tunesmith import telemetry
from tunesmith.errors import TunesmithError
from tunesmith.services.runtime.context import Context
from tunesmith.services.runtime.incidents import elapsed_s
from tunesmith.services.schedules.schedule_requests import set_straight
from tunesmith.storage.faults import Damaged
from tunesmith.storage.sqlite import backups
from tunesmith.storage.sqlite.backups import Backup
from tunesmith.storage.sqlite.opening import CHECKED_BYTES
from tunesmith.storage.tables import outbox
from tunesmith.storage.timestamps import milliseconds

logger = structlog.get_logger(__name__)

LITTLE_ROOM_BYTES = 200 * 2**20
"""Below this much free space the daemon says so; SQLite needs some to write at all."""

FULL_BYTES = 2**20
"""Below this the disk counts as full, though a small write may still find its place."""

_FIRST_BACKUP_S = 60.0
_SECOND_BACKUP_SHARE = 1 / 24
_BACKUP_RETRY_S = 600.0
_JUMP_S = 5.0
_IDLE_S = 10.0


async def watch_disk(context: Context) -> None:
    """Look at the database's file and the room beside it, and try whether the disk takes writes.

    It is tried again where the disk refused, and every ten seconds where nobody writes: that a disk has turned
    read-only cannot be seen in any other way, and who asks for readiness shall know it before the first who is refused.
    """
    database, noticed = context.database, context.noticed
    was_refused = database.refusal is not None
    shrank = await database.look()
    if database.damage is None and (shrank or (not noticed.checked and database.path.stat().st_size > CHECKED_BYTES)):
        with contextlib.suppress(Damaged):  # it is noted
            await database.check()
    noticed.checked = True
    if database.damage is not None and not noticed.told_damage:
        noticed.told_damage = True
        logger.error(f"the database is damaged; {database.advice}", reason=database.damage)
    noticed.free_bytes = shutil.disk_usage(database.path.parent).free
    telemetry.DISK_FREE.set(noticed.free_bytes)
    telemetry.EVENTS_UNPUBLISHED.set(await outbox.n_unpublished(database))
    if database.counts.commits != noticed.n_commits:
        noticed.n_commits, noticed.written = database.counts.commits, elapsed_s()
    due = was_refused or elapsed_s() - noticed.written >= _IDLE_S
    if due and database.damage is None and noticed.free_bytes >= FULL_BYTES:
        await database.try_to_write()
        if was_refused:
            logger.info("the database takes writes again")


async def watch_clock(context: Context) -> None:
    """Notice that the clock was set, and bring schedules nearer that it would have put off."""
    noticed = context.noticed
    offset_s = time.time() - elapsed_s()
    jump_s, noticed.offset_s = offset_s - noticed.offset_s, offset_s
    if abs(jump_s) < _JUMP_S:
        return
    noticed.jumped_at = elapsed_s()
    telemetry.CLOCK_JUMPS.inc()
    logger.warning("the clock jumped", seconds=round(jump_s, 1))
    await set_straight(context)


async def back_up_when_due(context: Context) -> None:
    """Make a backup when the last one is old enough; a failure is told until one succeeds.

    The first is made a minute after there is something to keep, the second after a 24th of the interval: what is begun
    grows fast.
    """
    every_s, noticed = context.settings.backups.every_h * 3600.0, context.noticed
    if not every_s or context.database.damage is not None:
        return
    if noticed.backup_due is None:
        noticed.backup_due = await _first_due(context, every_s)
    if noticed.backup_due is None or elapsed_s() < noticed.backup_due:
        return
    stop = threading.Event()
    try:
        made = await context.database.back_up("schedule", stop.is_set)
    except TunesmithError as error:
        noticed.backup_trouble = f"the last backup failed: {error.message}"
        noticed.backup_due = elapsed_s() + min(_BACKUP_RETRY_S, every_s)
        telemetry.BACKUPS.labels("failed").inc()
        telemetry.BACKUP_FAILING.set(1)
        logger.error("the backup failed", reason=error.message)
    else:
        noticed.backup_trouble, noticed.backup_due = None, elapsed_s() + _interval_s(made, every_s)
        telemetry.BACKUPS.labels("made").inc()
        telemetry.BACKUP_FAILING.set(0)
        telemetry.BACKUP_TIME.set(milliseconds(made.made_at) / 1000)
        logger.info("backup made", file=str(made.path), megabytes=round(made.size / 2**20, 1))
    finally:
        stop.set()


async def _first_due(context: Context, every_s: float) -> float | None:
    """When this run's first backup is due, by the age of the newest one; None while there is nothing to keep."""
    there = await asyncio.to_thread(backups.listing, context.settings.backups_dir)
    if there:
        made_s = milliseconds(there[-1].made_at) / 1000
        telemetry.BACKUP_TIME.set(made_s)
        wait_s = _interval_s(there[-1], every_s)
        return elapsed_s() + wait_s - min(max(time.time() - made_s, 0.0), wait_s)
    if await backups.is_needed(context.database):
        return elapsed_s() + min(_FIRST_BACKUP_S, every_s * _SECOND_BACKUP_SHARE)
    return None


def _interval_s(newest: Backup, every_s: float) -> float:
    """Seconds from the newest backup to the next."""
    return every_s * _SECOND_BACKUP_SHARE if newest.number == 1 else every_s
