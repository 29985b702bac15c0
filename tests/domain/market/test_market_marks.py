"""Marks: what is kept of closes, in how few bytes, and whether the bars of one are among those of another."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.alterations import HOUR_MS, Closes
from tunesmith.domain.market import market_marks
from tunesmith.domain.market.market_marks import mark_of, packed, unpacked

BEGIN = 1_704_067_200_000


def walk(n: int = 500, seed: int = 1) -> Closes:
    close = 100.0 * np.exp(np.cumsum(0.01 * np.random.default_rng(seed).standard_normal(n)))
    return Closes(BEGIN + np.arange(n) * HOUR_MS, close, "1h")


def test_a_mark_comes_back_from_two_bytes_a_bar_with_its_gaps() -> None:
    closes = walk().at(np.delete(np.arange(500), [0, 7, 8, 300]))
    mark = closes.mark()
    content = packed(mark)
    assert len(content) == 24 + 2 * 16 + 2 * 496
    again = unpacked(content)
    assert (again.length_ms, again.first_ms) == (HOUR_MS, BEGIN + 2 * HOUR_MS)
    np.testing.assert_array_equal(again.close_ms, closes.time + HOUR_MS)
    np.testing.assert_array_equal(again.move, mark.move)
    np.testing.assert_allclose(again.move[1:], np.diff(np.log(closes.close)), rtol=5e-4, atol=1e-7)
    assert np.flatnonzero(np.isnan(again.on_grid())).tolist() == [0, 6, 7, 8, 299, 300]


def test_longer_bars_close_with_the_last_of_their_shorter_ones() -> None:
    closes = walk().at(np.delete(np.arange(500), [11]))
    made = closes.mark().at_length(4 * HOUR_MS, BEGIN)
    assert made is not None
    expected = closes.at((closes.time + HOUR_MS - BEGIN) % (4 * HOUR_MS) == 0)
    np.testing.assert_array_equal(made.close_ms, expected.time + HOUR_MS)
    np.testing.assert_allclose(made.move[1:], np.diff(np.log(expected.close)), atol=1e-4)
    assert closes.at(slice(0, 3)).mark().at_length(4 * HOUR_MS, BEGIN) is None


def test_bars_that_were_added_leave_what_was_there() -> None:
    whole = walk()
    before = whole.at(np.delete(np.arange(100, 400), [50, 51]))
    assert whole.mark().has_within(before.mark())
    assert not before.mark().has_within(whole.mark())
    changed = whole.priced(np.where(np.arange(500) == 250, whole.close * 1.001, whole.close))
    assert not changed.mark().has_within(before.mark())
    untouched = before.mark().until(int(whole.time[250]))
    assert untouched is not None
    assert changed.mark().has_within(untouched)
    assert before.mark().until(BEGIN) is None
    assert not whole.later(60_000).mark().has_within(before.mark())


def test_a_mark_has_the_newest_bars_and_no_more_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(market_marks, "MOST_BARS", 300)
    mark = walk().mark()
    assert len(mark) == 300
    assert mark.close_ms[-1] == BEGIN + 500 * HOUR_MS
    assert mark.has_within(walk(450).mark()), "older bars than it may have are not missed"
    assert not mark.has_within(walk(450, seed=2).mark())


def test_bars_years_apart_are_numbered_as_if_nothing_were_between_them() -> None:
    closes = walk(100)
    time = closes.time.copy()
    time[50:] += 20 * 365 * 24 * HOUR_MS
    mark = mark_of(time, closes.close, "1h")
    assert mark.n_places == 100
