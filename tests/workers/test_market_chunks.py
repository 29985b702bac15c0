"""Cutting windows by the market's calendar, and as before there were calendars; imports that name one."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from golden.candles import candles
from reference.market_hours import DAY, HOUR, bars_at, ms, seven_hours, stock_days
from tunesmith.domain.market.calendars import COUNTED
from tunesmith.errors import Invalid
from tunesmith.storage.market.market_schemes import open_market
from tunesmith.storage.market.snapshots import open_snapshots
from tunesmith.workers.chunks.market_chunks import import_bars, prepare
from tunesmith.workers.chunks.payloads import BarCounts, ImportBars, Prepare, Prepared

Rows = list[tuple[int, float, float, float, float, float]]
BEGIN = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
HOURS = candles(3, 0.5, 2000, BEGIN, dt.timedelta(hours=1))
THIN = [row for i, row in enumerate(HOURS) if i % 9 != 4]
DENSE = [row for i, row in enumerate(HOURS) if i % 40 != 7]


def stored(folder: Path, rows: Rows, timeframe: str = "1h", **how: Any) -> str:
    names = {"market": str(folder / "market"), "venue": "local", "symbol": "A/B", "timeframe": timeframe}
    return import_bars(ImportBars(**names, rows=rows, **how)).data_hash


def rows_of(stamps: Any, timeframe: str) -> Rows:
    bars = bars_at(stamps, timeframe)
    return list(
        zip(
            *(getattr(bars, name).tolist() for name in ("timestamp", "open", "high", "low", "close", "volume")),
            strict=True,
        )
    )


def cut(folder: Path, timeframe: str, begin: int, end: int, boundary: int, **by: Any) -> Prepared:
    return prepare(
        Prepare(
            data_dir=str(folder),
            market=str(folder / "market"),
            venue="local",
            symbol="A/B",
            timeframe=timeframe,
            start_ms=begin,
            end_ms=end,
            boundary_ms=boundary,
            in_sample_end_ms=boundary,
            **by,
        )
    )


@pytest.mark.parametrize(
    ("rows", "timeframe", "data_hash", "snapshot", "n_bars"),
    [
        (THIN, "1h", "8d32132f70e65de6", "167a276cee8c187ce003039764b6b1e316cf862e91a5353d94d4c76c4be318f0", 1600),
        (THIN, "4h", "8d32132f70e65de6", "fabc005486892f61d048c41c2b9e69ed62ba300660530a0086568cd4c8abfc31", 250),
        (DENSE, "4h", "9cf7bc9b1d26e137", "3e767daf08cc1e8bd16288c41aac0f7613852444a1f58c35951f06b52d38ec35", 405),
    ],
    ids=["a year by count", "full bars", "a year by density"],
)
def test_a_window_of_before_there_were_calendars_is_cut_to_the_same_bars(
    tmp_path: Path, rows: Rows, timeframe: str, data_hash: str, snapshot: str, n_bars: int
) -> None:
    """The hashes are those of the release before there were calendars, of the same rows and windows."""
    assert stored(tmp_path, rows).startswith(data_hash)
    begin = HOURS[0][0]
    done = cut(tmp_path, timeframe, begin, begin + 1800 * HOUR, begin + 1400 * HOUR)
    assert (done.snapshot, done.n_bars, done.calendar, done.in_sample) == (snapshot, n_bars, None, None)
    assert open_snapshots(tmp_path).get(snapshot).calendar == COUNTED
    now = cut(tmp_path, timeframe, begin, begin + 1800 * HOUR, begin + 1400 * HOUR, calendar=None)
    assert now.snapshot != snapshot
    bars = open_snapshots(tmp_path).get(now.snapshot)
    assert (bars.calendar.text, bars.bars_per_year, bars.data_hash) == (
        "24/7",
        8760.0 / int(timeframe[0]),
        now.snapshot,
    )
    assert now.n_bars == (1600 if timeframe == "1h" else 450)


def test_a_manifest_without_a_calendar_is_recognized_when_it_is_read(tmp_path: Path) -> None:
    stored(tmp_path, rows_of(seven_hours(60), "1h"))
    [manifest] = (tmp_path / "market").rglob("*.json")
    manifest.write_text(manifest.read_text().replace('"calendar":"Mon-Fri 14:30-21:30 UTC"', '"calendar":null'))
    store = open_market(str(tmp_path / "market"))
    assert store.calendar_of(store.find("A/B")) is None
    assert store.load("local", "A/B", "1h").calendar.text == "Mon-Fri 14:30-21:30 UTC"


def test_bars_that_are_missing_are_counted_on_either_side_and_limited(tmp_path: Path) -> None:
    rows = [row for i, row in enumerate(HOURS) if i % 25 != 4 and not 1500 <= i < 1550]
    stored(tmp_path, rows)
    begin = HOURS[0][0]
    whole = begin, begin + 2000 * HOUR, begin + 1400 * HOUR
    done = cut(tmp_path, "4h", *whole, calendar="24/7", max_missing=0.07)
    n_held_out = sum(1400 <= i < 2000 and (i % 25 == 4 or 1500 <= i < 1550) for i in range(2000))
    assert done.in_sample == BarCounts(n_expected=1400, n_missing=56)
    assert done.holdout == BarCounts(n_expected=600, n_missing=n_held_out)
    full = [i for i in range(500) if all((h % 25 != 4) and not 1500 <= h < 1550 for h in range(4 * i, 4 * i + 4))]
    empty = [i for i in range(500) if all(1500 <= h < 1550 for h in range(4 * i, 4 * i + 4))]
    assert done.n_bars == 500 - len(empty)
    assert done.partial == pytest.approx(1 - len(full) / done.n_bars)
    with pytest.raises(Invalid) as refused:
        cut(tmp_path, "4h", *whole, calendar="24/7", max_missing=0.05)
    assert refused.value.path == "/data/max_missing"
    assert "of the 2,000 1h bars of A/B that its calendar (24/7) expects are missing" in refused.value.message
    assert "6." in refused.value.message
    for calendar in ("irregular", "24/7"):  # what is accepted or not expected
        cut(tmp_path, "1h", *whole, calendar=calendar, max_missing=0.05 if calendar == "irregular" else 0.1)


def test_a_named_calendar_holds_for_all_timeframes_and_later_imports(tmp_path: Path) -> None:
    hours, named = seven_hours(120), "Mon-Fri 09:30-16:30 America/New_York"
    rows = rows_of(hours, "1h")
    store = open_market(str(tmp_path / "market"))
    stored(tmp_path, rows[:300])
    assert store.calendar_of(store.find("A/B")) == "Mon-Fri 14:30-21:30 UTC"  # it has not seen the clocks change yet
    stored(tmp_path, rows[:300], calendar="09:30-16:30 America/New_York")
    stored(tmp_path, rows[300:])
    stored(tmp_path, rows_of(stock_days(), "1d"), "1d")
    assert [store.calendar_of(each) for each in store.list()] == [named, named]
    longer = store.load("local", "A/B", "4h")
    opens = [ms(day, 9, 30, "America/New_York") for day in (dt.date(2023, 3, 10), dt.date(2023, 3, 13))]
    for opened in opens:
        assert longer.timestamp[longer.index_at(opened) : longer.index_at(opened) + 2].tolist() == [
            opened,
            opened + 4 * HOUR,
        ]
    week = store.find("A/B", "1w")
    assert (week.source, week.start_ms) == ("1d", int(stock_days()[0]))
    done = cut(tmp_path, "1w", week.start_ms, week.end_ms, week.start_ms + 200 * DAY, calendar=named)
    assert (done.n_bars, done.partial) == (51, 0.0)


def test_later_bars_outside_of_a_named_calendar_are_not_left_out_in_silence(tmp_path: Path) -> None:
    hours = seven_hours(120)
    evenings = np.sort(np.concatenate([hours[6::7] + 2 * HOUR, hours[6::7] + 3 * HOUR]))
    stored(tmp_path, rows_of(hours, "1h"), calendar="09:30-16:30 America/New_York")
    whole = int(hours[0]), int(hours[-1]) + HOUR, int(hours[300])
    assert cut(tmp_path, "1h", *whole, calendar="Mon-Fri 09:30-16:30 America/New_York").n_bars == len(hours)
    stored(tmp_path, rows_of(evenings, "1h"))
    with pytest.raises(Invalid, match="lie outside of the sessions of its calendar"):
        cut(tmp_path, "1h", *whole, calendar="Mon-Fri 09:30-16:30 America/New_York")


def test_a_calendar_that_is_not_the_bars_is_refused(tmp_path: Path) -> None:
    rows = rows_of(seven_hours(60), "1h")
    for calendar, said in (
        ("09:30-16:30 Europe/London", "lie outside of the sessions of Mon-Fri 09:30-16:30 Europe/London"),
        ("nine to five", "is no calendar"),
    ):
        with pytest.raises(Invalid) as refused:
            stored(tmp_path, rows, calendar=calendar)
        assert said in refused.value.message
        assert refused.value.path == "/data/calendar"
    store = open_market(str(tmp_path / "market"))
    assert store.named_calendar("local", "A/B") is None
