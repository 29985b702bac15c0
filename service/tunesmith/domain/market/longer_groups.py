"""Groups: which bars make each longer bar by the calendar, and when that one closes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tunesmith.domain.array_types import Ints
from tunesmith.domain.market.calendars import Calendar
from tunesmith.domain.market.expected_bars import Placed, place
from tunesmith.domain.market.timeframes import UNIT_MS, timeframe_ms
from tunesmith.domain.market.trading_sessions import DAY_MS
from tunesmith.errors import Invalid

MONDAY_MS = 4 * UNIT_MS["d"]
"""The first Monday after the epoch, 1970-01-05: where weeks begin."""


class Groups(NamedTuple):
    """The longer bars that can be made, oldest first, int64[m] each.

    `start` and `n_in`: the first bar of each among the bars `used` (None: all), and how many; `begins` and `closes`,
    UTC milliseconds; `n_expected`: how many bars the calendar expects in each. `due`: when each longer bar that the
    calendar expects closes, also those of which no bar is there.
    """

    start: Ints
    n_in: Ints
    begins: Ints
    closes: Ints
    n_expected: Ints
    used: NDArray[np.bool_] | None
    due: Ints

    def kept(self, which: NDArray[np.bool_]) -> Groups:
        """Only some of the longer bars."""
        start, n_in, begins, closes, n_expected, used, due = self
        return Groups(start[which], n_in[which], begins[which], closes[which], n_expected[which], used, due)


def can_resample(source: str, target: str) -> bool:
    """Whether bars of the timeframe `target` can be made of whole bars of `source`."""
    short, long = timeframe_ms(source), timeframe_ms(target)
    return long > short and long % short == 0 and (not target.endswith("w") or MONDAY_MS % short == 0)


def groups_of(calendar: Calendar, timestamp: Ints, source: str, target: str) -> Groups:
    """The longer bars that are made of bars that open at `timestamp`.

    Around the clock they begin at multiples of the timeframe since the epoch in UTC, weeks on Mondays; in sessions
    shorter than a day at the open, and the last ends with the session; days and weeks hold all sessions of theirs. One
    is made of the bars that are there, however few, but not before the first bar's time nor after the last one's: what
    was traded then is not known. By `COUNTED` only full ones are made. Raises `Invalid` for bars around the clock that
    do not begin at multiples of their own timeframe.
    """
    short, long = timeframe_ms(source), timeframe_ms(target)
    if calendar.has_sessions and short < UNIT_MS["w"]:
        placed = place(calendar, timestamp, source, long)
        if long >= DAY_MS:
            by_dates = short >= DAY_MS and not (timestamp % DAY_MS).any()
            found = _of_days(placed, target, by_dates=by_dates)
        else:
            found = _of_sessions(placed, timestamp, short, long)
    else:
        found = _around_the_clock(timestamp, source, target)
    if calendar.kind == "counted":
        return found.kept(found.n_in == found.n_expected)
    if calendar.kind == "irregular":
        found = found._replace(n_expected=found.n_in, due=found.closes)
    return found.kept((found.begins >= timestamp[0]) & (found.closes <= timestamp[-1] + short))


def _around_the_clock(timestamp: Ints, source: str, target: str) -> Groups:
    short, long = timeframe_ms(source), timeframe_ms(target)
    offset = MONDAY_MS if target.endswith("w") else 0
    if ((timestamp - offset) % short).any():
        raise Invalid(f"the {source} bars do not begin at multiples of {source} UTC; they stay as they are")
    each = (timestamp - offset) // long * long + offset
    start = np.flatnonzero(np.diff(each, prepend=each[0] - 1))
    n_in = np.diff(np.append(start, len(each)))
    begins = each[start]
    due = np.arange(int(begins[0]), int(begins[-1]) + 1, long) + long
    return Groups(start, n_in, begins, begins + long, np.full(len(start), long // short), None, due)


def _of_sessions(placed: Placed, timestamp: Ints, short: int, long: int) -> Groups:
    """Longer bars within sessions. Bars whose own grid does not meet the open begin before it, and so do theirs."""
    sessions, row, _, n_expected = placed
    used = row >= 0
    row, times = row[used], timestamp[used]
    first = np.flatnonzero(np.diff(row, prepend=-1))
    begin = sessions.opens.copy()
    begin[row[first]] -= (begin[row[first]] - times[first]) % short
    piece = (times - begin[row]) // long
    n_pieces = -((begin - sessions.closes) // long)
    before = np.cumsum(n_pieces) - n_pieces
    of_piece = np.repeat(np.arange(len(begin)), n_pieces)
    begins = begin[of_piece] + (np.arange(int(n_pieces.sum())) - before[of_piece]) * long
    closes = np.minimum(begins + long, sessions.closes[of_piece])
    is_due = (n_expected > 0)[of_piece]
    return _grouped(before[row] + piece, used, begins, closes, -((begins - closes) // short), is_due)


def _of_days(placed: Placed, target: str, *, by_dates: bool) -> Groups:
    """Longer bars of whole trading days; `by_dates` they begin at midnight UTC, as bars do that are dated."""
    sessions, row, _, n_expected = placed
    used = row >= 0
    first_day = MONDAY_MS // DAY_MS if target.endswith("w") else 0
    key = (sessions.days - first_day) // (timeframe_ms(target) // DAY_MS)
    groups, first, of_row = np.unique(key, return_index=True, return_inverse=True)
    begins, n_in = sessions.opens[first], np.zeros(len(groups), np.int64)
    if by_dates:
        begins = sessions.days[first] * DAY_MS
    closes = np.zeros(len(groups), np.int64)
    np.maximum.at(closes, of_row, sessions.closes)
    np.add.at(n_in, of_row, n_expected)
    return _grouped(of_row[row[used]], used, begins, closes, n_in, n_in > 0)


def _grouped(
    of_bar: Ints, used: NDArray[np.bool_], begins: Ints, closes: Ints, n_expected: Ints, is_due: NDArray[np.bool_]
) -> Groups:
    """The groups that have bars; `of_bar` int64[n] says which each of the used bars is in."""
    start = np.flatnonzero(np.diff(of_bar, prepend=-1))
    made = of_bar[start]
    n_in = np.diff(np.append(start, len(of_bar)))
    due = closes[is_due] if len(made) == 0 else closes[is_due & (closes >= closes[made[0]])]
    return Groups(start, n_in, begins[made], closes[made], n_expected[made], None if used.all() else used, due)
