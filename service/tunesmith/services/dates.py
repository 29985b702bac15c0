"""Dates as requests write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tunesmith.errors import Invalid


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
