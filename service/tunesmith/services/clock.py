"""Wall-clock times as the wire and the database write them: ISO 8601, UTC, milliseconds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tunesmith.errors import Invalid


def now() -> datetime:
    return datetime.now(UTC)


def now_ms() -> int:
    return int(now().timestamp() * 1000)


def iso(time_ms: int) -> str:
    """UTC milliseconds as 2024-01-31T00:00:00.000Z."""
    moment = datetime.fromtimestamp(time_ms / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_date(text: str, path: str, *, end: bool = False) -> int:
    """UTC milliseconds of an ISO 8601 date or time; a bare date that ends a range means the end of that day.

    Raises `Invalid` with `path` for anything else.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Invalid(f"{text!r} is no ISO 8601 date such as 2024-01-31 or 2024-01-31T12:00:00Z", path=path) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    if end and len(text) == len("2024-01-31"):
        moment += timedelta(days=1)
    return int(moment.timestamp() * 1000)
