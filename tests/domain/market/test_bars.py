"""Bars: what is accepted, what is refused and how that is said, and what they tell of themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunesmith.domain.market.bars import COLUMNS, Bars, find_problems
from tunesmith.domain.market.calendars import COUNTED, calendar_named
from tunesmith.errors import Invalid

HOUR = 3_600_000
START = 1_704_067_200_000
NAMES: dict[str, Any] = {"symbol": "BTC/USDT", "timeframe": "1h"}


def columns(n: int = 5) -> dict[str, np.ndarray]:
    close = 100.0 + np.arange(n)
    return {"open": close - 0.5, "high": close + 1, "low": close - 1, "close": close, "volume": np.ones(n)}


def stamps(n: int = 5) -> np.ndarray:
    return START + HOUR * np.arange(n)


def make(n: int = 5) -> Bars:
    return Bars.from_arrays(stamps(n), columns(n), **NAMES)


def test_sound_columns_make_bars() -> None:
    bars = make()
    assert len(bars) == 5
    assert bars.end_ms == START + 5 * HOUR
    assert bars.venue == "local"
    assert bars.bars_per_year == 8760
    assert all(getattr(bars, name).flags.c_contiguous for name in COLUMNS)


@pytest.mark.parametrize(
    ("name", "row", "value", "message"),
    [
        ("close", 2, np.nan, "1 bars have a missing or infinite price, first at row 2 (2024-01-01T02:00:00.000Z)"),
        ("open", 1, np.inf, "1 bars have a missing or infinite price, first at row 1"),
        ("low", 3, 0.0, "1 bars have a price of zero or below, first at row 3"),
        ("low", 3, -1.0, "1 bars have a price of zero or below"),
        ("high", 4, 101.0, "1 bars have a high below their open or close, first at row 4"),
        ("low", 0, 100.4, "1 bars have a low above their open or close, first at row 0"),
        ("volume", 0, -1.0, "1 bars have a missing, infinite or negative volume"),
        ("volume", 0, np.nan, "1 bars have a missing, infinite or negative volume"),
    ],
)
def test_unsound_values_are_refused_with_their_place(name: str, row: int, value: float, message: str) -> None:
    data = columns()
    data[name][row] = value
    with pytest.raises(Invalid) as refused:
        Bars.from_arrays(stamps(), data, **NAMES)
    assert message in refused.value.message


@pytest.mark.parametrize(
    ("times", "message"),
    [
        ([0, 1, 1, 2, 2], "2 bars repeat the time before them, first at row 2"),
        ([0, 2, 1, 3, 4], "1 bars are out of order, first at row 2"),
    ],
)
def test_unsound_times_are_refused_with_their_place(times: list[int], message: str) -> None:
    with pytest.raises(Invalid) as refused:
        Bars.from_arrays(START + HOUR * np.array(times), columns(), **NAMES)
    assert message in refused.value.message


def test_every_problem_is_reported_at_once() -> None:
    data = columns()
    data["close"][1] = np.nan
    data["low"][2] = 0.0
    data["volume"][3] = -1
    assert len(find_problems(stamps()[::-1].copy(), data)) == 4


def test_no_bars_and_uneven_columns_are_refused() -> None:
    with pytest.raises(Invalid, match="there are no bars"):
        Bars.from_arrays(stamps(0), columns(0), **NAMES)
    with pytest.raises(Invalid, match="differ in length"):
        Bars.from_arrays(stamps(4), columns(5), **NAMES)


def test_a_bad_timeframe_is_refused() -> None:
    with pytest.raises(Invalid, match="no timeframe"):
        Bars.from_arrays(stamps(), columns(), symbol="X", timeframe="hourly")


def test_a_slice_is_a_copy_that_keeps_the_year() -> None:
    bars = Bars.from_arrays(stamps(), columns(), **NAMES, bars_per_year=123.0)
    part = bars.slice(1, 3)
    assert part.timestamp.tolist() == stamps()[1:3].tolist()
    assert part.bars_per_year == 123.0
    assert all(getattr(part, name).base is None for name in COLUMNS)


@given(st.integers(-2, 12), st.integers(0, HOUR - 1))
def test_the_index_of_a_time_is_the_first_bar_not_before_it(hour: int, more: int) -> None:
    time = START + hour * HOUR + more
    assert make().index_at(time) == sum(stamp < time for stamp in stamps())


def test_the_hash_is_the_data_s_identity() -> None:
    bars = make()
    assert bars.data_hash == make().data_hash
    others = [
        make(4),
        Bars.from_arrays(stamps(), columns(), symbol="ETH/USDT", timeframe="1h"),
        Bars.from_arrays(stamps(), columns(), symbol="BTC/USDT", timeframe="1h", venue="other"),
        Bars.from_arrays(stamps() + HOUR, columns(), **NAMES),
        Bars.from_arrays(stamps(), {**columns(), "volume": np.full(5, 2.0)}, **NAMES),
    ]
    assert len({bars.data_hash, *(other.data_hash for other in others)}) == 6


def test_the_calendar_is_a_part_of_the_identity_where_something_depends_on_it() -> None:
    times = np.delete(stamps(48), 20)
    data = {name: np.delete(column, 20) for name, column in columns(48).items()}

    def by(calendar: str, which: slice = slice(None)) -> Bars:
        cut = {name: column[which] for name, column in data.items()}
        return Bars.from_arrays(times[which], cut, **NAMES, calendar=calendar, bars_per_year=8760.0)

    old = by("24/7").by(COUNTED)
    assert len({each.data_hash for each in (by("24/7"), by("irregular"), by("weekdays"), old)}) == 4
    whole = slice(0, 20)
    assert by("24/7", whole).data_hash == by("24/7", whole).by(COUNTED).data_hash == old.slice(0, 20).data_hash
    assert by("24/7").by(calendar_named("weekdays")).bars_per_year == pytest.approx(24 * 365 * 5 / 7)
    with pytest.raises(Invalid) as refused:
        by("now and then")
    assert refused.value.path == "/calendar"


def test_a_frame_and_a_file_give_the_same_bars(tmp_path: Path) -> None:
    frame = pd.DataFrame({"date": pd.to_datetime(stamps(), unit="ms", utc=True), **columns()})
    frame.to_parquet(tmp_path / "a.parquet")
    for bars in (Bars.from_frame(frame, **NAMES), Bars.read(tmp_path / "a.parquet", **NAMES)):
        assert bars.data_hash == make().data_hash


def test_real_candles_are_sound(shared_data: Path) -> None:
    bars = Bars.read(shared_data / "spot" / "BTC_USDT-1h.parquet", **NAMES)
    assert len(bars) == 5980
    assert bars.bars_per_year == 8760
    assert set(np.diff(bars.timestamp)) == {HOUR}
