"""Downloads: all of a span, nothing twice, and after any interruption on from where it stopped."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.sources.stubs import FIRST, HOUR, bar
from tunesmith.errors import Internal, Invalid
from tunesmith.storage.market.market_folder import MarketFolder
from tunesmith.storage.sources import download as module
from tunesmith.storage.sources.download import Progress, download
from tunesmith.storage.sources.source import Market, Row

MARKET = Market("far", "A/B", "1h")


class PackageShelf:
    """A source in memory: hours `first` to `last`, without those in `holes`; fails at page `fails_at`."""

    def __init__(self, first: int, last: int, *, holes: range = range(0), page: int = 5, fails_at: int = -1) -> None:
        self.rows = [bar(n) for n in range(first, last) if n not in holes]
        self.page_bars, self.fails_at, self.n_pages = page, fails_at, 0
        self.empty_is_end = False

    def fetch(self, market: Market, start_ms: int, end_ms: int, limit: int) -> list[Row]:
        self.n_pages += 1
        if self.n_pages == self.fails_at:
            raise Internal("the line broke")
        return [row for row in self.rows if start_ms <= row[0] < start_ms + limit * HOUR and row[0] < end_ms]


def at(hour: int) -> int:
    return FIRST + hour * HOUR


def stored(store: MarketFolder) -> list[int]:
    if not store.list("far"):
        return []
    return [(int(t) - FIRST) // HOUR for t in store.load(*MARKET).timestamp]


def test_it_takes_closed_bars_of_the_span_and_says_how_far_it_is(tmp_path: Path) -> None:
    store, told = MarketFolder(tmp_path), list[Progress]()
    n_new = download(PackageShelf(0, 100), store, MARKET, (at(10), at(30) + HOUR // 2), told.append)
    assert (n_new, stored(store)) == (20, list(range(10, 30)))
    assert [progress.n_bars for progress in told] == [5, 10, 15, 20]
    assert [progress.share for progress in told] == sorted(progress.share for progress in told)
    assert told[-1].share <= 1.0


def test_without_a_start_it_goes_on_where_the_stored_ends(tmp_path: Path) -> None:
    store = MarketFolder(tmp_path)
    with pytest.raises(Invalid, match="where to start"):
        download(PackageShelf(0, 100), store, MARKET, (None, at(50)))
    download(PackageShelf(0, 100), store, MARKET, (at(0), at(20)))
    shelf = PackageShelf(0, 100)
    assert download(shelf, store, MARKET, (None, at(32))) == 12
    assert (stored(store), shelf.n_pages) == (list(range(32)), 3)
    idle = PackageShelf(0, 100)
    assert (download(idle, store, MARKET, (at(3), at(30))), idle.n_pages) == (0, 0)


def test_the_source_may_begin_later_and_have_holes(tmp_path: Path) -> None:
    store = MarketFolder(tmp_path)
    download(PackageShelf(40, 100, holes=range(50, 63)), store, MARKET, (at(0), at(80)))
    assert stored(store) == [*range(40, 50), *range(63, 80)]


@given(st.data())
@settings(max_examples=25, deadline=None)
def test_interrupted_anywhere_it_ends_the_same(data: st.DataObject) -> None:
    before = data.draw(st.tuples(st.integers(10, 30), st.integers(31, 45)), "stored first")
    start, stop = data.draw(st.integers(0, 40), "start"), data.draw(st.integers(50, 70), "stop")
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BLOCK_BARS", 7)
        store = MarketFolder(Path(folder))
        download(PackageShelf(0, 100), store, MARKET, (at(before[0]), at(before[1])))
        for fails_at in data.draw(st.lists(st.integers(1, 6), max_size=4), "broken pages"):
            shelf = PackageShelf(0, 100, fails_at=fails_at)
            try:
                download(shelf, store, MARKET, (at(start), at(stop)))
            except Internal:
                hours = stored(store)
                assert hours == list(range(hours[0], hours[-1] + 1))
        download(PackageShelf(0, 100), store, MARKET, (at(start), at(stop)))
        assert stored(store) == list(range(min(start, before[0]), stop))


def test_unsound_candles_are_refused(tmp_path: Path) -> None:
    shelf = PackageShelf(0, 20)
    shelf.rows[3] = (*shelf.rows[3][:2], -1.0, *shelf.rows[3][3:])
    with pytest.raises(Invalid, match="high"):
        download(shelf, MarketFolder(tmp_path), MARKET, (at(0), at(20)))
