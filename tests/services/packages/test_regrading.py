"""Packages of another grade than their verdict gave: called otherwise by an older version, promoted, suspended."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from services.packages.test_package_life import Shop, in_shop
from storage.opened import MA, add_package, over_database
from tunesmith.errors import Conflict
from tunesmith.protocol.canonical import canonical_hash
from tunesmith.services.packages.regrading import promote, regrade_older, suspend
from tunesmith.storage.secrets.signing_keys import SigningKeys
from tunesmith.storage.sqlite.database import Database
from tunesmith.storage.tables import outbox, package_table
from tunesmith.storage.tables.outbox import EventRow
from tunesmith.storage.tables.package_table import PackageRow

A, B, C, D, E = (letter * 64 for letter in "abcde")
TOPIC = f"pkg/BTC/USDT/1h/{MA.id}/"
LONG_AGO = "2024-03-01T00:00:00.000Z"
ITS_OWN = {"package_id", "grade", "valid_from", "created_at", "supersedes", "grade_reason", "registered_at", "promotes"}
"""Fields that differ between a package and the one that takes its place with another grade."""


async def events(database: Database, timeframe: str = "1h") -> Sequence[EventRow]:
    return (await outbox.replay(database, 0, [f"pkg/BTC/USDT/{timeframe}/{MA.id}/"])).events


async def standing(database: Database, timeframe: str = "1h") -> PackageRow:
    row = await package_table.standing(database, "local", "BTC/USDT", timeframe, MA.id)
    assert row is not None
    return row


def kept(doc: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in doc.items() if name not in ITS_OWN}


@over_database
async def test_what_an_older_version_called_proven_is_superseded_once_with_the_reason(database: Database) -> None:
    async def issue(conn: Any) -> None:
        await add_package(conn, A, topic=TOPIC, grade="proven", created_at="2025-01-01T00:00:00.000Z")
        await add_package(conn, B, timeframe="4h", grade="criteria")
        await add_package(conn, C, timeframe="5m", grade="proven", valid_until=LONG_AGO)
        await add_package(conn, D, timeframe="1d", grade="proven")
        await package_table.revoke(conn, D, "ann", "a trial")
        await add_package(conn, E, timeframe="1w", grade="tested")
        await promote(conn, E, "held for a year")

    await database.write(issue)
    old = await package_table.get(database, A)
    head = database.head
    assert await regrade_older(database) == 1
    assert (await regrade_older(database), database.head) == (0, head + 1)
    new = await standing(database)
    assert (new.grade, new.doc["grade"], new.doc["supersedes"]) == ("tested", "tested", A)
    assert new.doc["grade_reason"].startswith("an older version called this grade 'proven'")
    assert new.doc["registered_at"] == "2025-01-01T00:00:00.000Z"
    assert new.id == canonical_hash({name: value for name, value in new.doc.items() if name != "package_id"})
    assert old is not None
    assert kept(new.doc) == {**kept(old.doc), "decided_with": []}
    after = await package_table.get(database, A)
    assert after == msgspec.structs.replace(old, superseded_by=new.id)
    before, told = await events(database)
    assert [msgspec.json.decode(row.frame)["data"] for row in (before, told)] == [old.doc, new.doc]
    assert (told.type, (await standing(database, "1w")).grade) == ("package.approved", "proven")


def test_the_key_of_today_signs_what_is_called_otherwise_and_no_signed_event_is_altered(tmp_path: Path) -> None:
    keys = SigningKeys(tmp_path / "keys")
    keys.new()

    @over_database
    async def scene(database: Database) -> None:
        database.signing_key = keys.current
        await database.write(lambda conn: add_package(conn, A, topic=TOPIC, grade="proven"))
        [before] = await events(database)
        keyid = keys.new().keyid
        assert await regrade_older(database) == 1
        again, told = await events(database)
        assert again == before
        assert msgspec.json.decode(told.frame)["keyid"] == keyid
        key = keys.current()
        assert key is not None
        assert told.signature == key.sign(told.frame)

    scene(tmp_path)


@in_shop
async def test_a_rollback_to_what_an_older_version_called_proven_brings_it_as_tested(shop: Shop) -> None:
    await shop.add(A, grade="proven")
    await shop.add(B, supersedes=A)
    back = (await shop.do("package.rollback", package_id=B))["package"]
    assert (back["grade"], "an older version" in back["grade_reason"]) == ("tested", True)


@in_shop
async def test_a_promotion_is_a_package_that_supersedes_and_can_be_gone_back_from(shop: Shop) -> None:
    database = shop.context.database
    await shop.add(A, grade="tested", params={"fast_period": 3})
    made = await database.write(lambda conn: promote(conn, A, "held for 400 bars"))
    assert (made.grade, made.doc["promotes"], made.doc["grade_reason"]) == ("proven", A, "held for 400 bars")
    assert kept(made.doc)["params"] == {"fast_period": 3}
    assert msgspec.json.decode((await events(database))[-1].frame)["data"] == made.doc
    for package_id, words in ((A, "tested, superseded"), (made.id, "proven, in force"), (B, "not there")):
        with pytest.raises(Conflict, match=words):
            await database.write(lambda conn, id=package_id: promote(conn, id, "again"))  # type: ignore[misc]
    back = (await shop.do("package.rollback", package_id=made.id))["package"]
    assert (back["grade"], back["supersedes"]) == ("tested", made.id)
    forth = (await shop.do("package.rollback", package_id=back["package_id"]))["package"]
    assert (forth["grade"], forth["promotes"]) == ("proven", A)


@in_shop
async def test_a_suspension_is_a_revocation_that_says_so_and_can_be_made_one_for_good(shop: Shop) -> None:
    database = shop.context.database
    await shop.add(A, grade="tested")
    await database.write(lambda conn: suspend(conn, A, "watch", "it earns less than its replay"))
    told = (await events(database))[-1]
    said = {"package_id": A, "reason": "it earns less than its replay", "suspended": True}
    assert (told.type, msgspec.json.decode(told.frame)["data"]) == ("package.revoked", said)
    reply = (await shop.listed())[A]
    assert (reply["state"], reply["revoked_reason"]) == ("suspended", said["reason"])
    assert await package_table.standing(database, "local", "BTC/USDT", "1h", MA.id) is None
    with pytest.raises(Conflict, match="only a package in force"):
        await database.write(lambda conn: suspend(conn, A, "watch", "again"))
    await shop.do("package.revoke", package_id=A, reason="for good")
    assert (await shop.listed())[A]["state"] == "revoked"
    assert msgspec.json.decode((await events(database))[-1].frame)["data"] == {"package_id": A, "reason": "for good"}
    with pytest.raises(Conflict, match="revoked already"):
        await shop.do("package.revoke", package_id=A)


@in_shop
async def test_what_has_expired_stays_with_all_that_was_said_of_it(shop: Shop) -> None:
    database = shop.context.database
    await shop.add(A, valid_until=LONG_AGO)
    await shop.do("package.ack", client="one", package_id=A)
    before = await package_table.get(database, A)
    assert before is not None
    [expired] = await database.write(package_table.expire_due)
    assert expired.id == A
    after = await package_table.get(database, A)
    assert after is not None
    assert after == msgspec.structs.replace(before, expired_at=after.expired_at)
    assert len((await shop.listed())[A]["acks"]) == 1
