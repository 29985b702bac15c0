"""What a calendar expects of bars, by values made by hand: stock days, currency hours, sessions, around the clock."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pytest

from reference.market_hours import (
    DAY,
    HOUR,
    MINUTE,
    around_the_clock,
    bars_at,
    currency_hours,
    ms,
    seven_hours,
    stock_days,
    weekdays,
)
from tunesmith.compute.decision.checks.data_gate import faults_of
from tunesmith.domain.array_types import Ints
from tunesmith.domain.market.bars import Bars
from tunesmith.domain.market.calendar_recognition import recognized
from tunesmith.domain.market.calendars import COUNTED, calendar_named
from tunesmith.domain.market.expected_bars import Presence, annual_bars, presence_of
from tunesmith.domain.market.resample import lengthened

pytestmark = pytest.mark.filterwarnings("ignore:Series.values returning")  # exchange_calendars, on pandas 3
RNG = np.random.default_rng(7)


def without(stamps: Ints, share: float) -> Ints:
    """The times without a random share of them."""
    return stamps[np.random.default_rng(1).random(len(stamps)) >= share]


def with_outages(n_hours: int, n_outages: int) -> Ints:
    """Hours around the clock without so many stretches of five, evenly spaced."""
    kept = np.ones(n_hours, bool)
    for i in range(n_outages):
        at = (i + 1) * n_hours // (n_outages + 1)
        kept[at : at + 5] = False
    return around_the_clock(n_hours)[kept]


NAMED = {
    "stock days": (stock_days(), "1d", "weekdays"),
    "currency hours": (currency_hours(), "1h", "Mon-Fri 17:00-17:00 America/New_York"),
    "seven hours": (seven_hours(), "1h", "Mon-Fri 09:30-16:30 America/New_York"),
    "around the clock": (around_the_clock(9000), "1h", "24/7"),
    "119 outages of 5 hours": (with_outages(8760, 119), "1h", "24/7"),
    "half of the hours": (without(around_the_clock(8760), 0.5), "1h", "24/7"),
    "minutes, 1 % missing": (without(around_the_clock(30_000, MINUTE), 0.01), "1m", "24/7"),
    "a year away": (np.concatenate([around_the_clock(900), around_the_clock(900) + 365 * DAY]), "1h", "24/7"),
    "five days": (around_the_clock(5, DAY), "1d", "24/7"),
    "stock minutes, 2 % missing": (
        without(np.array([t + MINUTE * i for t in seven_hours(120) for i in range(60)]), 0.02),
        "1m",
        "Mon-Fri 09:30-16:30 America/New_York",
    ),
    "with a break": (
        np.array(
            [
                ms(day, 1, 30) + 30 * MINUTE * i
                for day in weekdays(dt.date(2023, 1, 1), 200)
                for i in (0, 1, 2, 3, 7, 8, 9, 10)
            ]
        ),
        "30m",
        "Mon-Fri 01:30-03:30,05:00-07:00 UTC",
    ),
    "Sunday to Thursday": (
        np.array([DAY * d for d in range(19_000, 19_500) if (d + 3) % 7 not in (4, 5)]),
        "1d",
        "Sun-Thu 00:00-24:00 UTC",
    ),
    "whenever somebody traded": (np.sort(RNG.choice(around_the_clock(30_000, MINUTE), 900, False)), "1m", "irregular"),
    "eight stock days": (stock_days()[:8], "1d", "irregular"),
}


@pytest.mark.parametrize("name", NAMED)
def test_a_calendar_is_recognized_from_the_times(name: str) -> None:
    stamps, timeframe, calendar = NAMED[name]
    assert recognized(stamps, timeframe).text == calendar


@pytest.mark.parametrize(
    ("name", "calendar", "expected"),
    [
        ("stock days", None, 365 * 5 / 7 * 250 / 259),  # from 3 January to 29 December: 9 of 259 weekdays are closed
        ("stock days", "XNYS", 250.0),
        ("currency hours", None, 24 * 365 * 5 / 7),
        ("seven hours", None, 7 * 365 * 5 / 7),
        ("around the clock", None, 8760.0),
        ("119 outages of 5 hours", None, 8760.0),
        ("half of the hours", None, 8760.0),
        ("minutes, 1 % missing", None, 525_600.0),
        ("a year away", None, 8760.0),
        ("whenever somebody traded", None, 899 * 365 * DAY / np.ptp(NAMED["whenever somebody traded"][0])),
    ],
)
def test_bars_a_year(name: str, calendar: str | None, expected: float) -> None:
    stamps, timeframe, recognized_as = NAMED[name]
    if calendar is not None:
        pytest.importorskip("exchange_calendars")
    assert bars_at(stamps, timeframe, calendar).bars_per_year == pytest.approx(expected, rel=1e-12)
    assert annual_bars(calendar_named(calendar or recognized_as), stamps, timeframe) == pytest.approx(expected)


def test_bars_a_year_of_longer_bars() -> None:
    hours, days = NAMED["seven hours"][0], NAMED["stock days"][0]
    new_york = calendar_named("09:30-16:30 America/New_York")
    assert annual_bars(new_york, hours, "4h") == pytest.approx(2 * 365 * 5 / 7)  # four hours, and three to the close
    assert annual_bars(new_york, hours, "1d") == pytest.approx(365 * 5 / 7)
    assert annual_bars(calendar_named("weekdays"), days, "1w") == pytest.approx(365 / 7)


def test_missing_are_bars_that_the_calendar_expects() -> None:
    days, hours, currency = stock_days(), seven_hours(), currency_hours()
    assert presence_of(calendar_named("weekdays"), days, "1d") == Presence(250, 0, 0)  # nine holidays are none
    assert presence_of(calendar_named("24/7"), days, "1d") == Presence(361, 111, 0)
    assert presence_of(recognized(hours, "1h"), np.delete(hours, [10, 11, 500]), "1h") == Presence(len(hours), 3, 0)
    assert presence_of(recognized(currency, "1h"), np.delete(currency, slice(50, 60)), "1h").n_missing == 10
    early = calendar_named("Mon-Fri 09:30-15:30 America/New_York")
    assert presence_of(early, hours, "1h").n_outside == len(hours) // 7  # the last bar of each session
    clock = np.array(
        [ms(d, 9, 0, "America/New_York") + HOUR * i for d in weekdays(dt.date(2023, 1, 1), 90) for i in range(7)]
    )
    assert presence_of(calendar_named("09:30-16:00 America/New_York"), clock, "1h") == Presence(len(clock), 0, 0)


def test_days_without_bars_are_holidays_only_while_there_are_few_and_they_are_short() -> None:
    days, closed = np.array([ms(day, 0) for day in weekdays(dt.date(2023, 1, 1), 700)]), calendar_named("weekdays")
    assert presence_of(closed, np.delete(days, slice(100, 110)), "1d").n_missing == 0  # two weeks of a new year
    assert presence_of(closed, np.delete(days, slice(100, 111)), "1d").n_missing == 11
    many = np.arange(5, len(days), 9)
    assert presence_of(closed, np.delete(days, many), "1d").n_missing == len(many)


def test_an_exchange_knows_which_days_are_missing() -> None:
    pytest.importorskip("exchange_calendars")
    days = stock_days()
    assert presence_of(calendar_named("XNYS"), np.delete(days, [20, 21]), "1d") == Presence(250, 2, 0)
    short = seven_hours()
    found = presence_of(calendar_named("XNYS"), short, "1h")
    assert found == Presence(7 * 248 + 2 * 4, 0, 10 * 7 + 2 * 3)  # holidays, and afternoons of 3 July and 24 November


@pytest.mark.parametrize(
    ("name", "faults"),
    [
        ("stock days", []),
        ("currency hours", []),
        ("seven hours", []),
        ("around the clock", []),
        ("minutes, 1 % missing", []),
        ("119 outages of 5 hours", ["595 of 8,760 bars that the calendar 24/7 expects are missing (6.8 %"]),
    ],
)
def test_the_data_gate_asks_the_calendar(name: str, faults: list[str]) -> None:
    stamps, timeframe, _ = NAMED[name]
    found = [each.replace("%", " %").replace("  ", " ") for each in faults_of(bars_at(stamps, timeframe), 0)]
    assert [said[: len(expected)] for said, expected in zip(found, faults, strict=True)] == faults


def test_one_long_gap_is_a_fault_by_its_share_alone() -> None:
    year = around_the_clock(8760)
    assert faults_of(bars_at(np.delete(year, slice(100, 105)), "1h"), 0) == []
    assert faults_of(bars_at(np.delete(year, slice(100, 538)), "1h"), 0) == []  # 438 hours are five hundredths
    assert len(faults_of(bars_at(np.delete(year, slice(100, 539)), "1h"), 0)) == 1
    assert faults_of(bars_at(np.delete(year, slice(100, 539)), "1h"), 200) == []


def test_bars_of_before_there_were_calendars_are_counted_as_they_were() -> None:
    dense, thin = without(around_the_clock(20_000), 0.08), without(around_the_clock(20_000), 0.11)
    assert annual_bars(COUNTED, dense, "1h") == 8760.0
    assert annual_bars(COUNTED, thin, "1h") == pytest.approx(0.89 * 8760, rel=0.01)


def test_real_outages_leave_a_market_around_the_clock(shared_data: Path) -> None:
    file = shared_data / "spot16" / "spot_1h" / "BTCUSDT.parquet"
    bars = Bars.read(file, symbol="BTC/USDT", timeframe="1h")
    assert (bars.calendar.text, bars.bars_per_year) == ("24/7", 8760.0)
    assert presence_of(bars.calendar, bars.timestamp, "1h") == Presence(52_584, 122, 0)  # six years
    assert faults_of(bars, 0) == []
    days = lengthened(bars, "1d")
    assert len(days.bars) == 52_584 // 24
    assert 0 < days.is_partial.sum() < 30
