"""What every store of snapshots does: the folder, and one made outside of the package."""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable, Collection
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage.market.made_bars import make
from tunesmith.domain.market.bars import COLUMNS, Bars
from tunesmith.errors import NotFound
from tunesmith.storage.market.snapshots import SnapshotFolder, SnapshotStore


class Elsewhere:
    """Keeps bars as pickled bytes, as a store on another machine would send them."""

    def __init__(self) -> None:
        self._stored: dict[str, bytes] = {}
        self._asked: dict[str, float] = {}

    def put(self, bars: Bars) -> str:
        self._stored.setdefault(bars.data_hash, pickle.dumps(bars))
        self._asked[bars.data_hash] = time.time()
        return bars.data_hash

    def get(self, name: str) -> Bars:
        if name not in self._stored:
            raise NotFound(f"there is no snapshot {name}")
        bars: Bars = pickle.loads(self._stored[name])
        return bars

    def keep(self, name: str) -> bool:
        if name in self._stored:
            self._asked[name] = time.time()
        return name in self._stored

    def prune(self, keep: Collection[str], older_than_s: float = 3600.0) -> int:
        before = time.time() - older_than_s
        old = [name for name, asked in self._asked.items() if name not in keep and asked < before]
        for name in old:
            del self._stored[name], self._asked[name]
        return len(old)


MAKERS: dict[str, Callable[[Path], SnapshotStore]] = {
    "folder": lambda path: SnapshotFolder(path / "snapshots"),
    "elsewhere": lambda _: Elsewhere(),
}


@pytest.fixture(params=MAKERS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> SnapshotStore:
    return MAKERS[request.param](tmp_path)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(n=st.integers(1, 300), seed=st.integers(0, 1000))
def test_what_is_got_by_its_hash_is_what_was_put(store: SnapshotStore, n: int, seed: int) -> None:
    bars = make(n, seed)
    name = store.put(bars)
    got = store.get(name)
    assert name == bars.data_hash == got.data_hash
    assert (got.symbol, got.timeframe, got.venue, got.bars_per_year) == ("BTC/USDT", "1h", "binance", 8000.0)
    for column in ("timestamp", *COLUMNS):
        array = getattr(got, column)
        np.testing.assert_array_equal(array, getattr(bars, column))
        assert array.dtype == getattr(bars, column).dtype
        assert type(array) is np.ndarray
        assert array.flags.c_contiguous
        assert array.flags.writeable  # compiled kernels take read-only arrays for another type


def test_putting_again_gives_the_same_hash(store: SnapshotStore) -> None:
    name = store.put(make())
    assert store.put(make()) == name
    assert store.get(name).data_hash == name


def test_writing_into_what_was_got_changes_nothing_stored(store: SnapshotStore) -> None:
    name = store.put(make())
    store.get(name).close[:] = 1.0
    assert store.get(name).data_hash == name


@pytest.mark.parametrize("name", ["0" * 64, "..", "a/b", "", "A" * 64, "0" * 63 + "\n"])
def test_what_is_not_there_is_refused(store: SnapshotStore, name: str) -> None:
    assert not store.keep(name)
    with pytest.raises(NotFound):
        store.get(name)


def test_pruning_keeps_what_is_named_and_what_was_asked_for_lately(store: SnapshotStore) -> None:
    named, old, asked = (store.put(make(seed=seed)) for seed in range(3))
    assert store.prune([]) == 0
    time.sleep(0.3)
    assert store.keep(asked)
    got = store.get(old)
    assert store.prune([named], older_than_s=0.2) == 1
    assert [store.keep(name) for name in (named, old, asked)] == [True, False, True]
    assert got.data_hash == old
    with pytest.raises(NotFound):
        store.get(old)
    assert store.prune([], older_than_s=-1.0) == 2
