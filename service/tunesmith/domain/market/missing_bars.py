"""Gaps: the bars that a calendar expects and that are not there, stretch by stretch."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tunesmith.domain.array_types import Ints
from tunesmith.domain.market.calendars import Calendar
from tunesmith.domain.market.expected_bars import day_of, place
from tunesmith.domain.market.timeframes import UNIT_MS, timeframe_ms
from tunesmith.domain.market.trading_sessions import DAY_MS


class Gap(NamedTuple):
    """Bars that are missing between two that are there: when the first and the last would open, and how many."""

    first_ms: int
    last_ms: int
    n_missing: int


def gaps_between(calendar: Calendar, timestamp: Ints, timeframe: str) -> list[Gap]:
    """Where bars are missing that the calendar expects; by one without sessions, where they do not follow on another.

    Nights, weekends, and days that are taken for holidays are no gaps.
    """
    length = timeframe_ms(timeframe)
    if len(timestamp) < 2:
        return []
    if not calendar.has_sessions or length >= UNIT_MS["w"] or length > DAY_MS:
        missing = np.diff(timestamp) // length - 1
        return [
            Gap(int(timestamp[row]) + length, int(timestamp[row + 1]) - length, int(missing[row]))
            for row in np.flatnonzero(missing)
        ]
    expected, position = _expected(calendar, timestamp, timeframe)
    at = np.searchsorted(position, expected[0], side="right") - 1
    gone = (at >= 0) & (at < len(position) - 1) & (expected[0] >= position[at] + (1 if length == DAY_MS else length))
    if not gone.any():
        return []
    times, rows = expected[1][gone], at[gone]
    edges = np.flatnonzero(np.diff(rows, prepend=-1))
    ends = np.append(edges[1:], len(rows))
    return [Gap(int(times[a]), int(times[b - 1]), int(b - a)) for a, b in zip(edges, ends, strict=True)]


def _expected(calendar: Calendar, timestamp: Ints, timeframe: str) -> tuple[tuple[Ints, Ints], Ints]:
    """Places and opening times of the expected bars, and the places of those that are there: times, or days of days."""
    length = timeframe_ms(timeframe)
    placed = place(calendar, timestamp, timeframe)
    rows = np.flatnonzero(placed.n_expected > 0)
    sessions = placed.sessions
    if length == DAY_MS:
        dated = bool((timestamp % DAY_MS == 0).all())
        times = sessions.days[rows] * DAY_MS if dated else sessions.opens[rows]
        return (sessions.days[rows], times), day_of(sessions, timestamp)
    n_bars = -((sessions.opens[rows] - sessions.closes[rows]) // length)
    first = np.repeat(sessions.opens[rows], n_bars)
    nth = np.arange(int(n_bars.sum())) - np.repeat(np.cumsum(n_bars) - n_bars, n_bars)
    times = first + nth * length
    return (times, times), timestamp
