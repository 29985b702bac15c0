"""Calendars: when a market trades, as a value with a short text.

24/7                                      around the clock
weekdays                                  Monday to Friday, whole days in UTC
Mon-Fri 09:30-16:00 America/New_York      sessions; those of a zone with daylight saving move with it
17:00-17:00 America/New_York              a session that opens the evening before (Monday to Friday where not said)
09:30-11:30,13:00-15:00 Asia/Shanghai     a session with a break
XNYS                                      an exchange of the package exchange_calendars, with its holidays
irregular                                 bars only where somebody traded: none is expected at any time
"""

from __future__ import annotations

import re
import zoneinfo
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from tunesmith.domain.parameters import shown
from tunesmith.errors import Invalid

Kind = Literal["around_the_clock", "sessions", "exchange", "irregular", "counted"]

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
DAY_MINUTES = 1440

_SESSIONS = re.compile(
    r"(?:(?P<first>[A-Z][a-z]{2})-(?P<last>[A-Z][a-z]{2}) )?"
    r"(?P<hours>[0-9]{2}:[0-9]{2}-[0-9]{2}:[0-9]{2}(?:,[0-9]{2}:[0-9]{2}-[0-9]{2}:[0-9]{2}){0,5})"
    r"(?: (?P<zone>[A-Za-z][A-Za-z0-9_+/-]{1,63}))?"
)
_EXCHANGE = re.compile(r"[A-Z][A-Z0-9_]{1,15}")
_MINUTES = re.compile(r"(?:[01][0-9]|2[0-3]):[0-5][0-9]|24:00")


@dataclass(frozen=True, slots=True)
class Calendar:
    """When a market trades. `text` names it (see above); made by `calendar_named`, or one of the constants below.

    Of sessions, `days` are the days of the week that have one (0 is Monday), and `stretches` when it is open: pairs of
    minutes from midnight of its day in `zone`, negative where it opens the evening before.
    """

    text: str
    kind: Kind
    zone: str = "UTC"
    days: tuple[int, ...] = ()
    stretches: tuple[tuple[int, int], ...] = ()

    @property
    def has_sessions(self) -> bool:
        """Whether it opens and closes."""
        return self.kind in ("sessions", "exchange")

    @property
    def knows_holidays(self) -> bool:
        """Whether it says itself which days are closed; of the others a day without any bar may be a holiday."""
        return self.kind != "sessions"


AROUND_THE_CLOCK = Calendar("24/7", "around_the_clock")
IRREGULAR = Calendar("irregular", "irregular")
COUNTED = Calendar("", "counted")
"""How the releases before there were calendars took bars, for what was stored by them: bars a year by a density of nine
tenths, longer bars only where every bar is there. No text names it."""

WEEKDAYS = Calendar("weekdays", "sessions", "UTC", (0, 1, 2, 3, 4), ((0, DAY_MINUTES),))

EXAMPLES = '24/7, weekdays, "09:30-16:00 America/New_York", an exchange such as XNYS, or irregular'


def calendar_named(text: str, path: str | None = None) -> Calendar:
    """The calendar that `text` names; raises `Invalid` where it is none. An exchange is looked up when first used."""
    for known in (AROUND_THE_CLOCK, IRREGULAR, WEEKDAYS):
        if text == known.text:
            return known
    if _EXCHANGE.fullmatch(text):
        return Calendar(text, "exchange")
    match = _SESSIONS.fullmatch(text)
    if match is None:
        raise Invalid(f"{shown(text)} is no calendar; expected {EXAMPLES}", path=path)
    zone = match["zone"] or "UTC"
    try:
        zoneinfo.ZoneInfo(zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise Invalid(f"{shown(zone)} is no time zone; expected one such as America/New_York", path=path) from None
    days = _days(match["first"] or "Mon", match["last"] or "Fri", path)
    return sessions_calendar(zone, days, _stretches(match["hours"], path))


def sessions_calendar(zone: str, days: tuple[int, ...], stretches: tuple[tuple[int, int], ...]) -> Calendar:
    """A calendar of sessions on consecutive `days`, with the text that names it."""
    calendar = Calendar("", "sessions", zone, days, stretches)
    if calendar.days == WEEKDAYS.days and (zone, stretches) == (WEEKDAYS.zone, WEEKDAYS.stretches):
        return WEEKDAYS
    hours = ",".join(f"{_clock(opened)}-{_clock(closed, is_end=True)}" for opened, closed in stretches)
    text = f"{DAYS[days[0]]}-{DAYS[days[-1]]} {hours} {zone}"
    return Calendar(text, "sessions", zone, days, stretches)


def _days(first: str, last: str, path: str | None) -> tuple[int, ...]:
    for name in (first, last):
        if name not in DAYS:
            raise Invalid(f"{shown(name)} is no day; expected one of {', '.join(DAYS)}", path=path)
    begin, end = DAYS.index(first), DAYS.index(last)
    return tuple((begin + i) % 7 for i in range((end - begin) % 7 + 1))


def _stretches(hours: str, path: str | None) -> tuple[tuple[int, int], ...]:
    """Pairs of minutes; the last closes on its day, and what would come after the next one is the evening before."""
    found: list[tuple[int, int]] = []
    for part in reversed(hours.split(",")):
        texts = part.split("-")
        for text in texts:
            if not _MINUTES.fullmatch(text):
                raise Invalid(f"{text} is no time of the day; expected one such as 09:30", path=path)
        opened, closed = (60 * int(text[:2]) + int(text[3:]) for text in texts)
        if opened >= closed:
            opened -= DAY_MINUTES
        if found and closed > found[0][0]:
            opened, closed = opened - DAY_MINUTES, closed - DAY_MINUTES
        found.insert(0, (opened, closed))
    if found[-1][1] - found[0][0] > DAY_MINUTES or any(a[1] > b[0] for a, b in pairwise(found)):
        raise Invalid(f"the hours {hours} overlap; a session is open for 24 hours at most", path=path)
    return tuple(found)


def _clock(minutes: int, *, is_end: bool = False) -> str:
    if is_end and minutes == DAY_MINUTES:
        return "24:00"
    within = minutes % DAY_MINUTES
    return f"{within // 60:02d}:{within % 60:02d}"
