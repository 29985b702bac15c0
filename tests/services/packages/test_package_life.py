"""What becomes of packages: bots say what they run, an operator goes back to the one before."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from storage.opened import MA, add_package
from tunesmith.config import Settings
from tunesmith.errors import Conflict, NotFound
from tunesmith.protocol.canonical import canonical_hash
from tunesmith.protocol.catalog import MESSAGES, Call
from tunesmith.services.packages import package_requests
from tunesmith.services.requests.idempotency import Passing
from tunesmith.services.runtime.context import Context, everybody_operates
from tunesmith.storage.sqlite.database import Database
from tunesmith.storage.tables import ack_table, outbox

A, B, C, D = "a" * 64, "b" * 64, "c" * 64, "d" * 64
TOPIC = f"pkg/BTC/USDT/1h/{MA.id}/"
LONG_AGO = "2024-03-01T00:00:00.000Z"

PARTS: Any = {"settings": Settings(), "role_of": everybody_operates}


class Shop:
    """The use cases about packages over a real database."""

    def __init__(self, database: Database) -> None:
        self.context = cast(Context, SimpleNamespace(database=database, **PARTS))

    async def add(self, package_id: str, **more: Any) -> None:
        await self.context.database.write(lambda conn: add_package(conn, package_id, **more))

    async def do(self, message_type: str, user: str = "ann", client: str | None = None, **data: Any) -> dict[str, Any]:
        """The reply to a request that changes something."""
        plans = {"package.ack": package_requests.acknowledge, "package.rollback": package_requests.roll_back}
        plans["package.revoke"] = package_requests.revoke
        request = msgspec.convert(data, MESSAGES[message_type].request)
        call = Call(message_type, "r1", user, "operator", "requests", 0.0, client)
        change = plans[message_type](self.context, request, call)
        made = await self.context.database.write(change.apply)
        return cast(dict[str, Any], msgspec.to_builtins(made.reply if isinstance(made, Passing) else made))

    async def listed(self) -> dict[str, dict[str, Any]]:
        """The replies of a listing by package id."""
        request = msgspec.convert({}, MESSAGES["package.list"].request)
        found = await package_requests.list_all(self.context, request, cast(Call, None))
        return {each["package"]["package_id"]: each for each in msgspec.to_builtins(found)["packages"]}

    async def bots(self, package_id: str) -> dict[str, tuple[str, bool]]:
        """Client → what it last said of the package, and whether it runs it."""
        acks = (await self.listed())[package_id]["acks"]
        return {ack["client"]: (ack["outcome"], ack["runs"]) for ack in acks}


def in_shop(scene: Callable[[Shop], Awaitable[None]]) -> Callable[[Path], None]:
    """The scene as a test."""

    def test(tmp_path: Path) -> None:
        async def main() -> None:
            database = await Database.open(tmp_path / "t.db")
            try:
                await scene(Shop(database))
            finally:
                await database.close()

        asyncio.run(main())

    return test


@in_shop
async def test_a_listing_shows_who_runs_what(shop: Shop) -> None:
    await shop.add(A)
    await shop.add(B, supersedes=A)
    await shop.add(C, timeframe="5m")
    for client in ("one", "two"):
        said = await shop.do("package.ack", client=client, package_id=A)
        assert (said["outcome"], said["runs"], said["user"]) == ("applied", True, "ann")
    assert await shop.bots(A) == {"one": ("applied", True), "two": ("applied", True)}
    await shop.do("package.ack", client="one", package_id=B)
    await shop.do("package.ack", client="two", package_id=B, outcome="refused", reason="a position is open")
    await shop.do("package.ack", client="two", package_id=C)
    assert await shop.bots(A) == {"one": ("applied", False), "two": ("applied", True)}
    assert await shop.bots(B) == {"one": ("applied", True), "two": ("refused", False)}
    assert await shop.bots(C) == {"two": ("applied", True)}
    [refused] = [ack for ack in (await shop.listed())[B]["acks"] if ack["outcome"] == "refused"]
    assert refused["reason"] == "a position is open"
    await shop.do("package.ack", client="two", package_id=B)
    assert await shop.bots(B) == {"one": ("applied", True), "two": ("applied", True)}
    await shop.do("package.ack", client="one", package_id=A)
    assert (await shop.bots(A))["one"] == ("applied", True)
    assert (await shop.bots(B))["one"] == ("applied", False)


@in_shop
async def test_users_are_told_apart_and_a_package_must_be_there(shop: Shop) -> None:
    await shop.add(A)
    await shop.do("package.ack", user="ann", package_id=A)
    await shop.do("package.ack", user="bob", package_id=A, outcome="refused")
    acks = (await shop.listed())[A]["acks"]
    assert [(ack["user"], ack["client"], ack["runs"]) for ack in acks] == [("ann", "", True), ("bob", "", False)]
    with pytest.raises(NotFound):
        await shop.do("package.ack", package_id=D)


@in_shop
async def test_what_a_bot_said_last_is_kept_once_however_often_it_says_it(shop: Shop) -> None:
    await shop.add(A)
    await shop.add(B, supersedes=A)
    for _ in range(3):
        first = await shop.do("package.ack", package_id=A)
        assert await shop.do("package.ack", package_id=A) == first
        await shop.do("package.ack", package_id=B)
    found = await shop.context.database.fetch_all("SELECT package_id FROM package_acks ORDER BY id")
    assert [row[0] for row in found] == [A, B] * 3


def test_no_user_fills_the_disk_with_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ack_table, "MOST_SAID", 50)

    async def scene(shop: Shop) -> None:
        await shop.add(A)
        await shop.do("package.ack", user="ann", package_id=A)
        for i in range(450):
            await shop.do("package.ack", user="bob", client=f"bot-{i}", package_id=A, reason=str(i))
        found = await shop.context.database.fetch_all("SELECT user, reason FROM package_acks ORDER BY id")
        assert found[0]["user"] == "ann"
        assert len(found) <= 1 + 50 + 100
        assert found[-1]["reason"] == "449"

    in_shop(scene)(tmp_path)


@in_shop
async def test_a_rollback_brings_the_package_before_as_a_new_one(shop: Shop) -> None:
    await shop.add(A, params={"fast_period": 3}, valid_until="2998-01-01T00:00:00.000Z")
    await shop.add(B, supersedes=A)
    back = await shop.do("package.rollback", package_id=B)
    package = back["package"]
    assert package["package_id"] == canonical_hash({k: v for k, v in package.items() if k != "package_id"})
    assert package["package_id"] not in (A, B)
    assert (package["params"], package["supersedes"]) == ({"fast_period": 3}, B)
    assert package["valid_until"] == "2998-01-01T00:00:00.000Z"
    assert back["state"] == "in_force"
    listed = await shop.listed()
    assert [listed[each]["state"] for each in (A, B)] == ["superseded", "superseded"]
    [*_, last] = (await outbox.replay(shop.context.database, 0, [TOPIC])).events
    event = msgspec.json.decode(last.event)
    assert (event["type"], event["data"]) == ("package.approved", package)
    with pytest.raises(Conflict, match="is in force by now"):
        await shop.do("package.rollback", package_id=B)
    forth = await shop.do("package.rollback", package_id=package["package_id"])
    assert forth["package"]["params"] == {"fast_period": 9}


@in_shop
async def test_a_package_that_was_revoked_can_be_gone_back_from(shop: Shop) -> None:
    await shop.add(A)
    await shop.add(B, supersedes=A)
    await shop.do("package.revoke", package_id=B)
    back = await shop.do("package.rollback", package_id=B)
    assert (back["state"], back["package"]["supersedes"]) == ("in_force", B)
    assert (await shop.listed())[B]["state"] == "revoked"


@in_shop
async def test_there_is_no_way_back_to_what_is_not_fit_for_use(shop: Shop) -> None:
    await shop.add(A)
    with pytest.raises(Conflict, match="no package before it"):
        await shop.do("package.rollback", package_id=A)
    await shop.add(B, supersedes=A)
    await shop.do("package.revoke", package_id=A, reason="it was wrong")
    with pytest.raises(Conflict, match="it was wrong"):
        await shop.do("package.rollback", package_id=B)
    await shop.add(C, timeframe="5m", valid_until=LONG_AGO)
    await shop.add(D, timeframe="5m", supersedes=C)
    with pytest.raises(Conflict, match="valid until 2024-03-01"):
        await shop.do("package.rollback", package_id=D)
    with pytest.raises(NotFound):
        await shop.do("package.rollback", package_id="e" * 64)
    assert len(await shop.listed()) == 4


def test_only_an_operator_goes_back_and_any_bot_acknowledges() -> None:
    assert MESSAGES["package.rollback"].role == "operator"
    assert MESSAGES["package.ack"].role == "bot"
