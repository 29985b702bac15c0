"""What commands did to keys, in the audit log: once, whatever becomes of file, daemon and database."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tunesmith.config import Server, Settings
from tunesmith.errors import Internal
from tunesmith.services.daemon.key_audit import KeyActs
from tunesmith.services.runtime.context import Context
from tunesmith.storage.secrets import key_log
from tunesmith.storage.sqlite.database import Database
from tunesmith.storage.tables import audit_table

Scene = Callable[[Context], Awaitable[None]]


def over(folder: Path, scene: Scene) -> None:
    """The scene over the database in the folder."""

    async def main() -> None:
        database = await Database.open(folder / "tunesmith.db")
        settings = Settings(server=Server(data_dir=str(folder)))
        try:
            await scene(cast(Context, SimpleNamespace(settings=settings, database=database)))
        finally:
            await database.close()

    asyncio.run(main())


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    folder = tmp_path / "keys"
    folder.mkdir()
    return folder


async def entered(context: Context) -> list[tuple[str, str, str, str, str]]:
    """Oldest first."""
    rows, _ = await audit_table.listing(context.database)
    return [(row.user, row.door, row.type, row.target, row.detail) for row in rows[::-1]]


def test_acts_are_entered_once_also_by_the_next_daemon(tmp_path: Path, keys: Path) -> None:
    me = key_log.account()
    first = (me, "files", "keys.new", "grid-bot", "role bot")
    second = (me, "files", "signing.retire", "ab" * 8, "")

    async def begin(context: Context) -> None:
        looking = KeyActs()
        assert await looking.enter_key_acts(context) == 0
        key_log.note(keys, "keys.new", "grid-bot", "bot")
        assert [await looking.enter_key_acts(context) for _ in range(2)] == [1, 0]
        assert await entered(context) == [first]

    async def go_on(context: Context) -> None:
        looking = KeyActs()
        assert [await looking.enter_key_acts(context) for _ in range(2)] == [1, 0]
        assert await entered(context) == [first, second]

    over(tmp_path, begin)
    key_log.note(keys, "signing.retire", "ab" * 8)
    over(tmp_path, go_on)
    (tmp_path / "elsewhere").mkdir()
    keys.rename(tmp_path / "elsewhere" / "keys")

    async def anew(context: Context) -> None:
        assert await KeyActs().enter_key_acts(context) == 2, "a database that was put back hears of them again"

    over(tmp_path / "elsewhere", anew)


def test_lines_that_are_torn_or_no_acts_hide_no_other(tmp_path: Path, keys: Path) -> None:
    file = keys / key_log.FILE

    async def scene(context: Context) -> None:
        looking = KeyActs()
        key_log.note(keys, "keys.new", "a")
        with file.open("ab") as lines:
            lines.write(b'[]\n{"id": "torn')
        assert await looking.enter_key_acts(context) == 1
        key_log.note(keys, "keys.new", "b")
        assert await looking.enter_key_acts(context) == 1
        file.unlink()
        key_log.note(keys, "keys.new", "c")
        assert await looking.enter_key_acts(context) == 1
        assert [row[3] for row in await entered(context)] == ["a", "b", "c"]

    over(tmp_path, scene)


def test_what_is_not_stored_is_tried_again(tmp_path: Path, keys: Path) -> None:
    async def scene(context: Context) -> None:
        looking = KeyActs()
        key_log.note(keys, "keys.revoke", "a", "bot")
        stop = "CREATE TRIGGER full BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'the disk is full'); END"
        await context.database.write(lambda conn: conn.execute(stop))
        with pytest.raises(Internal):
            await looking.enter_key_acts(context)
        await context.database.write(lambda conn: conn.execute("DROP TRIGGER full"))
        assert await looking.enter_key_acts(context) == 1

    over(tmp_path, scene)


def test_who_asked_for_root_by_sudo_is_named(keys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SUDO_USER", raising=False)
    plain = key_log.account()
    monkeypatch.setattr(os, "getuid", lambda: 0)
    monkeypatch.setenv("SUDO_USER", "ann")
    assert key_log.account() == "ann as root"
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000_000)
    assert key_log.account() == "uid 4000000000"
    assert plain != "ann as root"


def test_the_keys_owner_may_add_to_what_root_began(keys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []
    owner = keys.stat()
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "fchown", lambda fd, uid, gid: given.append((uid, gid)))
    real = os.fstat
    monkeypatch.setattr(os, "fstat", lambda fd: os.stat_result((*real(fd)[:4], owner.st_uid + 1, *real(fd)[5:10])))
    key_log.note(keys, "keys.new", "a")
    assert given == [(owner.st_uid, owner.st_gid)]
