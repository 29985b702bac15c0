"""Which bars a calendar expects: how many are missing, and how many there are in a year."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tunesmith.domain.array_types import Ints
from tunesmith.domain.market.calendars import Calendar
from tunesmith.domain.market.timeframes import UNIT_MS, YEAR_MS, timeframe_ms
from tunesmith.domain.market.trading_sessions import DAY_MS, Sessions, sessions_of

MAX_OUTSIDE = 0.01
"""The share of bars that may lie outside of the sessions of a calendar; with more it is not theirs."""

_LONGEST_CLOSURE = 10
_MOST_HOLIDAYS = 0.08
_FEW_HOLIDAYS = 3
_DENSE = 0.9


class Presence(NamedTuple):
    """Of a number of bars: how many the calendar expects between the first and the last, how many of these are not
    there, and how many bars are there when it is closed."""

    n_expected: int
    n_missing: int
    n_outside: int

    @property
    def missing(self) -> float:
        """The share of the expected bars that are not there."""
        return self.n_missing / self.n_expected if self.n_expected else 0.0


class Placed(NamedTuple):
    """Bars in the sessions of a calendar: `row` int64[n] says which stretch each bar is in, -1 where in none;
    `n_there` and `n_expected` int64[k] are counted for each stretch between the first bar and the last.

    `n_expected` is 0 outside, and on days without any bar that are taken for holidays. Where bars are days or longer, a
    day's first stretch stands for the day.
    """

    sessions: Sessions
    row: Ints
    n_there: Ints
    n_expected: Ints


def presence_of(calendar: Calendar, timestamp: Ints, timeframe: str) -> Presence:
    """How many of the bars that the calendar expects are there. `COUNTED` and `IRREGULAR` expect those that are."""
    n = len(timestamp)
    length = timeframe_ms(timeframe)
    if n < 2 or calendar.kind in ("counted", "irregular"):
        return Presence(n, 0, 0)
    if not _by_session(calendar, length):
        n_expected = int(timestamp[-1] - timestamp[0]) // length + 1
        return Presence(n_expected, max(0, n_expected - n), 0)
    placed = place(calendar, timestamp, timeframe)
    missing = np.maximum(placed.n_expected - placed.n_there, 0)
    return Presence(int(placed.n_expected.sum()), int(missing.sum()), int((placed.row < 0).sum()))


def is_whole(timestamp: Ints, timeframe: str) -> bool:
    """Whether each bar follows the one before it without a gap."""
    n = len(timestamp)
    return n < 2 or int(timestamp[-1] - timestamp[0]) == (n - 1) * timeframe_ms(timeframe)


def annual_bars(calendar: Calendar, timestamp: Ints, timeframe: str) -> float:
    """Bars in 365 days by the calendar; holidays that it does not know are counted from the bars.

    Around the clock that is 365 days over the bar's length, however many bars are missing.
    """
    length = timeframe_ms(timeframe)
    full = YEAR_MS / length
    if calendar.kind in ("counted", "irregular"):
        counted = (len(timestamp) - 1) * YEAR_MS / int(timestamp[-1] - timestamp[0]) if len(timestamp) > 1 else full
        return full if calendar.kind == "counted" and counted >= _DENSE * full else counted
    if not _by_session(calendar, length):
        return full
    sessions, open_days = _year_of(calendar, timestamp, timeframe)
    if length >= DAY_MS:
        return min(open_days, full)
    n_bars = -((sessions.opens - sessions.closes) // length)
    return open_days * float(n_bars.sum()) / len(np.unique(sessions.days))


def _year_of(calendar: Calendar, timestamp: Ints, timeframe: str) -> tuple[Sessions, float]:
    """Sessions of a calendar that are like those of the bars' time, and trading days in 365 days."""
    first, last = int(timestamp[0]), int(timestamp[-1])
    if calendar.knows_holidays:
        every = sessions_of(calendar, first, last, 366 * DAY_MS)
        begin, end = (np.datetime64(ms, "ms").astype("datetime64[Y]") for ms in (first, last))
        edges = [int(year.astype("datetime64[D]").astype(np.int64)) for year in (begin, end + 1)]
        inside = (every.days >= edges[0]) & (every.days < edges[1])
        sessions = Sessions(*(column[inside] for column in every))
        return sessions, len(np.unique(sessions.days)) * 365.0 / (edges[1] - edges[0])
    placed = place(calendar, timestamp, timeframe)
    within = _trading_days(placed)
    closed = min(_MOST_HOLIDAYS, _n_holidays(within.there) / max(1, len(within.days)))
    return placed.sessions, len(calendar.days) * 365.0 / 7.0 * (1.0 - closed)


