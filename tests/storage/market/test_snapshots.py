"""Snapshots: bars by their content, whole or not there."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunesmith.domain.market.bars import COLUMNS, Bars
from tunesmith.errors import Internal, NotFound
from tunesmith.storage.market import snapshots
from tunesmith.storage.market.snapshots import Snapshots

HOUR = 3_600_000


@pytest.fixture
def store(tmp_path: Path) -> Snapshots:
    return Snapshots(tmp_path / "snapshots")


def make(n: int = 100, seed: int = 0) -> Bars:
    rng = np.random.default_rng(seed)
    opened, close = rng.uniform(90, 110, (2, n))
    columns = {
        "open": opened,
        "high": np.maximum(opened, close) + 1,
        "low": np.minimum(opened, close) - 1,
        "close": close,
        "volume": rng.random(n),
    }
    stamps = 1_704_067_200_000 + HOUR * np.arange(n)
    return Bars.from_arrays(stamps, columns, symbol="BTC/USDT", timeframe="1h", venue="binance", bars_per_year=8000.0)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 300), st.integers(0, 1000))
def test_what_is_read_is_what_was_written(tmp_path_factory: pytest.TempPathFactory, n: int, seed: int) -> None:
    store, bars = Snapshots(tmp_path_factory.mktemp("snapshots")), make(n, seed)
    name = store.write(bars)
    read = store.read(name)
    assert name == bars.data_hash == read.data_hash
    assert (read.symbol, read.timeframe, read.venue, read.bars_per_year) == ("BTC/USDT", "1h", "binance", 8000.0)
    for column in ("timestamp", *COLUMNS):
        array = getattr(read, column)
        assert array.dtype == getattr(bars, column).dtype
        assert type(array) is np.ndarray
        assert array.flags.c_contiguous
        assert array.flags.writeable  # compiled kernels take read-only arrays for another type


def test_writing_into_what_was_read_does_not_change_the_file(store: Snapshots) -> None:
    name = store.write(make())
    store.read(name).close[:] = 1.0
    assert store.read(name).data_hash == name


def test_writing_again_writes_nothing(store: Snapshots) -> None:
    name = store.write(make())
    table = store.root / f"{name}.npy"
    before = table.stat().st_ino
    assert store.write(make()) == name
    assert table.stat().st_ino == before


def test_a_snapshot_holds_no_more_than_its_bars(store: Snapshots) -> None:
    name = store.write(make(1000).slice(0, 10))
    assert (store.root / f"{name}.npy").stat().st_size < 10 * 6 * 8 + 200


@pytest.mark.parametrize("name", ["0" * 64, "..", "a/b", "", "A" * 64, "0" * 63 + "\n"])
def test_what_is_not_there_is_said(store: Snapshots, name: str) -> None:
    with pytest.raises(NotFound):
        store.read(name)


def test_damage_is_said(store: Snapshots) -> None:
    name = store.write(make())
    table, label = store.root / f"{name}.npy", store.root / f"{name}.json"
    content = table.read_bytes()
    for damaged in (content[:-100], content[:20], b"", b"x" * 500):
        table.write_bytes(damaged)
        with pytest.raises(Internal, match="damaged"):
            store.read(name)
    with table.open("wb") as file:
        np.save(file, np.zeros((6, 3)))
    with pytest.raises(Internal, match="its table is"):
        store.read(name)
    label.write_text("{}")
    with pytest.raises(Internal, match="damaged"):
        store.read(name)


def test_a_failing_disk_leaves_nothing(store: Snapshots, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Path, content: bytes) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(snapshots, "_write_bytes", fail)
        with pytest.raises(Internal, match="No space left"):
            store.write(make())
        with pytest.raises(NotFound):
            store.read(make().data_hash)
    assert store.read(store.write(make())).data_hash == make().data_hash
    assert list(store.root.glob(".*")) == []


def test_pruning_keeps_what_is_named_and_what_is_young(store: Snapshots) -> None:
    kept, old, young, again = (store.write(make(seed=seed)) for seed in range(4))
    (store.root / ".0123.tmp").write_text("half")
    for path in list(store.root.iterdir()):
        if path.stem != young:
            os.utime(path, (0, 0))
    store.write(make(seed=3))
    mapped = store.read(old)
    assert store.prune([kept]) == 1
    assert {path.stem for path in store.root.glob("*.json")} == {kept, young, again}
    assert list(store.root.glob(".*")) == []
    assert mapped.data_hash == old
    assert store.read(again).data_hash == again
    assert store.prune([], older_than_s=-1) == 3
    assert Snapshots(store.root / "nowhere").prune([]) == 0


def test_what_is_on_a_read_only_disk_is_there_and_what_is_not_is_not(
    store: Snapshots, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = store.write(make())

    def refuse(path: Path) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "utime", refuse)
    assert store.keep(name)
    assert store.write(make()) == name
    (store.root / f"{name}.npy").unlink()
    assert not store.keep(name)
