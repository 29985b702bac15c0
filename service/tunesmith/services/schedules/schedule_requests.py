"""Schedules: searches that are made again and again on the newest bars, each on to a verdict."""

from __future__ import annotations

import asyncio
import functools
import time
from codecs import BOM_UTF8
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import structlog
from croniter import CroniterError, croniter

from tunesmith.domain.approval import VerdictWish
from tunesmith.domain.market.timeframes import timeframe_ms
from tunesmith.domain.records import build
from tunesmith.errors import Invalid, NotFound, TunesmithError
from tunesmith.protocol.catalog import Call
from tunesmith.protocol.messages.optimizations import StartOptimization
from tunesmith.protocol.messages.schedules import (
    CreateSchedule,
    ListSchedules,
    ScheduleById,
    ScheduleList,
    ScheduleReply,
)
from tunesmith.services.requests.idempotency import Change
from tunesmith.services.runtime.context import Context
from tunesmith.services.schedules.suspension import suspend
from tunesmith.services.searches.optimization_requests import insert_search
from tunesmith.services.searches.search_tasks import make_search
from tunesmith.storage.sqlite.connections import Connection
from tunesmith.storage.tables import schedule_table
from tunesmith.storage.tables.schedule_table import ScheduleRow
from tunesmith.storage.tables.task_table import TaskRow
from tunesmith.storage.timestamps import iso, milliseconds, now

logger = structlog.get_logger(__name__)


async def create(context: Context, request: CreateSchedule, call: Call) -> Change:
    """Store a schedule. `invalid` and `not_found` as for its search, which is tried out first."""
    try:
        await make_search(context, request.search)
    except TunesmithError as error:
        path = (error.path or "/data").replace("/data", "/data/search", 1)
        raise type(error)(error.message, path=path) from error
    row = _row(request, call.user)

    async def apply(conn: Connection) -> ScheduleReply:
        await schedule_table.put(conn, row)
        return _shown(row)

    return Change(apply)


async def load(context: Context) -> int:
    """Set the stored schedules straight, then store those of the settings' file that changed; how many it has.

    An entry that names no direction keeps that of the schedule which it made before: the default was long once.
    Raises `Invalid` for a file that is none.
    """
    await set_straight(context)
    name = context.settings.schedules.file
    if not name:
        return 0
    try:
        text = await asyncio.to_thread(_read, name)
        asked = msgspec.json.decode(text, type=list[CreateSchedule])
        named = ["direction" in entry["search"] for entry in msgspec.json.decode(text)]
    except OSError as error:
        raise Invalid(f"cannot read the schedules in {name}: {error.strerror}") from error
    except msgspec.DecodeError as error:
        raise Invalid(f"{name} holds no list of schedules: {error}") from error
    for request, names_direction in zip(asked, named, strict=True):
        row = _row(request, "settings")
        known = await schedule_table.get(context.database, row.id)
        if known is not None and not names_direction:
            row.search["direction"] = known.search["direction"]
        same = known is not None and (known.every, known.cron, known.search) == (row.every, row.cron, row.search)
        if not same:
            await context.database.write(functools.partial(schedule_table.put, schedule=row))
    return len(asked)


async def list_all(context: Context, request: ListSchedules, call: Call) -> ScheduleList:
    """Every schedule."""
    return ScheduleList(schedules=[_shown(row) for row in await schedule_table.listing(context.database)])


async def delete(context: Context, request: ScheduleById, call: Call) -> Change:
    """Delete a schedule; searches that it began go on. `not_found`."""
    row = await schedule_table.get(context.database, request.schedule_id)
    if row is None:
        raise NotFound(f"there is no schedule {request.schedule_id!r}", path="/data/schedule_id")

    async def apply(conn: Connection) -> ScheduleReply:
        await schedule_table.delete(conn, row.id)
        return msgspec.structs.replace(_shown(row), deleted=True)

    return Change(apply)


async def run_due(context: Context) -> int:
    """Begin the search of every schedule whose time has come; how many."""
    due = await schedule_table.due(context.database, now())
    for row in due:
        await _run(context, row)
    return len(due)


