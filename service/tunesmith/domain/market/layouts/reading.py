"""What a person says about a table of candles, and the refusal of a table that cannot be read without doubt."""

from __future__ import annotations

import re
from typing import Literal, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from tunesmith.errors import FieldError, Invalid

ROLES = ("time", "date", "open", "high", "low", "close", "volume")
"""What a column can be. `date` is the day where `time` is the clock alone."""

SKIP = "-"
"""Stands for a column that is not used."""

Error = TypeVar("Error", bound=Invalid)


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """How a table is to be read; what is left out is recognized without doubt, or the table is refused.

    `layout` is the name of a layout; `columns` the roles in the table's order (time,open,high,low,close,volume, "-" for
    a column that is not used) or by name (time=Gmt time,close=Last). `timezone` is the zone of times that name none:
    Europe/Berlin, or +02:00. `time_format` is a format of strptime. `times` says when a bar's time is. `drop_open`
    leaves out the bar that has not closed at `now_ms`; other bars that close after it are refused. None: nobody asks.
    """

    layout: str | None = None
    columns: str | None = None
    timezone: str | None = None
    time_format: str | None = None
    decimal: Literal[".", ","] | None = None
    times: Literal["opening", "closing"] = "opening"
    drop_open: bool = False
    now_ms: int | None = None


UNSAID = Reading()
"""Where nobody said anything."""


class Unread(Invalid):
    """A table that could be read in several ways, or in none. `options`: what decides, as options of the command."""

    options: tuple[str, ...] = ()


def unread(message: str, *options: str, path: str = "/data/columns") -> Unread:
    """The refusal with the options that would decide."""
    error = Unread(message, path=path)
    error.options = options
    return error


def reworded(error: Error, message: str) -> Error:
    """The same refusal in other words: its kind, fields and options stay."""
    only = [each.path for each in error.errors]
    errors = (FieldError(only[0], message),) if len(only) == 1 else error.errors
    made = type(error)(message, errors=errors)
    if isinstance(error, Unread) and isinstance(made, Unread):
        made.options = error.options
    return made


def told_by_fields(error: Invalid) -> Invalid:
    """The refusal for one who sends fields and no options: --time-format '%d/%m/%Y' is time_format '%d/%m/%Y'."""
    if not isinstance(error, Unread) or not error.options:
        return error
    fields = [re.sub(r"--([a-z-]+)", lambda found: found[1].replace("-", "_"), option) for option in error.options]
    return reworded(error, f"{error.message}; give {' or '.join(fields)}")


def checked_zone(name: str) -> str:
    """The name of a time zone that pandas knows. Raises `Invalid` for one that is none."""
    if name[:1] in "+-":
        hours, _, minutes = name[1:].partition(":")
        if hours.isdigit() and (minutes or "00").isdigit() and len(hours) == 2 and int(hours) <= 14:
            return f"UTC{name[0]}{hours}:{minutes or '00'}"
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise Invalid(
            f"{name[:40]!r} is no time zone; expected a name such as America/New_York, or +02:00", path="/data/timezone"
        ) from None
    return name
