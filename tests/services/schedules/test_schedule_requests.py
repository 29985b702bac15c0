"""When schedules run: intervals keep their beat, cron is UTC, and what cannot be is refused with its field."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunesmith.errors import Invalid
from tunesmith.services.schedules.schedule_requests import next_run
from tunesmith.storage.timestamps import iso, milliseconds

NOON = milliseconds("2026-01-01T12:00:00.000Z")
HOUR = 3_600_000


@given(st.integers(0, 10**9), st.sampled_from(["1m", "6h", "1d"]))
def test_an_interval_keeps_its_beat_however_late_it_is_looked_at(late: int, every: str) -> None:
    length = {"1m": 60_000, "6h": 6 * HOUR, "1d": 24 * HOUR}[every]
    found = next_run(every, None, NOON + late, NOON)
    assert found > NOON + late
    assert found - (NOON + late) <= length
    assert (found - NOON) % length == 0


@pytest.mark.parametrize(
    ("cron", "then"),
    [
        ("0 3 * * *", "2026-01-02T03:00:00.000Z"),
        ("30 12 * * *", "2026-01-01T12:30:00.000Z"),
        ("0 0 * * 1", "2026-01-05T00:00:00.000Z"),
    ],
)
def test_cron_is_read_in_utc(cron: str, then: str) -> None:
    assert iso(next_run(None, cron, NOON, NOON)) == then


@pytest.mark.parametrize("cron", ["every day", "61 * * * *", "* * * *"])
def test_what_is_no_cron_expression_is_refused(cron: str) -> None:
    with pytest.raises(Invalid, match="no cron expression") as refused:
        next_run(None, cron, NOON, NOON)
    assert refused.value.path == "/data/cron"
