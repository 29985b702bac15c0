"""The folder of snapshots: what is on the disk, and what becomes of it when the disk refuses."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from storage.market.made_bars import make
from tunesmith.errors import Internal, NotFound
from tunesmith.storage.market.snapshots import SnapshotFolder


@pytest.fixture
def store(tmp_path: Path) -> SnapshotFolder:
    return SnapshotFolder(tmp_path / "snapshots")


def test_writing_again_writes_nothing(store: SnapshotFolder) -> None:
    name = store.put(make())
    table = store.root / f"{name}.npy"
    before = table.stat().st_ino
    assert store.put(make()) == name
    assert table.stat().st_ino == before


def test_a_snapshot_holds_no_more_than_its_bars(store: SnapshotFolder) -> None:
    name = store.put(make(1000).slice(0, 10))
    assert (store.root / f"{name}.npy").stat().st_size < 10 * 6 * 8 + 200


def test_damage_is_said(store: SnapshotFolder) -> None:
    name = store.put(make())
    table, label = store.root / f"{name}.npy", store.root / f"{name}.json"
    content = table.read_bytes()
    for damaged in (content[:-100], content[:20], b"", b"x" * 500):
        table.write_bytes(damaged)
        with pytest.raises(Internal, match="damaged"):
            store.get(name)
    with table.open("wb") as file:
        np.save(file, np.zeros((6, 3)))
    with pytest.raises(Internal, match="its table is"):
        store.get(name)
    label.write_text("{}")
    with pytest.raises(Internal, match="damaged"):
        store.get(name)


def test_a_failing_disk_leaves_nothing(store: SnapshotFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Path, content: bytes) -> None:
        path.write_text("half")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_bytes", fail)
        with pytest.raises(Internal, match="No space left"):
            store.put(make())
        with pytest.raises(NotFound):
            store.get(make().data_hash)
    assert store.get(store.put(make())).data_hash == make().data_hash
    assert list(store.root.glob(".*")) == []


def test_pruning_keeps_what_is_named_and_what_is_young(store: SnapshotFolder) -> None:
    kept, old, young, again = (store.put(make(seed=seed)) for seed in range(4))
    (store.root / ".0123.tmp").write_text("half")
    for path in list(store.root.iterdir()):
        if path.stem != young:
            os.utime(path, (0, 0))
    store.put(make(seed=3))
    mapped = store.get(old)
    assert store.prune([kept]) == 1
    assert {path.stem for path in store.root.glob("*.json")} == {kept, young, again}
    assert list(store.root.glob(".*")) == []
    assert mapped.data_hash == old
    assert store.get(again).data_hash == again
    assert store.prune([], older_than_s=-1) == 3
    assert SnapshotFolder(store.root / "nowhere").prune([]) == 0


def test_what_is_on_a_read_only_disk_is_there_and_what_is_not_is_not(
    store: SnapshotFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = store.put(make())

    def refuse(path: Path) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "utime", refuse)
    assert store.keep(name)
    assert store.put(make()) == name
    (store.root / f"{name}.npy").unlink()
    assert not store.keep(name)
