"""Dates in requests: what ISO 8601 allows, what a bare end includes, what is refused."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tunesmith.errors import Invalid
from tunesmith.services.runtime.dates import parse_date

DAY_MS = 86_400_000
JANUARY_31 = 1_706_659_200_000
PATH = "/data/end_date"


@pytest.mark.parametrize(
    ("text", "time_ms"),
    [
        ("1970-01-01", 0),
        ("2024-01-31", JANUARY_31),
        ("20240131", JANUARY_31),
        ("2024-W05-3", JANUARY_31),
        ("2024W053", JANUARY_31),
        ("2024-01-31T00:00:00Z", JANUARY_31),
        ("2024-01-31T12:00:00.123", JANUARY_31 + DAY_MS // 2 + 123),
        ("2024-01-31T01:00+01:00", JANUARY_31),
        ("9999-12-31T23:59:59.999999", 253_402_300_799_999),
    ],
)
def test_it_is_utc_milliseconds(text: str, time_ms: int) -> None:
    assert parse_date(text, PATH) == time_ms


@pytest.mark.parametrize("text", ["2024-01-31", "20240131", "2024-W05-3", "2024W053"])
def test_a_bare_day_that_ends_a_range_is_inclusive_however_it_is_written(text: str) -> None:
    assert parse_date(text, PATH, end=True) == JANUARY_31 + DAY_MS


@pytest.mark.parametrize("text", ["2024-W05", "2024W05"])
def test_a_bare_week_that_ends_a_range_is_inclusive(text: str) -> None:
    monday = JANUARY_31 - 2 * DAY_MS
    assert parse_date(text, PATH) == monday
    assert parse_date(text, PATH, end=True) == monday + 7 * DAY_MS


@pytest.mark.parametrize("text", ["2024-01-31T00", "2024-01-31 00:00", "20240131T000000Z", "2024-W05-3T00:00"])
def test_a_time_that_ends_a_range_is_that_time(text: str) -> None:
    assert parse_date(text, PATH, end=True) == JANUARY_31


@pytest.mark.parametrize(
    "text",
    ["9999-12-31", "9999-12-31T23:59:59-01:00", "1799-12-31T23:59:59", "0001-01-01", "0001-01-01T00:00+23:59",
     "1800-01-01T00:00+00:01"],
)  # fmt: skip
def test_an_end_outside_what_times_hold_is_refused_with_its_path(text: str) -> None:
    with pytest.raises(Invalid, match="outside the years 1800 to 9999") as caught:
        parse_date(text, PATH, end=True)
    assert caught.value.path == PATH


@given(
    st.text()
    | st.datetimes(timezones=st.none() | st.timezones()).map(lambda moment: moment.isoformat())
    | st.dates().map(lambda day: day.isoformat())
    | st.from_regex(r"[0-9]{4}-?(W[0-9]{2}|[0-9]{2})?-?[0-9]{0,2}.?[0-9:.+Z-]*", fullmatch=True),
    st.booleans(),
)
@example("9999-12-31", True)
@example("\ud800", True)
def test_any_text_is_a_time_or_refused(text: str, end: bool) -> None:
    with suppress(Invalid):
        assert -5_364_662_400_000 <= parse_date(text, PATH, end=end) <= 253_402_300_799_999
