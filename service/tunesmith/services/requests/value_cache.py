"""What the cache keeps for the use cases: values by key, each of a known form.

Everything that a value depends on is in its key, so there is nothing to invalidate, and several daemons may share a
Redis. A value that does not have the form it should have is a miss.
"""

from __future__ import annotations

import functools
import hashlib
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from prometheus_client import Counter

from tunesmith import telemetry
from tunesmith.protocol.canonical import canonical_hash
from tunesmith.services.runtime.context import Context

T = TypeVar("T")

_ENGINE = ("compute/**/*.py", "compute/**/*.rule", "domain/**/*.py", "notebook/*.py", "workers/chunks/*.py")
_DAEMON = ("domain/**/*.py", "protocol/**/*.py", "services/**/*.py", "storage/**/*.py")
_LIBRARIES = ("numpy", "numba", "vectorbt", "vectorbt-rust")


@functools.cache
def engine_version() -> str:
    """A hash over the code that computes, the libraries it computes with, and the kind of machine."""
    return _version(_ENGINE, platform.machine())


@functools.cache
def daemon_version() -> str:
    """A hash over `engine_version` and the code that makes replies of what is stored."""
    return _version(_DAEMON, engine_version())


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


def _version(patterns: tuple[str, ...], of: str) -> str:
    package = Path(__file__).resolve().parents[2]
    digest = hashlib.sha256(of.encode())
    for name in _LIBRARIES:
        digest.update(f"{name} {version(name)}\n".encode())
    for path in sorted({path for pattern in patterns for path in package.glob(pattern)}):
        digest.update(path.relative_to(package).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()
