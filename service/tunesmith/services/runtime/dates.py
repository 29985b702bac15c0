"""Dates as requests write them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from tunesmith.errors import Invalid

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_FIRST_MS = (datetime(1800, 1, 1, tzinfo=UTC) - _EPOCH) // _MILLISECOND
_LAST_MS = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _MILLISECOND


def parse_date(text: str, path: str, *, end: bool = False) -> int:
    """UTC milliseconds of an ISO 8601 date or time; a range that ends with a bare day or week includes all of it.

    Raises `Invalid` with `path` for anything else, and for what lies before 1800 or after the year 9999.
    """
    try:
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise Invalid(f"{text!r} is no ISO 8601 date such as 2024-01-31 or 2024-01-31T12:00:00Z", path=path) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    time_ms = (moment - _EPOCH) // _MILLISECOND
    if end:
        time_ms += _length_of(text) // _MILLISECOND
    if not _FIRST_MS <= time_ms <= _LAST_MS:
        raise Invalid(f"{text!r} lies outside the years 1800 to 9999", path=path)
    return time_ms


def _length_of(text: str) -> timedelta:
    """The span that an ISO 8601 text names: a day for 2024-01-31, a week for 2024-W05, nothing for a time."""
    try:
        date.fromisoformat(text)
    except ValueError:
        return timedelta()
    return timedelta(weeks=1) if text[-3] == "W" else timedelta(days=1)
