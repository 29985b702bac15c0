"""What the cache keeps for the use cases: values by key, each of a known form.

Everything that a value depends on is in its key, so there is nothing to invalidate, and several daemons may share a
Redis. A value that does not have the form it should have is a miss.
"""

from __future__ import annotations

import functools
from typing import Any, TypeVar

import msgspec
from prometheus_client import Counter

from tunesmith import telemetry
from tunesmith.protocol.canonical import canonical_hash
from tunesmith.services.runtime.context import Context

T = TypeVar("T")


def key_of(what: str, of: Any) -> str:
    """The key of a value of the kind `what` that depends on `of`: a tree of what canonical JSON takes."""
    return f"{what}:{canonical_hash(of)}"


async def recall(context: Context, key: str, kind: type[T]) -> T | None:
    """The value that was kept under `key`, or None."""
    text = await context.cache.get(key)
    if text is None:
        return None
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.DecodeError:
        return None


async def remember(context: Context, key: str, value: msgspec.Struct) -> None:
    """Keeps `value`, for as long as the settings say."""
    await context.cache.set(key, msgspec.json.encode(value), context.settings.cache.ttl_s)


def count(what: str, *, hit: bool) -> None:
    """Counts a look-up in the metrics."""
    _counter(what, "hit" if hit else "miss").inc()


@functools.cache
def _counter(what: str, result: str) -> Counter:
    return telemetry.CACHE.labels(of=what, result=result)
