"""Gaps by a calendar, by hand-made expected values: nights, weekends and holidays are none."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import numpy as np

from tunesmith.domain.market.calendars import AROUND_THE_CLOCK, calendar_named
from tunesmith.domain.market.expected_bars import presence_of
from tunesmith.domain.market.missing_bars import gaps_between

HOUR = 3_600_000
NEW_YORK = ZoneInfo("America/New_York")
SEVEN_HOURS = calendar_named("09:30-16:30 America/New_York")
WEEKDAYS = [day for day in (dt.date(2024, 3, 4) + dt.timedelta(days=i) for i in range(26)) if day.weekday() < 5]


def ms(text: str) -> int:
    return int(dt.datetime.fromisoformat(text).timestamp() * 1000)


def test_in_sessions_only_bars_that_are_expected_are_missing() -> None:
    opens = [dt.datetime.combine(day, dt.time(9, 30), NEW_YORK).timestamp() for day in WEEKDAYS]
    bars = np.array([int(each * 1000) + i * HOUR for each in opens for i in range(7)])
    assert gaps_between(SEVEN_HOURS, bars, "1h") == []
    holiday = (bars >= ms("2024-03-15T00:00Z")) & (bars < ms("2024-03-16T00:00Z"))
    gone = [ms("2024-03-08T20:30Z"), ms("2024-03-11T13:30Z"), ms("2024-03-20T15:30Z")]
    there = bars[~holiday & ~np.isin(bars, gone)]
    # the last hour of a Friday and the first of the Monday, in another time of the year, are one gap of two bars
    assert gaps_between(SEVEN_HOURS, there, "1h") == [(gone[0], gone[1], 2), (gone[2], gone[2], 1)]
    assert presence_of(SEVEN_HOURS, there, "1h").n_missing == 3


def test_days_of_a_market_without_weekends_have_no_gap_there() -> None:
    days = np.array([int(np.datetime64(day, "ms").astype(np.int64)) for day in WEEKDAYS])
    weekdays = calendar_named("weekdays")
    assert gaps_between(weekdays, days, "1d") == []
    assert len(gaps_between(AROUND_THE_CLOCK, days, "1d")) == 3
    sparse = days[[0, 1, *range(6, len(days))]]  # four days are more than there are holidays
    assert gaps_between(weekdays, sparse, "1d") == [(ms("2024-03-06T00:00Z"), ms("2024-03-11T00:00Z"), 4)]
