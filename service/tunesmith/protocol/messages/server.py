"""Messages about the daemon itself and about missed events."""

from __future__ import annotations

from typing import Annotated

import msgspec

from tunesmith.domain.records import JsonObject
from tunesmith.protocol.envelope import Limit, Offset, Reply, Request, WorkerCount

Topic = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]


class Ping(Request, frozen=True, kw_only=True):
    """`ping`: is the daemon there?"""


class Pong(Reply, frozen=True, kw_only=True):
    version: str
    protocol: int
    time: str
    uptime_s: float


class ServerInfo(Request, frozen=True, kw_only=True):
    """`server.info`: version, doors, limits, the metrics table, methods."""


class ServerInfoReply(Reply, frozen=True, kw_only=True):
    version: str
    protocol: int
    instance: str
    epoch: str
    head: int
    uptime_s: float
    ready: bool
    doors: dict[str, str | None]
    limits: dict[str, int | float]
    workers: dict[str, int]
    metrics: list[dict[str, str]]
    methods: list[str]
    types: list[str]


class ResizeWorkers(Request, frozen=True, kw_only=True):
    """`workers.resize`: have this many worker processes until the daemon ends; work under way is not disturbed."""

    count: WorkerCount


class WorkersReply(Reply, frozen=True, kw_only=True):
    """Worker processes: how many there are to be and are, past their warm-up, at work; and how many chunks wait."""

    target: int
    alive: int
    ready: int
    busy: int
    queued: int


class GetSchema(Request, frozen=True, kw_only=True):
    """`schema.get`: the JSON Schemas of every message, or of the one type named."""

    type: Annotated[str, msgspec.Meta(max_length=64)] | None = None


class SchemaReply(Reply, frozen=True, kw_only=True):
    """`messages` maps a type to references to its request's and reply's schema; `definitions` holds the schemas."""

    messages: dict[str, JsonObject]
    definitions: JsonObject


class EventsSnapshot(Request, frozen=True, kw_only=True):
    """`events.snapshot`: the newest durable event of each topic below the given prefixes, and the head.

    Of a prefix that reaches beyond what one may hear on the events door, the part that one may hear; one without any
    such part is `forbidden`. The same holds for `events.replay`.
    """

    topics: Annotated[list[Topic], msgspec.Meta(min_length=1, max_length=100)]


class EventsReplay(Request, frozen=True, kw_only=True):
    """`events.replay`: durable events with a `seq` above `after`, below the given prefixes, oldest first."""

    topics: Annotated[list[Topic], msgspec.Meta(min_length=1, max_length=100)]
    after: Offset = 0
    limit: Limit = 200


class EventRecord(Reply, frozen=True, kw_only=True, omit_defaults=True):
    """`event` is the JSON frame as it was published.

    Of a signed event `text` is the frame character by character, for JSON that was parsed cannot be verified any
    more, and `signature` the Ed25519 signature over its UTF-8 bytes, in base64.
    """

    topic: str
    event: JsonObject
    text: str | None = None
    signature: str | None = None


class EventsReply(Reply, frozen=True, kw_only=True):
    """`more` says that the limit cut the answer short: ask again after the last `seq`."""

    epoch: str
    head: int
    events: list[EventRecord]
    more: bool = False
