"""The folder of market data: names, and what a crash, a failing disk and others at work leave."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from storage.candle_tables import HOUR, NAMES, START, bring, table, write
from tunesmith.domain.market.bars import COLUMNS, Bars
from tunesmith.errors import Internal, Invalid, NotFound
from tunesmith.storage.market import market_folder
from tunesmith.storage.market.market_folder import MarketFolder


@pytest.fixture
def store(tmp_path: Path) -> MarketFolder:
    return MarketFolder(tmp_path / "market")


@pytest.fixture
def full(store: MarketFolder) -> MarketFolder:
    bring(store, table())
    bring(store, table(), symbol="ETH/USDT")
    bring(store, table(), symbol="ETH/USDT", venue="binance")
    five = table().assign(date=pd.to_datetime(START + 300_000 * np.arange(48), unit="ms", utc=True))
    bring(store, five, symbol="SOL/USDT", timeframe="5m")
    bring(store, table(), symbol="SOL/USDT")
    return store


EVIL = [
    "..",
    "../x",
    "a/../b",
    "a/../../../b",
    "/etc/passwd",
    "a\0b",
    "",
    ".",
    "*",
    "A" * 5000,
    "ä/ö",
    "a\nb",
    " a",
    "%2e%2e",
]


@pytest.mark.parametrize("name", EVIL)
def test_no_name_leads_out_of_its_folder(store: MarketFolder, name: str) -> None:
    bring(store, table())
    outside = {path for path in store.root.parent.rglob("*") if store.root not in (path, *path.parents)}
    for names in ({"symbol": name}, {"venue": name}, {"timeframe": name}):
        refused = ""
        try:
            bring(store, table(), **names)
        except Invalid as error:
            refused = error.message
        assert len(refused) < 200
        with pytest.raises((NotFound, Invalid)):
            store.load(names.get("venue", "local"), names.get("symbol", "NO/SUCH"), names.get("timeframe", "4w"))
        assert [
            s for s in store.list(names.get("venue"), names.get("symbol")) if s.symbol not in (name, "BTC/USDT")
        ] == []
    assert {path for path in store.root.parent.rglob("*") if store.root not in (path, *path.parents)} == outside
    assert all(len(path.relative_to(store.root).parts) <= 3 for path in store.root.rglob("*"))


def test_a_symbol_with_dots_and_slashes_has_one_folder_of_its_own(store: MarketFolder) -> None:
    bring(store, table(), symbol="a/../b")
    (series,) = store.list()
    assert series.symbol == "a/../b"
    assert store.load("local", "a/../b", "1h").symbol == "a/../b"
    assert [path.name for path in (store.root / "local").iterdir()] == ["a%2F..%2Fb"]


SYMBOLS = [
    "^GSPC",
    "EUR=X",
    "ES=F",
    "M&M.NS",
    "BRK-B",
    "贵州茅台",
    "币安人生/USDT",
    "A" * 64,
    "茅" * 64,
    "茅" * 63 + "台",
]


def test_each_symbol_has_a_folder_whatever_its_characters_and_length(store: MarketFolder) -> None:
    for symbol in SYMBOLS:
        bring(store, table(), symbol=symbol)
    assert {series.symbol for series in store.list()} == set(SYMBOLS)
    assert all(len(store.load("local", symbol, "1h")) == 48 for symbol in SYMBOLS)
    assert all(len(path.name.encode()) <= 255 for path in store.root.rglob("*"))
    for symbol in ("A" * 65, "=X", "&", "/A", "ä", "a b", "\u3099", "か\u3099", "A\n"):
        with pytest.raises(Invalid, match="is no symbol"):
            bring(store, table(), symbol=symbol)


def test_removed_candles_are_gone_and_can_come_back(store: MarketFolder) -> None:
    before = bring(store, table())
    bring(store, table(), symbol="ETH/USDT")
    [series] = store.list(symbol="BTC/USDT")
    store.remove(series)
    assert [each.symbol for each in store.list()] == ["ETH/USDT"]
    assert [path for path in store.root.rglob("*.*") if "BTC" in str(path) and path.name != ".lock"] == []
    store.remove(series)
    assert bring(store, table()).data_hash == before.data_hash


def test_a_damaged_manifest_is_said_and_can_be_replaced(store: MarketFolder) -> None:
    bring(store, table())
    (manifest,) = store.root.rglob("*.json")
    manifest.write_text("{")
    with pytest.raises(Internal, match=r"1h.json is damaged .* import the data again with replace"):
        store.list()
    with pytest.raises(Internal, match="damaged"):
        bring(store, table())
    assert bring(store, table(), replace=True).n_new == 48
    assert len(store.list()) == 1


@pytest.mark.parametrize("damage", ["cut", "other", "gone"])
def test_damaged_candles_are_said_and_can_be_replaced(store: MarketFolder, damage: str) -> None:
    bring(store, table())
    (file,) = store.root.rglob("*.parquet")
    if damage == "cut":
        file.write_bytes(file.read_bytes()[:1000])
    elif damage == "other":
        market_folder.write_parquet(file, Bars.from_frame(table(seed=1), **NAMES))
    else:
        file.unlink()
    with pytest.raises(Internal, match="import the data again"):
        store.load("local", "BTC/USDT", "1h")
    assert bring(store, table(), replace=True).n_new == 48
    assert len(store.load("local", "BTC/USDT", "1h")) == 48


def test_what_a_crash_left_is_cleaned_up(store: MarketFolder) -> None:
    bring(store, table(range(30)))
    (manifest,) = store.root.rglob("*.json")
    (manifest.parent / ".0123.tmp").write_text("half")
    (manifest.parent / "1h-0123.parquet").write_text("half")
    (manifest.parent / "4h-0123.parquet").write_text("another timeframe's")
    assert len(store.load("local", "BTC/USDT", "1h")) == 30
    bring(store, table())
    names = sorted(path.name for path in manifest.parent.iterdir())
    stem = f"1h-{store.list()[0].data_hash}"
    assert names == [".lock", f"{stem}.mark", f"{stem}.parquet", "1h.json", "4h-0123.parquet"]


@pytest.mark.parametrize(("writer", "step"), [(market_folder, "write_parquet"), (Path, "write_bytes")])
def test_a_failing_disk_leaves_the_old_data(
    store: MarketFolder, monkeypatch: pytest.MonkeyPatch, writer: object, step: str
) -> None:
    before = bring(store, table(range(30)))

    def fail(path: Path, content: object) -> None:
        path.write_text("half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writer, step, fail)
    with pytest.raises(Internal, match="was not stored: No space left"):
        bring(store, table())
    assert store.load("local", "BTC/USDT", "1h").data_hash == before.data_hash
    assert list(store.root.rglob("*.tmp")) == []


def test_a_reader_follows_an_import_that_replaces_the_file_under_it(
    store: MarketFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring(store, table(range(30)))
    read, stale = market_folder.read_parquet, [True]

    def import_in_between(path: Path) -> Any:
        if stale:
            stale.clear()
            monkeypatch.setattr(market_folder, "read_parquet", read)
            bring(store, table())
        return read(path)

    monkeypatch.setattr(market_folder, "read_parquet", import_in_between)
    assert len(store.load("local", "BTC/USDT", "1h")) == 48


def test_imports_at_the_same_time_lose_nothing(store: MarketFolder, tmp_path: Path) -> None:
    files = [
        write(tmp_path / f"{hour}.parquet", table(range(hour, hour + 6)).reset_index(drop=True))
        for hour in range(0, 48, 6)
    ]
    code = """
