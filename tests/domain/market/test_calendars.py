"""Calendars: the texts that name them, and the times of their sessions."""

from __future__ import annotations

import datetime as dt
import sys

import pytest

from reference.market_hours import HOUR, MINUTE, NEW_YORK_2023, ms, weekdays
from tunesmith.domain.market.calendars import AROUND_THE_CLOCK, IRREGULAR, WEEKDAYS, calendar_named
from tunesmith.domain.market.trading_sessions import sessions_of
from tunesmith.errors import Invalid

SHANGHAI_NIGHT = "Mon-Fri 21:00-23:00,09:00-15:00 Asia/Shanghai"


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("24/7", "24/7"),
        ("weekdays", "weekdays"),
        ("irregular", "irregular"),
        ("XNYS", "XNYS"),
        ("00:00-24:00", "weekdays"),
        ("09:30-16:00 America/New_York", "Mon-Fri 09:30-16:00 America/New_York"),
        ("Sun-Thu 10:00-17:00 Asia/Jerusalem", "Sun-Thu 10:00-17:00 Asia/Jerusalem"),
        ("17:00-17:00 America/New_York", "Mon-Fri 17:00-17:00 America/New_York"),
        (SHANGHAI_NIGHT, SHANGHAI_NIGHT),
    ],
)
def test_a_text_names_a_calendar_that_names_itself(text: str, full: str) -> None:
    assert calendar_named(text).text == full
    assert calendar_named(full) == calendar_named(text)


def test_whole_calendars_are_constants() -> None:
    assert [calendar_named(text) for text in ("24/7", "irregular", "weekdays")] == [
        AROUND_THE_CLOCK,
        IRREGULAR,
        WEEKDAYS,
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("always", "'always' is no calendar; expected 24/7, weekdays"),
        ("", "'' is no calendar"),
        ("09:30-16:00 America/Atlantis", "'America/Atlantis' is no time zone"),
        ("09:30-16:00 ../../etc/passwd", "is no calendar"),
        ("25:00-26:00", "25:00 is no time of the day"),
        ("Mon-Fry 09:00-10:00", "'Fry' is no day"),
        ("09:00-12:00,11:00-13:00,10:00-12:30", "overlap"),
    ],
)
def test_what_names_none_is_refused_with_what_would(text: str, said: str) -> None:
    with pytest.raises(Invalid) as refused:
        calendar_named(text, "/data/calendar")
    assert said in refused.value.message
    assert refused.value.path == "/data/calendar"


def test_sessions_move_with_daylight_saving() -> None:
    days = [dt.date(2023, 3, 10), dt.date(2023, 3, 13), dt.date(2023, 11, 3), dt.date(2023, 11, 6)]
    table = sessions_of(calendar_named("09:30-16:00 America/New_York"), ms(days[0], 0), ms(days[-1], 0))
    found = {day: (opens, closes) for opens, closes, day in zip(*(c.tolist() for c in table), strict=True)}
    for day, hour in zip(days, (14, 13, 13, 14), strict=True):
        opens = ms(day, hour, 30)  # 9:30 in New York is 14:30 UTC in winter, 13:30 in summer
        assert found[(day - dt.date(1970, 1, 1)).days] == (opens, opens + 390 * MINUTE)


def test_a_session_may_open_the_evening_before_and_have_a_break() -> None:
    monday = dt.date(2023, 1, 9)
    table = sessions_of(calendar_named(SHANGHAI_NIGHT), ms(monday, 0), ms(monday, 0))
    of_monday = table.days == (monday - dt.date(1970, 1, 1)).days
    sunday = monday - dt.timedelta(days=1)
    assert table.opens[of_monday].tolist() == [ms(sunday, 13), ms(monday, 1)]
    assert table.closes[of_monday].tolist() == [ms(sunday, 15), ms(monday, 7)]


@pytest.mark.filterwarnings("ignore:Series.values returning")  # exchange_calendars, on pandas 3
def test_an_exchange_knows_its_holidays_and_its_short_days() -> None:
    pytest.importorskip("exchange_calendars")
    first, last = ms(dt.date(2023, 1, 1), 0), ms(dt.date(2023, 12, 31), 0)
    table = sessions_of(calendar_named("XNYS"), first, last)
    year = (table.opens >= first) & (table.opens <= last)
    expected = [ms(day, 9, 30, "America/New_York") for day in weekdays(dt.date(2023, 1, 1), 365, NEW_YORK_2023)]
    assert table.opens[year].tolist() == expected
    after_thanksgiving = table.opens == ms(dt.date(2023, 11, 24), 14, 30)
    assert (table.closes - table.opens)[after_thanksgiving].tolist() == [3 * HOUR + 30 * MINUTE]
    with pytest.raises(Invalid, match="XXXX is no exchange of exchange_calendars"):
        sessions_of(calendar_named("XXXX"), first, last)


def test_an_exchange_without_its_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "exchange_calendars", None)
    with pytest.raises(Invalid, match=r"pip install 'tunesmith\[calendars\]'"):
        sessions_of(calendar_named("XSTO"), ms(dt.date(2023, 1, 1), 0), ms(dt.date(2023, 2, 1), 0))