def place(calendar: Calendar, timestamp: Ints, timeframe: str, margin_ms: int = 0) -> Placed:
    """The bars in the sessions of a calendar that has some. A bar that begins before the open and ends after it is in
    the session that opens."""
    length = timeframe_ms(timeframe)
    first, last = int(timestamp[0]), int(timestamp[-1])
    sessions = sessions_of(calendar, first, last, margin_ms)
    if not len(sessions.opens):
        return Placed(sessions, np.full(len(timestamp), -1), np.zeros(0, np.int64), np.zeros(0, np.int64))
    if length >= DAY_MS:
        return _place_days(sessions, timestamp, length, calendar.knows_holidays)
    row = np.searchsorted(sessions.opens, timestamp + (length - 1), side="right") - 1
    row[timestamp >= sessions.closes[row]] = -1
    n_there = np.bincount(row[row >= 0], minlength=len(sessions.opens)).astype(np.int64)
    begin, end = np.maximum(sessions.opens, first), np.minimum(sessions.closes, last + length)
    n_expected = np.maximum(0, -((begin - end) // length))
    return _without_holidays(Placed(sessions, row, n_there, n_expected), calendar.knows_holidays)


def day_of(sessions: Sessions, timestamp: Ints) -> Ints:
    """The trading day of bars that are days or longer: the date where they begin at midnight UTC, as dates are written,
    else that of the session which is open when they begin, or opens next."""
    day = timestamp // DAY_MS
    row = np.minimum(np.searchsorted(sessions.closes, timestamp, side="right"), len(sessions.closes) - 1)
    return np.where(timestamp % DAY_MS == 0, day, sessions.days[row])


def _by_session(calendar: Calendar, length: int) -> bool:
    """Whether bars of a length follow the calendar's sessions; weeks and longer follow one another without gaps."""
    return calendar.has_sessions and length < UNIT_MS["w"]


def _place_days(sessions: Sessions, timestamp: Ints, length: int, knows_holidays: bool) -> Placed:
    days = day_of(sessions, timestamp)
    n_days = length // DAY_MS
    first_row = np.unique(sessions.days, return_index=True)[1]
    of_row = sessions.days[first_row] // n_days
    at = np.minimum(np.searchsorted(of_row, days // n_days), len(of_row) - 1)
    row = np.where(of_row[at] == days // n_days, first_row[at], -1)
    n_there = np.bincount(row[row >= 0], minlength=len(sessions.days)).astype(np.int64)
    begins = np.flatnonzero(np.diff(of_row, prepend=of_row[0] - 1))
    n_expected = np.zeros(len(sessions.days), np.int64)
    within = (of_row[begins] >= days[0] // n_days) & (of_row[begins] <= days[-1] // n_days)
    n_expected[first_row[begins]] = within
    placed = Placed(sessions, row, n_there, n_expected)
    return _without_holidays(placed, knows_holidays) if n_days == 1 else placed


class _Days(NamedTuple):
    """The trading days between the first bar and the last, whether each has a bar, and each stretch's day or -1."""

    days: Ints
    there: NDArray[np.bool_]
    of_row: Ints


def _trading_days(placed: Placed) -> _Days:
    expected = placed.n_expected > 0
    within = np.flatnonzero(expected | (placed.n_there > 0))
    if not len(within):
        return _Days(np.zeros(0, np.int64), np.zeros(0, np.bool_), np.full(len(placed.n_there), -1))
    rows = slice(within[0], within[-1] + 1)
    days, of_rows = np.unique(placed.sessions.days[rows], return_inverse=True)
    there = np.bincount(of_rows, placed.n_there[rows]) > 0
    of_row = np.full(len(placed.n_there), -1)
    of_row[rows] = of_rows
    return _Days(days, there, of_row)


def _without_holidays(placed: Placed, knows_holidays: bool) -> Placed:
    """Days without any bar are holidays where the calendar knows none, as far as there are as few as holidays are."""
    if knows_holidays:
        return placed
    within = _trading_days(placed)
    if not _n_holidays(within.there):
        return placed
    closed = _short_runs(~within.there)
    holiday = (within.of_row >= 0) & np.append(closed, False)[within.of_row]
    return placed._replace(n_expected=np.where(holiday, 0, placed.n_expected))


def _n_holidays(there: NDArray[np.bool_]) -> int:
    """How many trading days without a bar are taken for holidays: none where there are more than any exchange has."""
    n = int(_short_runs(~there).sum())
    return n if n <= max(_FEW_HOLIDAYS, _MOST_HOLIDAYS * len(there)) else 0


def _short_runs(closed: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The closed days without those of longer closures than any holiday's."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], closed, [False]])))
    short = closed.copy()
    for begin, end in zip(edges[::2], edges[1::2], strict=True):
        if end - begin > _LONGEST_CLOSURE:
            short[begin:end] = False
    return short