import sys
from pathlib import Path
from tunesmith.storage.market.market_folder import MarketFolder
print("ready", flush=True)
sys.stdin.readline()
for file in sys.argv[2:]:
    MarketFolder(Path(sys.argv[1])).import_file(Path(file), symbol="BTC/USDT", timeframe="1h")
"""
    processes = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", code, str(store.root), *map(str, files[i::2])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for i in range(2)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.communicate("go\n", timeout=60)
    assert [process.returncode for process in processes] == [0, 0]
    assert store.load("local", "BTC/USDT", "1h").data_hash == Bars.from_frame(table(), **NAMES).data_hash


def test_listing_and_finding_need_no_pandas(full: MarketFolder) -> None:
    code = """
import sys
from pathlib import Path
from tunesmith.storage.market.market_folder import MarketFolder
store = MarketFolder(Path(sys.argv[1]))
assert len(store.list()) == 5
assert store.find("SOL/USDT", "4h").n_bars == 12
heavy = {"pandas", "pyarrow", "scipy", "numba"} & sys.modules.keys()
assert not heavy, heavy
"""
    result = subprocess.run([sys.executable, "-c", code, str(full.root)], capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr


def test_a_manifest_is_read_again_only_when_it_changed(full: MarketFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    full.list()
    read: list[Path] = []
    original = market_folder.read_manifest
    monkeypatch.setattr(market_folder, "read_manifest", lambda path: [read.append(path), original(path)][1])
    full.list()
    assert read == []
    MarketFolder(full.root).import_rows([(START + 48 * HOUR, 1.0, 2.0, 0.5, 1.0, 1.0)], **NAMES)
    read.clear()
    assert full.find("BTC/USDT", "1h").n_bars == 49
    assert len(read) == 1


def test_imports_leave_one_file_of_candles_and_an_import_of_the_same_touches_none(store: MarketFolder) -> None:
    with pytest.raises(Invalid):
        bring(store, table().assign(low=0.0))
    assert list(store.root.rglob("*.parquet")) == []
    bring(store, table(range(30)))
    bring(store, table(range(20, 48)))
    files = {path: path.stat().st_mtime_ns for path in store.root.rglob("*.*") if path.name != ".lock"}
    bring(store, table())
    assert {path: path.stat().st_mtime_ns for path in store.root.rglob("*.*") if path.name != ".lock"} == files
    assert len([path for path in files if path.suffix == ".parquet"]) == 1


def test_a_manifest_is_json_that_anyone_can_read(store: MarketFolder) -> None:
    bring(store, table())
    manifest = json.loads((store.root / "local" / "BTC%2FUSDT" / "1h.json").read_text())
    assert manifest["n_bars"] == 48
    stored = pd.read_parquet(store.root / "local" / "BTC%2FUSDT" / manifest["file"])
    assert list(stored.columns) == ["timestamp", *COLUMNS]
    assert str(stored["timestamp"].dtype) == "datetime64[ms, UTC]"


def test_candles_of_the_earliest_programs_are_read(tmp_path: Path) -> None:
    store = MarketFolder(tmp_path)
    rows = [(i * 3_600_000, 1.0, 2.0, 0.5, 1.5, 1.0) for i in range(300)]
    store.import_rows(rows, symbol="A/B", timeframe="1h", venue="v")
    [manifest] = tmp_path.rglob("1h.json")
    stored = json.loads(manifest.read_text())
    theirs = "9ca68c55a05143006bae554c977ae9c51bd771d545dd880404aa7bfe622168c9"  # as commit 3201b83 stores these rows
    assert stored["data_hash"] != theirs
    manifest.write_text(json.dumps({**stored, "data_hash": theirs}))
    assert len(MarketFolder(tmp_path).load("v", "A/B", "1h")) == 300
    manifest.write_text(json.dumps({**stored, "data_hash": "0" * 64}))
    with pytest.raises(Internal, match="its content has another hash"):
        MarketFolder(tmp_path).load("v", "A/B", "1h")
