"""Packages: one in force for each venue, symbol, timeframe and strategy, and what becomes of it."""

from __future__ import annotations

import msgspec
import pytest

from storage.opened import MA, add_package, over_database
from tunesmith.errors import Internal
from tunesmith.protocol.messages.packages import Package
from tunesmith.storage.sqlite.connections import Connection
from tunesmith.storage.sqlite.database import Database
from tunesmith.storage.tables import package_table, strategy_table
from tunesmith.storage.tables.package_table import PackageRow

A, B, C = "a" * 64, "b" * 64, "c" * 64


async def get(database: Database, package_id: str) -> PackageRow:
    row = await package_table.get(database, package_id)
    assert row is not None
    return row


@over_database
async def test_a_package_is_in_force_and_keeps_its_document(database: Database) -> None:
    created = await database.write(lambda conn: add_package(conn, A))
    row = await get(database, A)
    assert row == created
    assert row.state() == "in_force"
    assert row.doc["package_id"] == A
    assert row.doc["params"] == {"fast_period": 9}
    assert row.doc["metrics"] == {"in_sample": {"sharpe": 1.0, "calmar": None}}
    columns = await database.fetch_one("SELECT params, metrics, approved FROM parameter_packages")
    assert columns is not None
    assert tuple(columns) == ('{"fast_period":9}', '{"in_sample":{"sharpe":1.0,"calmar":null}}', 1)


@over_database
async def test_a_newer_package_supersedes_the_one_of_the_same_market_and_strategy(database: Database) -> None:
    await database.write(lambda conn: add_package(conn, A))
    await database.write(lambda conn: add_package(conn, B, timeframe="5m"))
    await database.write(lambda conn: add_package(conn, C))
    assert [(await get(database, i)).state() for i in (A, B, C)] == ["superseded", "in_force", "in_force"]
    assert (await get(database, A)).superseded_by == C
    standing = await package_table.standing(database, "local", "BTC/USDT", "1h", MA.id)
    assert standing is not None
    assert standing.id == C


@over_database
async def test_the_same_package_twice_is_refused_and_the_first_stays_in_force(database: Database) -> None:
    await database.write(lambda conn: add_package(conn, A))

    async def again(conn: Connection) -> PackageRow:
        row = await package_table.get(conn, A)
        assert row is not None
        package = msgspec.convert(row.doc, Package)
        return await package_table.create(conn, package, seq=99, backtest_id=row.backtest_id)

    with pytest.raises(Internal, match="UNIQUE"):
        await database.write(again)
    assert (await get(database, A)).state() == "in_force"


@over_database
async def test_the_latest_is_the_newest_in_force_that_fits(database: Database) -> None:
    other = msgspec.structs.replace(MA, id="other")
    await database.write(lambda conn: strategy_table.create(conn, other))
    await database.write(lambda conn: add_package(conn, A))
    await database.write(lambda conn: add_package(conn, B, timeframe="5m"))
    await database.write(lambda conn: add_package(conn, C, venue="binance", strategy_id="other"))

    async def latest(**which: str) -> str | None:
        row = await package_table.latest(database, "BTC/USDT", **which)  # type: ignore[arg-type]
        return row.id if row else None

    assert await latest() == C
    assert await latest(timeframe="1h", strategy_id=MA.id) == A
    assert await latest(timeframe="5m") == B
    assert await latest(venue="local") == B
    assert await latest(venue="nowhere") is None
    assert await package_table.latest(database, "ETH/USDT") is None
    await database.write(lambda conn: package_table.revoke(conn, C, "op", "bad"))
    assert await latest() == B


@over_database
async def test_a_revoked_package_says_who_and_why_and_nothing_follows_it(database: Database) -> None:
    await database.write(lambda conn: add_package(conn, A))
    await database.write(lambda conn: add_package(conn, B))
    revoked = await database.write(lambda conn: package_table.revoke(conn, B, "op", "drawdown"))
    assert revoked is not None
    assert (revoked.state(), revoked.revoked_by, revoked.revoked_reason) == ("revoked", "op", "drawdown")
    assert await database.write(lambda conn: package_table.revoke(conn, B, "op", "again")) is None
    assert await database.write(lambda conn: package_table.revoke(conn, C, "op", "unknown")) is None
    assert (await get(database, A)).state() == "superseded"
    assert await package_table.latest(database, "BTC/USDT") is None
    superseded = await database.write(lambda conn: package_table.revoke(conn, A, "op", "also"))
    assert superseded is not None
    assert superseded.state() == "revoked"


@over_database
async def test_a_package_expires_at_its_time_and_is_announced_once(database: Database) -> None:
    await database.write(lambda conn: add_package(conn, A, valid_until="2024-03-01T00:00:00.000Z"))
    await database.write(lambda conn: add_package(conn, B, timeframe="5m"))
    row = await get(database, A)
    assert row.state("2024-02-29T23:59:59.999Z") == "in_force"
    assert row.state("2024-03-01T00:00:00.000Z") == "expired"
    assert await package_table.latest(database, "BTC/USDT", timeframe="1h") is None
    before = await package_table.latest(database, "BTC/USDT", timeframe="1h", time="2024-02-01T00:00:00.000Z")
    assert before is not None
    due = await database.write(package_table.expire_due)
    assert [row.id for row in due] == [A]
    assert (await get(database, A)).expired_at is not None
    assert await database.write(package_table.expire_due) == []
    await database.write(lambda conn: add_package(conn, C))
    assert (await get(database, A)).superseded_by is None


@over_database
async def test_listings_are_newest_first_and_can_leave_out_what_is_over(database: Database) -> None:
    await database.write(lambda conn: add_package(conn, A))
    await database.write(lambda conn: add_package(conn, B))
    await database.write(lambda conn: add_package(conn, C, symbol="ETH/USDT", valid_until="2024-03-01T00:00:00.000Z"))
    rows, total = await package_table.listing(database)
    assert ([row.id for row in rows], total) == ([C, B, A], 3)
    rows, total = await package_table.listing(database, in_force=True)
    assert ([row.id for row in rows], total) == ([B], 1)
    rows, total = await package_table.listing(database, symbol="BTC/USDT", limit=1, offset=1)
    assert ([row.id for row in rows], total) == ([A], 2)
