"""How the daemon is: what keeps it from being ready, what makes it poorer, and figures beside them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from tunesmith import __version__
from tunesmith.errors import TunesmithError
from tunesmith.services.daemon.upkeep import FULL_BYTES, LITTLE_ROOM_BYTES
from tunesmith.services.runtime.context import Context


class Condition(NamedTuple):
    """Not ready for each of `reasons`; ready, but poorer, for each of `degraded`."""

    reasons: tuple[str, ...]
    degraded: tuple[str, ...]
    details: Mapping[str, Any]


async def condition(context: Context, alive: Mapping[str, Callable[[], bool]], *, draining: bool) -> Condition:
    """How database, disk, workers, cache and what runs beside them (`alive`) are."""
    stats = context.executor.stats()
    reasons = ["the daemon is stopping"] if draining else []
    reasons += await _about_database(context)
    reasons += [f"the {part} has ended" for part, is_alive in alive.items() if not is_alive()]
    if not stats.alive:
        reasons.append(f"no worker is alive: {stats.last_failure or 'they are being started'}")
    elif not stats.able:
        reasons.append(f"no worker is ready yet: {stats.last_failure or 'they are being started'}")
    noticed = context.noticed
    degraded = [await context.cache.trouble(), noticed.backup_trouble]
    if noticed.free_bytes is not None and noticed.free_bytes < LITTLE_ROOM_BYTES:
        degraded.append(f"{noticed.free_bytes / 2**20:.0f} MB are free on the disk, which is little")
    details = {
        "version": __version__,
        "uptime_s": round(asyncio.get_running_loop().time() - context.started, 3),
        "workers": {"alive": stats.alive, "ready": stats.ready, "busy": stats.busy, "queued": stats.queued},
        "tasks_running": len(context.tasks.jobs),
        "event_head": context.database.head,
    }
    return Condition(tuple(reasons), tuple(text for text in degraded if text is not None), details)


async def _about_database(context: Context) -> list[str]:
    database = context.database
    found = []
    try:
        await database.fetch_one("SELECT 1")
    except TunesmithError as error:
        found.append(f"the database does not answer: {error.message}")
    if database.damage is not None:
        found.append(f"{database.damage}; {database.advice}")
    elif database.refusal is not None:
        found.append(f"the database takes no writes: {database.refusal}")
    elif context.noticed.free_bytes is not None and context.noticed.free_bytes < FULL_BYTES:
        found.append("the disk is full: the database takes no more writes, or soon")
    return found
