"""The daemon about itself, and events that a subscriber missed."""

from __future__ import annotations

import base64
import time
from collections.abc import Awaitable, Sequence

import msgspec

from tunesmith import __version__
from tunesmith.compute.search.samplers import SAMPLERS
from tunesmith.domain.metrics import METRICS
from tunesmith.domain.records import build
from tunesmith.errors import Forbidden, Invalid
from tunesmith.protocol.catalog import MESSAGES, Call
from tunesmith.protocol.envelope import VERSION
from tunesmith.protocol.messages.server import (
    EventRecord,
    EventsReplay,
    EventsReply,
    EventsSnapshot,
    Ping,
    Pong,
    ResizeWorkers,
    ServerInfo,
    ServerInfoReply,
    WorkersReply,
)
from tunesmith.protocol.topics import audible
from tunesmith.services.requests.idempotency import Change
from tunesmith.services.runtime.context import Context
from tunesmith.storage.sqlite.connections import Connection
from tunesmith.storage.tables import outbox
from tunesmith.storage.tables.outbox import EventRow, Missed
from tunesmith.storage.timestamps import now


def ping(context: Context, request: Ping, call: Call) -> Pong:
    """Version, time and uptime."""
    return Pong(version=__version__, protocol=VERSION, time=now(), uptime_s=_uptime(context))


def info(context: Context, request: ServerInfo, call: Call) -> ServerInfoReply:
    """What this daemon is and may do; no secrets."""
    stats = context.executor.stats()
    return ServerInfoReply(
        version=__version__,
        protocol=VERSION,
        instance=context.settings.server.instance,
        epoch=context.database.epoch,
        head=context.database.head,
        uptime_s=_uptime(context),
        ready=stats.able and stats.ready > 0,
        doors=context.doors,
        limits=msgspec.to_builtins(context.settings.limits),
        workers={name: n for name, n in stats._asdict().items() if type(n) is int},
        metrics=[{key: text for key, text in row._asdict().items() if key != "compute"} for row in METRICS.values()],
        methods=list(SAMPLERS),
        types=list(MESSAGES),
    )


async def resize(context: Context, request: ResizeWorkers, call: Call) -> Change:
    """Have another number of worker processes. `Invalid` for more than this machine is good for."""
    most = context.settings.most_workers
    if request.count > most:
        detail = f"{request.count} workers are too many here: at most {most}"
        raise Invalid(detail, path="/data/count")
    await context.executor.resize(request.count)
    stats = context.executor.stats()
    reply = build(WorkersReply, stats)

    async def apply(conn: Connection) -> WorkersReply:
        return reply

    return Change(apply)


def snapshot(context: Context, request: EventsSnapshot, call: Call) -> Awaitable[EventsReply]:
    """The newest event of each topic below the prefixes, and the head. Raises as `_heard`."""
    return _missed(outbox.snapshot(context.database, _heard(request.topics, call)))


def replay(context: Context, request: EventsReplay, call: Call) -> Awaitable[EventsReply]:
    """The events after a `seq` below the prefixes, oldest first, and the head. Raises as `_heard`."""
    return _missed(outbox.replay(context.database, request.after, _heard(request.topics, call), request.limit))


def _heard(prefixes: Sequence[str], call: Call) -> list[str]:
    """The parts of the prefixes that the caller may hear on the events door too.

    Raises `Forbidden` for a prefix without any such part; not in a task, so that the router tells of the attempt.
    """
    heard: list[str] = []
    for i, prefix in enumerate(prefixes):
        parts = audible(call.user, call.role, prefix)
        if not parts:
            detail = f"{call.user} is a {call.role} and may hear nothing below {prefix[:80]!r}"
            raise Forbidden(detail, path=f"/data/topics/{i}")
        heard += parts
    return heard


async def _missed(looking: Awaitable[Missed]) -> EventsReply:
    found = await looking
    return EventsReply(epoch=found.epoch, head=found.head, events=list(map(_record, found.events)), more=found.more)


def _record(row: EventRow) -> EventRecord:
    event = msgspec.json.decode(row.event)
    if row.signature is None:
        return EventRecord(topic=row.topic, event=event)
    signature = base64.b64encode(row.signature).decode()
    return EventRecord(topic=row.topic, event=event, text=row.event, signature=signature)


def _uptime(context: Context) -> float:
    return round(time.monotonic() - context.started, 3)
