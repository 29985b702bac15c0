"""Resampling, against pandas and on real candles."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunesmith.domain.market.bars import COLUMNS, Bars
from tunesmith.domain.market.resample import can_resample, resample
from tunesmith.domain.market.timeframes import timeframe_ms
from tunesmith.errors import Invalid

PANDAS_RULES = {"15m": "15min", "1h": "1h", "4h": "4h", "1d": "1D", "3d": "3D", "1w": "W-MON"}


def by_pandas(bars: Bars, timeframe: str) -> pd.DataFrame:
    index = pd.to_datetime(bars.timestamp, unit="ms")
    frame = pd.DataFrame({name: getattr(bars, name) for name in COLUMNS}, index=index)
    rule, edge = PANDAS_RULES[timeframe], {"closed": "left", "label": "left"}
    groups = frame.resample(rule, **edge) if timeframe == "1w" else frame.resample(rule, origin="epoch", **edge)
    whole = groups.agg({"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"})
    return whole[groups.size() == timeframe_ms(timeframe) // timeframe_ms(bars.timeframe)]


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
    return Bars.from_arrays(stamps, columns, symbol="A/B", timeframe=timeframe)


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
def test_it_equals_pandas_where_bars_are_full(
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


def test_a_missing_bar_takes_its_long_bar_with_it() -> None:
    bars = random_bars("1h", 48, 0, 1.0, 0)
    columns = {name: np.delete(getattr(bars, name), 5) for name in COLUMNS}
    gap = Bars.from_arrays(np.delete(bars.timestamp, 5), columns, symbol="A/B", timeframe="1h")
    hour = 3_600_000
    assert resample(gap, "4h").timestamp.tolist() == [4 * hour * i for i in range(12) if i != 1]


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
