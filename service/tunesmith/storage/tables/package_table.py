"""Parameter packages. For each venue, symbol, timeframe and strategy at most one is in force."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import msgspec

from tunesmith.domain.records import build
from tunesmith.protocol.grades import Grade
from tunesmith.protocol.messages.packages import Package
from tunesmith.storage.sqlite.connections import Connection, Source
from tunesmith.storage.sqlite.rows import Page, Row, insert, json_text, number, page, select, select_one
from tunesmith.storage.timestamps import SQL_NOW, now

State = Literal["in_force", "superseded", "revoked", "suspended", "expired"]

_STANDING = "superseded_by IS NULL AND revoked_at IS NULL AND expired_at IS NULL"
_KEY = "venue = ? AND symbol = ? AND timeframe = ? AND strategy_id = ?"


class PackageRow(Row, frozen=True, kw_only=True):
    """A package and where it stands; `doc` is the package as bots see it, `seq` the event that brought it."""

    table: ClassVar[str] = "parameter_packages"

    id: str
    backtest_id: str
    verdict_id: str | None
    seq: int
    grade: Grade
    venue: str
    symbol: str
    timeframe: str
    strategy_id: str
    strategy_version: str
    valid_from: str
    valid_until: str
    created_at: str
    published_at: str | None = None
    superseded_by: str | None = None
    revoked_at: str | None = None
    revoked_by: str | None = None
    revoked_reason: str | None = None
    suspended: bool = False
    expired_at: str | None = None
    doc: dict[str, Any]

    def state(self, time: str | None = None) -> State:
        """Where it stands at `time` (ISO text; default: now)."""
        if self.revoked_at is not None:
            return "suspended" if self.suspended else "revoked"
        if self.superseded_by is not None:
            return "superseded"
        if self.expired_at is not None or self.valid_until <= (time or now()):
            return "expired"
        return "in_force"


async def create(
    conn: Connection, package: Package, *, seq: int, backtest_id: str, verdict_id: str | None = None
) -> PackageRow:
    """Stores an approved package; the one that stood for the same venue, symbol, timeframe and strategy is superseded.

    `seq` is the event's that brings it. Raises `sqlite3.IntegrityError` for a package that is stored already.
    """
    key = (package.venue, package.symbol, package.timeframe, package.strategy_id)
    sql = f"UPDATE parameter_packages SET superseded_by = ? WHERE {_KEY} AND {_STANDING}"  # noqa: S608 - constants
    await conn.execute(sql, (package.package_id, *key))
    row = build(
        PackageRow,
        package,
        id=package.package_id,
        backtest_id=backtest_id,
        verdict_id=verdict_id,
        seq=seq,
        doc=msgspec.to_builtins(package),
    )
    more = {"params": json_text(package.params), "metrics": json_text(package.metrics), "approved": True}
    await insert(conn, row, more)
    return row


async def get(source: Source, package_id: str) -> PackageRow | None:
    """The package, or None."""
    return await select_one(source, PackageRow, "WHERE id = ?", (package_id,))


async def standing(
    source: Source, venue: str, symbol: str, timeframe: str, strategy_id: str, time: str | None = None
) -> PackageRow | None:
    """The package in force for exactly this venue, symbol, timeframe and strategy at `time` (default: now), or None."""
    tail = f"WHERE {_KEY} AND {_STANDING} AND valid_until > coalesce(?, {SQL_NOW})"
    return await select_one(source, PackageRow, tail, (venue, symbol, timeframe, strategy_id, time))


async def latest(
    source: Source,
    symbol: str,
    *,
    timeframe: str | None = None,
    strategy_id: str | None = None,
    venue: str | None = None,
    time: str | None = None,
) -> PackageRow | None:
    """The newest package of a symbol that is in force at `time` (ISO text; default: now), or None."""
    given = {"symbol": symbol, "timeframe": timeframe, "strategy_id": strategy_id, "venue": venue}
    filters = {key: value for key, value in given.items() if value is not None}
    terms = " AND ".join(f"{key} = ?" for key in filters)
    tail = f"WHERE {terms} AND {_STANDING} AND valid_until > ? ORDER BY seq DESC"
    return await select_one(source, PackageRow, tail, (*filters.values(), time or now()))


async def listing(
    source: Source,
    *,
    symbol: str | None = None,
    timeframe: str | None = None,
    strategy_id: str | None = None,
    in_force: bool = False,
    limit: int = 50,
    offset: int = 0,
) -> Page:
    """`PackageRow`s, newest first; `in_force` leaves out those superseded, revoked or expired."""
    filters: dict[str, Any] = {"symbol": symbol, "timeframe": timeframe, "strategy_id": strategy_id}
    if in_force:
        filters["valid_until > ?"] = now()
    also = _STANDING if in_force else ""
    return await page(source, PackageRow, filters, order="seq DESC", limit=limit, offset=offset, also=also)


async def revoke(conn: Connection, package_id: str, user: str, reason: str) -> PackageRow | None:
    """Revokes a package, whatever else became of it; None when it is not there or was revoked for good before."""
    sql = """UPDATE parameter_packages SET revoked_at = ?, revoked_by = ?, revoked_reason = ?, suspended = FALSE
             WHERE id = ? AND (revoked_at IS NULL OR suspended)"""
    changed = await conn.execute(sql, (now(), user, reason, package_id))
    return await get(conn, package_id) if changed else None


async def suspend(conn: Connection, package_id: str, user: str, reason: str) -> PackageRow | None:
    """Takes a package that stands out of force for a while; None when it does not stand."""
    sql = f"""UPDATE parameter_packages SET revoked_at = ?, revoked_by = ?, revoked_reason = ?, suspended = TRUE
              WHERE id = ? AND {_STANDING}"""  # noqa: S608 - constants
    changed = await conn.execute(sql, (now(), user, reason, package_id))
    return await get(conn, package_id) if changed else None


async def called_proven_before(source: Source, limit: int = 100) -> list[PackageRow]:
    """Packages in force that an older version called proven, in the order of their events."""
    tail = f"""WHERE {_STANDING} AND valid_until > {SQL_NOW} AND grade = 'proven'
               AND json_type(doc, '$.promotes') IS NULL ORDER BY seq LIMIT ?"""
    return await select(source, PackageRow, tail, (limit,))


async def signed_by_others(conn: Connection, keyid: str, limit: int = 100) -> list[PackageRow]:
    """Packages in force whose event this key has not signed, in the order of their events."""
    tail = f"""WHERE {_STANDING} AND valid_until > ? AND coalesce(
                   (SELECT json_extract(event, '$.keyid') FROM events WHERE events.seq = parameter_packages.seq), ''
               ) <> ? ORDER BY seq LIMIT ?"""  # noqa: S608 - constants
    return await select(conn, PackageRow, tail, (now(), keyid, limit))


async def without_second_topic(source: Source, limit: int = 100) -> list[PackageRow]:
    """Packages in force of symbols without a slash that no event on `topics.package_topics`' second one told of."""
    untold = "NOT EXISTS (SELECT 1 FROM events WHERE topic = 'pkg/'||symbol||'//'||timeframe||'/'||strategy_id||'/')"
    tail = f"WHERE {_STANDING} AND instr(symbol, '/') = 0 AND {untold} LIMIT ?"
    return await select(source, PackageRow, tail, (limit,))


async def carry(conn: Connection, package_id: str, seq: int) -> None:
    """Another event brings the package from now on."""
    await conn.execute("UPDATE parameter_packages SET seq = ? WHERE id = ?", (seq, package_id))


async def n_due(source: Source, time: str | None = None) -> int:
    """How many packages stand although their time is over at `time` (ISO text; default: now)."""
    sql = f"SELECT count(*) FROM parameter_packages WHERE {_STANDING} AND valid_until <= ?"  # noqa: S608 - constants
    return await number(source, sql, (time or now(),))


async def expire_due(conn: Connection, time: str | None = None, limit: int = 100) -> list[PackageRow]:
    """Marks packages whose time is over at `time` (default: now) as expired; those marked, to be announced."""
    time = time or now()
    due = await select(conn, PackageRow, f"WHERE {_STANDING} AND valid_until <= ? ORDER BY seq LIMIT ?", (time, limit))
    await conn.execute_many(
        "UPDATE parameter_packages SET expired_at = ? WHERE id = ?", [(time, row.id) for row in due]
    )
    return due
