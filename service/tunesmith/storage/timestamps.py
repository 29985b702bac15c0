"""Times as the tables hold them: ISO 8601, UTC, milliseconds, Z."""

from __future__ import annotations

import functools
import time
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

SQL_NOW = "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')"
"""What `now` is in a statement, where its text is not needed outside of it."""


def now() -> str:
    """This moment, as 2024-01-31T00:00:00.000Z."""
    second, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
    return f"{_to_the_second(second)}.{nanoseconds // 1_000_000:03d}Z"


@functools.lru_cache(maxsize=2)
def _to_the_second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def iso(time_ms: int) -> str:
    """UTC milliseconds as text."""
    return _text(_EPOCH + timedelta(milliseconds=time_ms))


def milliseconds(time: str) -> int:
    """UTC milliseconds of a time of a table."""
    return round((datetime.fromisoformat(time) - _EPOCH).total_seconds() * 1000)


def seconds_between(start: str, stop: str) -> float:
    """Seconds from one time of a table to another; 0 where the clock was set back in between."""
    return max(0.0, (datetime.fromisoformat(stop) - datetime.fromisoformat(start)).total_seconds())


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"
