"""Messages about schedules: searches that are made again and again on the newest bars."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from tunesmith.domain.names import Id
from tunesmith.protocol.envelope import Reply, Request
from tunesmith.protocol.messages.optimizations import StartOptimization

Every = Annotated[str, msgspec.Meta(pattern=r"^[1-9][0-9]{0,4}[mhdw](?![\s\S])", description="such as 30m, 12h, 1d")]
Cron = Annotated[str, msgspec.Meta(min_length=9, max_length=120, description="five fields, UTC: 0 3 * * 1")]


class CreateSchedule(Request, frozen=True, kw_only=True):
    """`schedule.create`: make `search` again `every` so often, or at the times of a `cron` expression (UTC).

    Each run asks the upstream for the newest bars, searches, and goes on to a verdict; only what passes and is better
    than the package in force is published. A run that was missed while the daemon was down is made up once. A schedule
    with the same id is replaced.
    """

    schedule_id: Id
    search: StartOptimization
    every: Every | None = None
    cron: Cron | None = None


class ScheduleById(Request, frozen=True, kw_only=True):
    """`schedule.delete`."""

    schedule_id: Id


class ListSchedules(Request, frozen=True, kw_only=True):
    """`schedule.list`."""


class ScheduleReply(Reply, frozen=True, kw_only=True):
    """`last_error` says why the last run made no search, `suspended` why there are none any more.

    A suspended schedule runs again when an operator creates it anew.
    """

    schedule_id: str
    user: str
    search: dict[str, Any]
    next_at: str
    every: str | None = None
    cron: str | None = None
    last_at: str | None = None
    last_task_id: str | None = None
    last_error: str | None = None
    deleted: bool = False
    suspended: str | None = None


class ScheduleList(Reply, frozen=True, kw_only=True):
    schedules: list[ScheduleReply]
