"""The envelope of every message, and the bases of requests and replies."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from tunesmith.domain.names import Id

VERSION = 1

Limit = Annotated[int, msgspec.Meta(ge=1, le=1000)]
WorkerCount = Annotated[int, msgspec.Meta(ge=1, le=256)]
Offset = Annotated[int, msgspec.Meta(ge=0, le=10**12)]
TaskStatus = Literal["pending", "running", "completed", "failed", "cancelled"]
Role = Literal["bot", "operator"]


class Envelope(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request before its type is known; `data` is still bytes."""

    v: int
    type: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    id: Id
    data: msgspec.Raw = msgspec.Raw(b"{}")
    deadline_ms: Annotated[int, msgspec.Meta(ge=1, le=600_000)] | None = None
    client: Id | None = None


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of every request's `data`: unknown fields are refused."""


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """Base of every reply's `data`: clients ignore fields that they do not know."""


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The error object on every door (RFC 9457 members plus code, retryable, retry_after_ms, errors)."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    retryable: bool
    instance: str | None = None
    retry_after_ms: int | None = None
    errors: list[dict[str, str]] = []


class ReplyEnvelope(msgspec.Struct, frozen=True, kw_only=True):
    """A reply as it stands on the wire: `data` when `ok`, else `error`."""

    v: int
    type: str
    id: str | None
    ok: bool
    data: Any = None
    error: Any = None


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """An event on the wire, a CloudEvents 1.0 JSON event. Progress and heartbeats carry no `seq` and `prev`."""

    specversion: str
    v: int
    id: str
    source: str
    type: str
    time: str
    epoch: str
    data: Any
    subject: str | None = None
    seq: int | None = None
    prev: int | None = None
    keyid: str | None = None
