"""What a user had going on who was revoked: schedules are suspended, tasks cancelled, each told in the audit log.

A schedule needs an operator for its approvals, so a demotion to bot suspends it as well. It runs again once an operator
creates it anew, and not because a name was given to another key.
"""

from __future__ import annotations

import structlog

from tunesmith.errors import Forbidden
from tunesmith.services.runtime.context import Context
from tunesmith.storage.sqlite.connections import Connection
from tunesmith.storage.tables import audit_table, schedule_table, task_table
from tunesmith.storage.tables.audit_table import FILES, NewEntry
from tunesmith.storage.timestamps import now

logger = structlog.get_logger(__name__)

REVOKED = "the key or token of {user} was revoked"
DEMOTED = "{user} is a bot by now, and approvals need an operator"


async def suspend_revoked(context: Context) -> int:
    """Suspend the schedules of who is no operator, cancel the tasks of who may nothing; how many of both."""
    schedules = [each for each in await schedule_table.listing(context.database) if each.suspended is None]
    tasks = await task_table.unfinished(context.database)
    roles = {user: context.role_of(user) for user in {*(s.user for s in schedules), *(t.user for t in tasks)}}
    n = 0
    for schedule in schedules:
        if roles[schedule.user] != "operator":
            await suspend(context, schedule.id, schedule.user)
            n += 1
    for task in tasks:
        if roles[task.user] is None:
            why = REVOKED.format(user=task.user)
            context.tasks.log(task.id, "warning", f"cancelled: {why}")
            if await context.tasks.cancel(task.id, Forbidden(why).problem()):
                await _enter(context, task.user, "task.cancel", task.id, why)
                n += 1
    return n


async def suspend(context: Context, schedule_id: str, user: str) -> None:
    """Have a schedule run no more until an operator creates it anew."""
    why = (REVOKED if context.role_of(user) is None else DEMOTED).format(user=user)
    await context.database.write(lambda conn: schedule_table.suspend(conn, schedule_id, why))
    await _enter(context, user, "schedule.suspend", schedule_id, why)


async def _enter(context: Context, user: str, act: str, target: str, why: str) -> None:
    logger.warning("revoked with its user", act=act, target=target, user=user)
    entry = NewEntry(
        time=now(),
        user=user,
        role="",
        door=FILES,
        client="",
        type=act,
        request_id="",
        target=target,
        outcome="ok",
        detail=why,
    )

    async def write(conn: Connection) -> None:
        await audit_table.append(conn, entry)

    await context.database.write(write)
