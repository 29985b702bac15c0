"""Times at which markets have bars, written out by hand, and the slow obvious way to make longer bars of them."""

from __future__ import annotations

import datetime as dt
import zoneinfo
from collections.abc import Iterable

import numpy as np

from tunesmith.domain.array_types import Ints
from tunesmith.domain.market.bars import Bars
from tunesmith.domain.market.calendars import Calendar

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000

NEW_YORK_2023 = frozenset(
    dt.date(2023, month, day)
    for month, day in [(1, 2), (1, 16), (2, 20), (4, 7), (5, 29), (6, 19), (7, 4), (9, 4), (11, 23), (12, 25)]
)
"""Holidays of the New York Stock Exchange in 2023: 250 of 260 weekdays are trading days."""


def ms(date: dt.date, hour: int, minute: int = 0, zone: str = "UTC") -> int:
    """When the clocks of a zone show a time, UTC milliseconds."""
    return (
        round(dt.datetime(date.year, date.month, date.day, hour, minute, tzinfo=zoneinfo.ZoneInfo(zone)).timestamp())
        * 1000
    )


def weekdays(first: dt.date, n_days: int, holidays: Iterable[dt.date] = ()) -> list[dt.date]:
    """Monday to Friday among so many days, without the holidays."""
    days = (first + dt.timedelta(days=i) for i in range(n_days))
    return [day for day in days if day.weekday() < 5 and day not in set(holidays)]


def stock_days() -> Ints:
    """Daily bars of a stock in New York in 2023, dated as files have them: midnight UTC."""
    return np.array([ms(day, 0) for day in weekdays(dt.date(2023, 1, 1), 365, NEW_YORK_2023)])


def seven_hours(n_days: int = 365) -> Ints:
    """Hourly bars of sessions from 9:30 to 16:30 in New York from January 2023 on, with its daylight saving."""
    days = weekdays(dt.date(2023, 1, 1), n_days)
    return np.array([ms(day, 9, 30, "America/New_York") + HOUR * i for day in days for i in range(7)])


def currency_hours(n_days: int = 364) -> Ints:
    """Hourly bars of a currency pair: from Sunday to Friday, 17 o'clock in New York (22 UTC, in summer 21)."""
    sundays = [day for i in range(n_days) if (day := dt.date(2023, 1, 1) + dt.timedelta(days=i)).weekday() == 6]
    weeks = [
        (ms(day, 17, 0, "America/New_York"), ms(day + dt.timedelta(days=5), 17, 0, "America/New_York"))
        for day in sundays
    ]
    return np.array([time for begin, end in weeks for time in range(begin, end, HOUR)])


def around_the_clock(n: int, length: int = HOUR) -> Ints:
    """Bars without a gap from January 2023 on."""
    return ms(dt.date(2023, 1, 1), 0) + length * np.arange(n, dtype=np.int64)


def bars_at(stamps: Ints, timeframe: str, calendar: Calendar | str | None = None, seed: int = 0) -> Bars:
    """Bars with random prices at these times."""
    rng = np.random.default_rng(seed)
    opened, close = rng.uniform(90, 110, (2, len(stamps)))
    columns = {
        "open": opened,
        "high": np.maximum(opened, close) + rng.random(len(stamps)),
        "low": np.minimum(opened, close) - rng.random(len(stamps)),
        "close": close,
        "volume": rng.integers(1, 100, len(stamps)).astype(float),
    }
    return Bars.from_arrays(stamps, columns, symbol="A/B", timeframe=timeframe, calendar=calendar)


Long = tuple[int, int, float, float, float, float, float, int]
"""A longer bar: when it begins and closes, open, high, low, close, volume, and of how many bars it is made."""


def slowly_resampled(bars: Bars, length: int, long: int, sessions: list[tuple[int, int, int]]) -> list[Long]:
    """Longer bars, one bar after the other. `sessions` are (opens, closes, trading day) in UTC milliseconds."""
    spans: list[tuple[int, int, list[tuple[int, int]]]] = []
    if long < DAY:
        for opens, closes, _ in sessions:
            spans += [
                (begin, min(begin + long, closes), [(begin, min(begin + long, closes))])
                for begin in range(opens, closes, long)
            ]
    else:
        by_key: dict[int, list[tuple[int, int]]] = {}
        for opens, closes, day in sessions:
            first_day = 4 if long % (7 * DAY) == 0 else 0  # weeks begin on Mondays, as 1970-01-05 was one
            by_key.setdefault((day - first_day) // (long // DAY), []).append((opens, closes))
        spans = [(parts[0][0], parts[-1][1], parts) for _, parts in sorted(by_key.items())]
    found: list[Long] = []
    data_begin, data_end = int(bars.timestamp[0]), int(bars.timestamp[-1]) + length
    for begin, close, parts in spans:
        inside = [i for i, time in enumerate(bars.timestamp.tolist()) if any(a <= time < b for a, b in parts)]
        if inside and begin >= data_begin and close <= data_end:
            found.append(
                (
                    begin,
                    close,
                    float(bars.open[inside[0]]),
                    max(float(bars.high[i]) for i in inside),
                    min(float(bars.low[i]) for i in inside),
                    float(bars.close[inside[-1]]),
                    sum(float(bars.volume[i]) for i in inside),
                    len(inside),
                )
            )
    return found
