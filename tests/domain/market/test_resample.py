"""Resampling, against pandas and on real candles."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference.market_hours import (
    DAY,
    HOUR,
    around_the_clock,
    bars_at,
    currency_hours,
    ms,
    seven_hours,
    slowly_resampled,
    stock_days,
)
from tunesmith.domain.market.bars import COLUMNS, Bars
from tunesmith.domain.market.calendars import COUNTED, calendar_named
from tunesmith.domain.market.resample import can_resample, lengthened, resample
from tunesmith.domain.market.timeframes import timeframe_ms
from tunesmith.domain.market.trading_sessions import sessions_of
from tunesmith.errors import Invalid

PANDAS_RULES = {"15m": "15min", "1h": "1h", "4h": "4h", "1d": "1D", "3d": "3D", "1w": "W-MON"}


def by_pandas(bars: Bars, timeframe: str) -> pd.DataFrame:
    """Longer bars that begin and close while there are bars, of those that are there."""
    index = pd.to_datetime(bars.timestamp, unit="ms")
    frame = pd.DataFrame({name: getattr(bars, name) for name in COLUMNS}, index=index)
    rule, edge = PANDAS_RULES[timeframe], {"closed": "left", "label": "left"}
    groups = frame.resample(rule, **edge) if timeframe == "1w" else frame.resample(rule, origin="epoch", **edge)
    made = groups.agg({"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"})
    closes = made.index + pd.Timedelta(timeframe_ms(timeframe), "ms")
    within = (made.index >= index[0]) & (closes <= index[-1] + pd.Timedelta(timeframe_ms(bars.timeframe), "ms"))
    return made[within & (groups.size() > 0)]


def assert_equal(made: Bars, expected: pd.DataFrame) -> None:
    assert made.timestamp.tolist() == (expected.index.as_unit("ms").asi8).tolist()
    for name in ("open", "high", "low", "close"):
        assert getattr(made, name).tolist() == expected[name].tolist()
    np.testing.assert_allclose(made.volume, expected["volume"], rtol=1e-12)


def random_bars(timeframe: str, n: int, first: int, keep: float, seed: int) -> Bars:
    rng = np.random.default_rng(seed)
    kept = np.flatnonzero(rng.random(n) < keep)
    opened, close = rng.uniform(90, 110, (2, len(kept)))
    columns = {
        "open": opened,
        "high": np.maximum(opened, close) + rng.random(len(kept)),
        "low": np.minimum(opened, close) - rng.random(len(kept)),
        "close": close,
        "volume": rng.random(len(kept)),
    }
    stamps = (first + kept) * timeframe_ms(timeframe)
    return Bars.from_arrays(stamps, columns, symbol="A/B", timeframe=timeframe, calendar="24/7")


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(
        [("5m", "15m"), ("5m", "1h"), ("1h", "4h"), ("1h", "1d"), ("12h", "3d"), ("1h", "1w"), ("1d", "1w")]
    ),
    st.integers(200, 900),
    st.integers(0, 5000),
    st.sampled_from([1.0, 0.99, 0.9]),
    st.integers(0, 10**6),
)
def test_it_equals_pandas_around_the_clock(
    timeframes: tuple[str, str], n: int, first: int, keep: float, seed: int
) -> None:
    source, target = timeframes
    bars = random_bars(source, n, first, keep, seed)
    expected = by_pandas(bars, target)
    if len(expected):
        assert_equal(resample(bars, target), expected)
    else:
        with pytest.raises(Invalid, match=f"no {target} bar would be full"):
            resample(bars, target)


def test_weeks_begin_on_monday_and_days_at_midnight() -> None:
    bars = random_bars("1h", 24 * 30, 24 * 19_723, 1.0, 0)
    for target, format_, first in (("1w", "%A %H:%M", "Monday 00:00"), ("1d", "%H:%M", "00:00")):
        made = resample(bars, target)
        times = pd.to_datetime(made.timestamp, unit="ms", utc=True)
        assert set(times.strftime(format_)) == {first}


def test_a_longer_bar_is_made_of_the_bars_that_are_there() -> None:
    hours = np.delete(around_the_clock(48), [4, 5, 13, 24, 25, 26, 27])
    bars = bars_at(hours, "1h")
    made = lengthened(bars, "4h")
    begin = int(hours[0])
    there = [0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 11]  # of the seventh none is there
    assert made.bars.timestamp.tolist() == [begin + 4 * HOUR * i for i in there]
    assert made.closes.tolist() == [begin + 4 * HOUR * (i + 1) for i in there]
    assert np.flatnonzero(made.is_partial).tolist() == [1, 3]
    assert made.bars.open[1] == bars.open[4]  # the first that is there, at six o'clock
    assert made.due.tolist() == [begin + 4 * HOUR * (i + 1) for i in range(12)]
    full = [0, 2, 4, 5, 7, 8, 9, 10, 11]  # as it was before there were calendars
    assert resample(bars.by(COUNTED), "4h").timestamp.tolist() == [begin + 4 * HOUR * i for i in full]


SESSIONS = {
    "seven hours": (seven_hours(130), "1h", "09:30-16:30 America/New_York"),
    "currency hours": (currency_hours(98), "1h", "17:00-17:00 America/New_York"),
    "stock days": (stock_days(), "1d", "weekdays"),
}


@pytest.mark.parametrize(
    ("name", "target"),
    [(name, target) for name in ("seven hours", "currency hours") for target in ("2h", "4h", "1d", "3d", "1w")]
    + [("stock days", target) for target in ("3d", "1w", "2w")],
)
def test_longer_bars_of_sessions_equal_the_slow_ones(name: str, target: str) -> None:
    stamps, source, text = SESSIONS[name]
    calendar = calendar_named(text)
    rng = np.random.default_rng(5)
    for share in (1.0, 0.97, 0.6):
        bars = bars_at(stamps[rng.random(len(stamps)) < share], source, calendar)
        table = sessions_of(calendar, int(stamps[0]), int(stamps[-1]))
        sessions = list(zip(*(column.tolist() for column in table), strict=True))
        expected = slowly_resampled(bars, timeframe_ms(source), timeframe_ms(target), sessions)
        made = lengthened(bars, target)
        columns = [made.bars.timestamp, made.closes, *(getattr(made.bars, each) for each in COLUMNS)]
        assert list(zip(*(column.tolist() for column in columns), strict=True)) == [row[:-1] for row in expected]


def test_a_session_s_last_longer_bar_ends_with_its_close() -> None:
    bars = bars_at(seven_hours(), "1h")
    made = lengthened(bars, "4h")
    winter, summer = ms(dt.date(2023, 1, 3), 14, 30), ms(dt.date(2023, 7, 3), 13, 30)
    for opens in (winter, summer):
        at = int(np.searchsorted(made.bars.timestamp, opens))
        first = bars.index_at(opens)
        assert made.bars.timestamp[at : at + 2].tolist() == [opens, opens + 4 * HOUR]
        assert made.closes[at : at + 2].tolist() == [opens + 4 * HOUR, opens + 7 * HOUR]
        assert made.bars.close[at : at + 2].tolist() == bars.close[[first + 3, first + 6]].tolist()
    assert not made.is_partial.any()
    assert len(made.bars) == 2 * len(bars) // 7


def test_weeks_are_made_of_stock_days_and_close_on_friday() -> None:
    bars = bars_at(stock_days(), "1d")
    made = lengthened(bars, "1w")
    mondays = [ms(dt.date(2023, 1, 9) + dt.timedelta(weeks=i), 0) for i in range(51)]
    assert made.bars.timestamp.tolist() == mondays  # the first week began before the bars did
    assert made.closes.tolist() == [monday + 5 * DAY for monday in mondays]
    assert not made.is_partial.any()  # holidays do not make a week partial
    assert made.bars.close.tolist() == [bars.close[bars.index_at(monday + 7 * DAY) - 1] for monday in mondays]


def test_bars_outside_of_the_sessions_are_in_no_longer_bar() -> None:
    evenings = np.sort(np.concatenate([seven_hours(60), seven_hours(60)[6::7] + 3 * HOUR]))
    made = resample(bars_at(evenings, "1h", "09:30-16:30 America/New_York"), "1d")
    assert made.volume.tolist() == [
        bars_at(evenings, "1h", "irregular").volume[i : i + 7].sum() for i in range(0, len(evenings), 8)
    ]


def test_the_same_timeframe_and_no_bars_are_left_alone() -> None:
    bars = random_bars("1h", 10, 0, 1.0, 0)
    assert resample(bars, "1h").data_hash == bars.data_hash
    assert len(resample(bars.slice(0, 0), "4h")) == 0


@pytest.mark.parametrize(
    ("source", "target", "possible"),
    [
        ("1h", "4h", True),
        ("1h", "1h", False),
        ("4h", "1h", False),
        ("15m", "1h", True),
        ("7m", "1h", False),
        ("1d", "1w", True),
        ("3d", "1w", False),
        ("3d", "3w", False),
    ],
)
def test_what_can_be_made_of_what(source: str, target: str, possible: bool) -> None:
    assert can_resample(source, target) is possible
    if not possible and source != target:
        with pytest.raises(Invalid, match="cannot be made"):
            resample(random_bars(source, 50, 0, 1.0, 0), target)


def test_bars_off_their_own_multiples_are_refused() -> None:
    bars = random_bars("1h", 50, 0, 1.0, 0)
    columns = {name: getattr(bars, name) for name in COLUMNS}
    late = Bars.from_arrays(bars.timestamp + 60_000, columns, symbol="A/B", timeframe="1h")
    with pytest.raises(Invalid, match="do not begin at multiples"):
        resample(late, "4h")


def test_real_hours_are_made_of_real_five_minutes(shared_data: Path) -> None:
    fine = Bars.read(shared_data / "spot" / "BTC_USDT-5m.parquet", symbol="BTC/USDT", timeframe="5m")
    hours = Bars.read(shared_data / "spot" / "BTC_USDT-1h.parquet", symbol="BTC/USDT", timeframe="1h")
    made = resample(fine, "1h")
    assert made.timestamp.tolist() == hours.timestamp.tolist()
    for name in COLUMNS:
        np.testing.assert_allclose(getattr(made, name), getattr(hours, name), rtol=1e-12)
    assert_equal(resample(fine, "1d"), by_pandas(fine, "1d"))
    assert_equal(resample(hours, "1w"), by_pandas(hours, "1w"))


def test_a_year_s_bars_that_the_caller_chose_are_kept() -> None:
    hours = np.arange(400, dtype=np.int64) * 3_600_000
    columns = {name: np.full(400, 10.0) for name in ("open", "high", "low", "close", "volume")}
    for chosen, expected in ((None, 365.0 * 6), (6000.0, 1500.0)):
        bars = Bars.from_arrays(hours, columns, symbol="A/B", timeframe="1h", calendar="24/7", bars_per_year=chosen)
        assert resample(bars, "4h").bars_per_year == pytest.approx(expected)
    # Monday to Friday, from 1970-01-05 on
    weekdays = np.array([(5 + 7 * week + day - 1) * 86_400_000 for week in range(12) for day in range(5)], np.int64)
    daily = {name: np.full(60, 10.0) for name in columns}
    stocks = Bars.from_arrays(weekdays, daily, symbol="GOOG", timeframe="1d", calendar="weekdays", bars_per_year=252.0)
    assert resample(stocks, "1w").bars_per_year == pytest.approx(252.0 / 5.0, rel=1e-9)