async def set_straight(context: Context) -> int:
    """Bring nearer what a clock that went backwards has put off; how many schedules.

    The next run of an interval is never further away than the interval, that of a cron expression never beyond the
    second time that it names. A time at which a schedule has run is not run again for less.
    """
    now_ms = _now_ms()
    moved = []
    for row in await schedule_table.listing(context.database):
        nearest = next_run(row.every, row.cron, now_ms, now_ms)
        furthest = nearest if row.every is not None else next_run(None, row.cron, nearest, nearest)
        if milliseconds(row.next_at) > furthest:
            moved.append((row.id, iso(nearest)))

    async def write(conn: Connection) -> None:
        for schedule_id, next_at in moved:
            await schedule_table.set_next(conn, schedule_id, next_at)

    if moved:
        await context.database.write(write)
        logger.warning("schedules were put off by the clock; they are due sooner now", schedules=dict(moved))
    return len(moved)


def next_run(every: str | None, cron: str | None, after_ms: int, from_ms: int) -> int:
    """The first time later than `after_ms` of an interval counted from `from_ms`, or of a cron expression; UTC ms.

    Raises `Invalid` for an expression that is none.
    """
    if every is not None:
        length = timeframe_ms(every)
        return from_ms + (max(0, after_ms - from_ms) // length + 1) * length
    start = datetime.fromtimestamp(after_ms / 1000, UTC)
    try:
        found: datetime = croniter(cron or "", start).get_next(datetime)
    except (CroniterError, ValueError) as error:
        raise Invalid(f"{cron!r} is no cron expression of five fields: {error}", path="/data/cron") from error
    return round(found.timestamp() * 1000)


def _row(request: CreateSchedule, user: str) -> ScheduleRow:
    if (request.every is None) == (request.cron is None):
        raise Invalid("give either every or cron", path="/data/every")
    search = request.search
    if search.approve is None:
        search = msgspec.structs.replace(search, approve=VerdictWish())
    return ScheduleRow(
        id=request.schedule_id,
        user=user,
        every=request.every,
        cron=request.cron,
        search=msgspec.to_builtins(search),
        next_at=iso(next_run(request.every, request.cron, _now_ms(), _now_ms())),
        created_at=now(),
    )


async def _run(context: Context, row: ScheduleRow) -> None:
    """One run: a search as a task of its own, noted in the same transaction as when the next one is.

    A schedule of who is no operator any more makes none, and is suspended.
    """
    if context.role_of(row.user) != "operator":
        await suspend(context, row.id, row.user)
        return
    then = iso(next_run(row.every, row.cron, _now_ms(), milliseconds(row.next_at)))
    search = msgspec.convert(row.search, StartOptimization)
    try:
        newest = msgspec.structs.replace(search, end_date=now())
        for symbol in search.symbols or [search.symbol or ""]:
            await context.upstream.provide(newest, symbol)
        made = await make_search(context, search)
    except TunesmithError as error:
        logger.warning("a scheduled search could not begin", schedule=row.id, code=error.code, reason=error.message)
        reason = error.message
        await context.database.write(
            lambda conn: schedule_table.set_run(conn, row.id, time=now(), next_at=then, task_id=None, error=reason)
        )
        return

    async def write(conn: Connection) -> TaskRow:
        task = await insert_search(conn, row.user, f"schedule:{row.id}"[:64], made)
        await schedule_table.set_run(conn, row.id, time=now(), next_at=then, task_id=task.id, error=None)
        return task

    begun = await context.database.write(write)
    context.tasks.start(begun)
    logger.info("scheduled search begun", schedule=row.id, task_id=begun.id)


def _read(name: str) -> bytes:
    return Path(name).expanduser().read_bytes().removeprefix(BOM_UTF8)


def _shown(row: ScheduleRow) -> ScheduleReply:
    return build(ScheduleReply, row, schedule_id=row.id)


def _now_ms() -> int:
    return int(time.time() * 1000)
