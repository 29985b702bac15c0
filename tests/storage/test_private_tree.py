"""Who may read what the daemon keeps: its owner, under whatever umask it is made, and once it was found open."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tunesmith.storage.market.market_folder import MarketFolder
from tunesmith.storage.market.snapshots import SnapshotFolder
from tunesmith.storage.private_tree import close_to_others, open_to_others
from tunesmith.storage.secrets.signing_keys import SigningKeys
from tunesmith.storage.secrets.tokens import TokenFile
from tunesmith.storage.sqlite.database import Database
from tunesmith.storage.sqlite.opening import BackupPolicy
from tunesmith.storage.sqlite.restoring import restore
from tunesmith.transport.access.client_keys import KeyStore


@pytest.fixture
def common_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def furnish(folder: Path) -> None:
    """Everything that a daemon comes to keep, beside exports."""
    market = MarketFolder(folder / "market")
    bars = [(i * 3_600_000, 1.0, 2.0, 0.5, 1.5, 1.0) for i in range(300)]
    market.import_rows(bars, symbol="A/B", timeframe="1h", venue="v")
    SnapshotFolder(folder / "snapshots").put(market.bars(market.find("A/B", "1h", "v")))
    KeyStore(folder / "keys").make_server()
    SigningKeys(folder / "keys" / "signing").new()
    TokenFile(folder / "keys" / "tokens.json").new("desk", "operator")

    async def main() -> Path:
        keeping = BackupPolicy(folder / "backups")
        database = await Database.open(folder / "tunesmith.db", keeping=keeping)
        try:
            made = (await database.back_up("schedule", lambda: False)).path
            assert {path.name for path in folder.glob("tunesmith.db*")} >= {"tunesmith.db", "tunesmith.db-wal"}
            assert open_to_others(folder) == []
        finally:
            await database.close()
        return made

    restore(folder / "tunesmith.db", asyncio.run(main()))


def modes(folder: Path) -> set[tuple[str, int]]:
    return {("folder" if path.is_dir() else "file", path.stat().st_mode & 0o777) for path in folder.rglob("*")}


@pytest.mark.usefixtures("common_umask")
def test_all_that_is_kept_is_the_owners_alone_however_others_are_set(tmp_path: Path) -> None:
    data = tmp_path / "new" / "data"
    furnish(data)
    public = set(data.glob("keys/clients/*.json"))
    assert [path for path in data.rglob("*") if path.stat().st_mode & 0o077 and path not in public] == []
    assert data.stat().st_mode & 0o777 == data.parent.stat().st_mode & 0o777 == 0o700
    assert modes(data / "market") == {("file", 0o600), ("folder", 0o700)}


@pytest.mark.usefixtures("common_umask")
def test_what_was_left_open_is_closed_and_nothing_else_is_touched(tmp_path: Path) -> None:
    data = tmp_path / "data"
    furnish(data)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("another's")
    (data / "market" / "link").symlink_to(elsewhere)
    notes = data / "notes.txt"
    notes.write_text("not the daemon's")
    market, backup = data / "market", next(data.glob("backups/*.db"))
    market.chmod(0o755)
    backup.chmod(0o644)
    assert open_to_others(data) == [backup, market]
    assert close_to_others(data) == 2
    assert (market.stat().st_mode & 0o777, backup.stat().st_mode & 0o777) == (0o700, 0o600)
    assert (elsewhere.stat().st_mode & 0o777, notes.stat().st_mode & 0o777) == (0o644, 0o644)
    assert (open_to_others(data), close_to_others(data)) == ([], 0)
