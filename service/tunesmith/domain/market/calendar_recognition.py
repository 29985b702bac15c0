"""Recognition: the calendar that bars follow without doubt, from their times alone."""

from __future__ import annotations

import datetime as dt
import functools
import zoneinfo
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from tunesmith.domain.array_types import Floats, Ints
from tunesmith.domain.market.calendars import (
    AROUND_THE_CLOCK,
    DAY_MINUTES,
    IRREGULAR,
    Calendar,
    sessions_calendar,
)
from tunesmith.domain.market.expected_bars import is_whole
from tunesmith.domain.market.timeframes import UNIT_MS, timeframe_ms
from tunesmith.domain.market.trading_sessions import DAY_MS

_SLOT_MS = 15 * UNIT_MS["m"]
_A_DAY = DAY_MS // _SLOT_MS
_A_WEEK = 7 * _A_DAY
_MONDAY = 3 * _A_DAY
"""The epoch was a Thursday, three days after a Monday."""

_ZONES = (
    "UTC",
    "America/New_York",
    "Europe/London",
    "Australia/Sydney",
    "Pacific/Auckland",
    "Asia/Jerusalem",
    "America/Santiago",
)
"""One zone for each way to save daylight: sessions of other zones that do it alike are the same times in these."""

_HALF = 0.5
_MOST_OUTSIDE = 0.005
_LEAST_INSIDE = 0.9
_LEAST_WEEKS = 3
_MOST_STRETCHES = 4
"""Of a day's session, as Chinese commodities have them; more closures than that are bars which are missing."""


def recognized(timestamp: Ints, timeframe: str) -> Calendar:
    """The calendar of bars: around the clock, sessions that repeat each week in a time zone, or irregular in doubt.

    Around the clock are bars without a gap, and those with bars at all times of the week, however many are missing; of
    less than three weeks, at all times of the day and on every day. Sessions are recognized where nearly all bars are
    in them and they are nearly always full.
    """
    if is_whole(timestamp, timeframe) or timeframe_ms(timeframe) >= UNIT_MS["w"]:
        return AROUND_THE_CLOCK
    slots = _slots(timestamp, timeframe_ms(timeframe))
    if _Profile(slots, _A_WEEK).n_periods < _LEAST_WEEKS:
        day = _Profile(slots, _A_DAY)
        return AROUND_THE_CLOCK if day.is_open.all() and not day.n_empty else IRREGULAR
    best, best_fit = IRREGULAR, 0.0
    for zone in _ZONES:
        week = _Profile(slots + _offsets(slots, zone), _A_WEEK)
        if zone == "UTC" and week.is_open.all():
            return AROUND_THE_CLOCK
        found = _sessions(week.is_open, zone)
        if found is not None and week.is_clear and week.fit > best_fit + 1e-12:
            best, best_fit = found, week.fit
    return best


class _Profile:
    """How often each quarter of an hour of a week (from Monday) or a day has bars, in the weeks or days with any."""

    def __init__(self, local: Ints, period: int) -> None:
        at, which = (local + _MONDAY) % period, (local + _MONDAY) // period
        n_there = np.bincount(at, minlength=period)
        self.n_periods = int(np.count_nonzero(np.diff(which))) + 1
        self.n_empty = int(which[-1] - which[0]) + 1 - self.n_periods
        bins = np.arange(period)
        n_could = np.maximum(self.n_periods - (bins < at[0]) - (bins > at[-1]), 0)
        known = n_could > 0
        share: Floats = np.divide(n_there, n_could, out=np.ones(period), where=known)
        self.is_open: NDArray[np.bool_] = share >= _HALF * float(np.median(share[n_there > 0]))
        inside = known & self.is_open
        self._level = float(n_there[inside].sum() / max(1, n_could[inside].sum()))
        self._outside = float(n_there[~self.is_open].sum() / n_there.sum())

    @property
    def is_clear(self) -> bool:
        """Whether nearly all bars are when it is open, and it nearly always has bars then."""
        return self._outside <= _MOST_OUTSIDE and self._level >= _LEAST_INSIDE

    @property
    def fit(self) -> float:
        return self._level - self._outside


def _slots(timestamp: Ints, length: int) -> Ints:
    """The quarters of an hour since the epoch that bars cover, increasing, each once."""
    first = timestamp // _SLOT_MS
    if length > _SLOT_MS:
        first = (first[:, np.newaxis] + np.arange(length // _SLOT_MS)).ravel()
    return first[np.diff(first, prepend=first[0] - 1) > 0]


def _offsets(slots: Ints, zone: str) -> Ints:
    """How many quarters of an hour a zone is ahead of UTC at each slot, as it is at noon of that day."""
    if zone == "UTC":
        return np.zeros(1, np.int64)
    days, place = np.unique(slots // _A_DAY, return_inverse=True)
    return np.array([_offset(int(day), zone) for day in days], np.int64)[place]


@functools.lru_cache(maxsize=1 << 16)
def _offset(day: int, zone: str) -> int:
    noon = dt.datetime.fromtimestamp(day * 86_400 + 43_200, zoneinfo.ZoneInfo(zone))
    offset = noon.utcoffset()
    return round(offset.total_seconds() * 1000) // _SLOT_MS if offset is not None else 0


def _sessions(is_open: NDArray[np.bool_], zone: str) -> Calendar | None:
    """The calendar whose week is open in these quarters of an hour; None where its days differ."""
    stretches = _stretches(is_open)
    if not stretches:
        return None
    if len(stretches) == 1:
        begin, end = stretches[0]
        n_days = -((begin - end) // _A_DAY)
        stretches = [(begin + i * _A_DAY, begin + (i + 1) * _A_DAY) for i in range(n_days)]
    by_day: dict[int, list[tuple[int, int]]] = {}
    for begin, end in stretches:
        day = (end - 1) // _A_DAY
        if end - begin > _A_DAY:
            return None
        minutes = tuple((edge - day * _A_DAY) * 15 for edge in (begin, end))
        by_day.setdefault(day, []).append((minutes[0], minutes[1]))
    days = sorted(by_day)
    hours = tuple(by_day[days[0]])
    alike = all(tuple(each) == hours for each in by_day.values()) and all(b - a == 1 for a, b in pairwise(days))
    if not alike or len(hours) > _MOST_STRETCHES or hours[-1][1] - hours[0][0] > DAY_MINUTES:
        return None
    return sessions_calendar(zone, tuple(day % 7 for day in days), hours)


def _stretches(is_open: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Begin and end of each open stretch, from the end of the longest closed one on, in quarters from Monday."""
    edges = np.flatnonzero(np.diff(np.concatenate([is_open[-1:], is_open]).astype(np.int8)))
    if not len(edges):
        return []
    begins = [int(edge) for edge in edges if is_open[edge]]
    ends = [int(edge) for edge in edges if not is_open[edge]]
    closed = [(begin - max([end for end in ends if end <= begin] or [max(ends) - _A_WEEK]), begin) for begin in begins]
    first = max(closed)[1]
    found = []
    for begin in sorted(begins, key=lambda each: (each - first) % _A_WEEK):
        at = first + (begin - first) % _A_WEEK
        found.append((at, at + min((end - begin) % _A_WEEK for end in ends)))
    shift = _A_WEEK * (found[0][1] > _A_WEEK)
    return [(begin - shift, end - shift) for begin, end in found]
