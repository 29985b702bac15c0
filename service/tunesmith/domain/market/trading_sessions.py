"""Trading sessions of a calendar as a table of times."""

from __future__ import annotations

import datetime as dt
import functools
import zoneinfo
from typing import NamedTuple

import numpy as np

from tunesmith.domain.array_types import Ints
from tunesmith.domain.market.calendars import Calendar
from tunesmith.domain.market.timeframes import UNIT_MS
from tunesmith.errors import Invalid

DAY_MS = UNIT_MS["d"]
_EPOCH = dt.date(1970, 1, 1)


class Sessions(NamedTuple):
    """Stretches of trading, oldest first: `opens` and `closes` int64[k], UTC milliseconds, and `days` int64[k]: the day
    that each belongs to, counted from 1970-01-01. A session with a break has one stretch on either side of it."""

    opens: Ints
    closes: Ints
    days: Ints


def sessions_of(calendar: Calendar, first_ms: int, last_ms: int, margin_ms: int = 0) -> Sessions:
    """The stretches from ten days and `margin_ms` before `first_ms` to as long after `last_ms`, UTC milliseconds.

    Raises `Invalid` where the calendar is an exchange that nobody knows, or whose package is not installed.
    """
    margin = 10 + margin_ms // DAY_MS
    first, last = first_ms // DAY_MS - margin, last_ms // DAY_MS + margin
    if calendar.kind == "exchange":
        every = _of_exchange(calendar.text, _year(first), _year(last))
        inside = (every.days >= first) & (every.days <= last)
        return Sessions(*(column[inside] for column in every))
    return _of_hours(calendar, first, last)


@functools.lru_cache(maxsize=32)
def _of_hours(calendar: Calendar, first_day: int, last_day: int) -> Sessions:
    days = np.arange(first_day, last_day + 1)
    days = days[np.isin((days + 3) % 7, calendar.days)]  # 1970-01-01 was a Thursday
    table = np.empty((len(days), len(calendar.stretches), 2), np.int64)
    zone = None if calendar.zone == "UTC" else zoneinfo.ZoneInfo(calendar.zone)
    for i, edges in enumerate(calendar.stretches):
        for j, minutes in enumerate(edges):
            table[:, i, j] = days * DAY_MS + minutes * UNIT_MS["m"] if zone is None else _local(days, minutes, zone)
    return Sessions(
        table[:, :, 0].ravel(), table[:, :, 1].ravel(), np.repeat(days, len(calendar.stretches)).astype(np.int64)
    )


def _local(days: Ints, minutes: int, zone: zoneinfo.ZoneInfo) -> Ints:
    """When the clocks of a zone show `minutes` after midnight of each day."""
    over, within = divmod(minutes, 1440)
    clock = dt.time(within // 60, within % 60, tzinfo=zone)
    dates = (_EPOCH + dt.timedelta(days=int(day) + over) for day in days)
    return np.array([round(dt.datetime.combine(date, clock).timestamp()) * 1000 for date in dates], np.int64)


def _year(day: int) -> int:
    return (_EPOCH + dt.timedelta(days=int(day))).year


@functools.lru_cache(maxsize=16)
def _of_exchange(name: str, first_year: int, last_year: int) -> Sessions:
    """The sessions of an exchange in whole years, as far as exchange_calendars knows them."""
    try:
        import exchange_calendars
    except ImportError:
        raise Invalid(
            f"the calendar {name} is one of the package exchange_calendars, which is not installed: "
            "pip install 'tunesmith[calendars]'",
            path="/data/calendar",
        ) from None
    try:
        kind = type(exchange_calendars.get_calendar(name))
        least, most = kind.bound_min(), kind.bound_max()
        begin = dt.date(first_year, 1, 1) if least is None else max(dt.date(first_year, 1, 1), least.date())
        end = dt.date(last_year, 12, 31) if most is None else min(dt.date(last_year, 12, 31), most.date())
        plan = exchange_calendars.get_calendar(name, start=begin.isoformat(), end=end.isoformat()).schedule
    except exchange_calendars.errors.InvalidCalendarName:
        raise Invalid(
            f"{name} is no exchange of exchange_calendars; expected one such as XNYS, XLON or XTKS",
            path="/data/calendar",
        ) from None
    except ValueError as error:
        raise Invalid(f"the calendar {name} does not reach these bars: {error}", path="/data/calendar") from None
    days = plan.index.as_unit("ms").asi8 // DAY_MS
    opens, breaks, resumes, closes = (
        plan[column].to_numpy("datetime64[ms]").astype(np.int64)
        for column in ("open", "break_start", "break_end", "close")
    )
    has_break = plan["break_start"].notna().to_numpy()
    found = np.concatenate(
        [
            np.stack([opens, np.where(has_break, breaks, closes), days]),
            np.stack([resumes, closes, days])[:, has_break],
        ],
        axis=1,
    )
    return Sessions(*np.ascontiguousarray(found[:, np.argsort(found[0], kind="stable")]))
