"""Parameter packages: made from an approval, published through the outbox, listed, revoked."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
import structlog

from tunesmith import telemetry
from tunesmith.domain.approval import Check, DataAge
from tunesmith.domain.records import JsonObject, build
from tunesmith.errors import Conflict, NotFound
from tunesmith.protocol.canonical import canonical_hash
from tunesmith.protocol.catalog import Call
from tunesmith.protocol.grades import Grade
from tunesmith.protocol.messages.packages import (
    AcknowledgePackage,
    GetPackage,
    LatestPackage,
    ListPackages,
    MarketBudget,
    Package,
    PackageAck,
    PackageList,
    PackageReply,
    RevokePackage,
    RollbackPackage,
)
from tunesmith.protocol.messages.verdicts import Apply
from tunesmith.protocol.topics import package_topic, package_topics
from tunesmith.services.market.market_windows import Assignment
from tunesmith.services.requests.idempotency import Change, Passing
from tunesmith.services.runtime.context import Context
from tunesmith.storage.sqlite.connections import Appended, Connection, Source
from tunesmith.storage.tables import ack_table, outbox, package_table
from tunesmith.storage.tables.ack_table import AckRow, LastAck
from tunesmith.storage.tables.package_table import PackageRow
from tunesmith.storage.timestamps import iso, now
from tunesmith.workers.chunks.payloads import Prepared

logger = structlog.get_logger(__name__)

PackageEventType = Literal["package.approved", "package.revoked", "package.expired"]

OLDER_GRADE = (
    "an older version called this grade 'proven'; what passes a verdict is 'tested', and 'proven' is what also held on "
    "bars that closed after it was registered"
)
"""Why a package says `tested` of which an older version said `proven`."""


@dataclass(frozen=True, slots=True)
class Approved:
    """An approval on its way to the package of one market, with the metrics of that market by segment.

    `together`: every symbol that the verdict decided on. `spread` is that of the market, where it was estimated. `age`
    says how old the candles were, where the verdict asked that.
    """

    assignment: Assignment
    data: Prepared
    grade: Grade
    checks: Sequence[Check]
    metrics: Mapping[str, Mapping[str, float | None]]
    together: Sequence[str] = ()
    spread: float | None = None
    budget: MarketBudget | None = None
    age: DataAge | None = None


async def compose(conn: Connection, approved: Approved, params: dict[str, Any], apply: Apply) -> Package:
    """The package that an approval makes.

    It is valid for as long as the hold-out that it passed, from the end of its candles on, or from now where they had
    ended long ago. It supersedes the one in force for the same market, timeframe and strategy. One of several that a
    verdict decided on together has the metrics of its own symbol.
    """
    window, strategy = approved.assignment.window, approved.assignment.strategy
    created_ms, end_ms, age = int(time.time() * 1000), approved.data.end_ms, approved.age
    counted_from_ms = created_ms if age is None or age.is_old else min(created_ms, end_ms)
    incumbent = await package_table.standing(conn, window.venue, window.symbol, window.timeframe, strategy.id)
    fields: dict[str, Any] = {
        "grade": approved.grade,
        "venue": window.venue,
        "symbol": window.symbol,
        "timeframe": window.timeframe,
        "strategy_id": strategy.id,
        "strategy_version": strategy.version,
        "code_hash": strategy.code_hash,
        "params": params,
        "metrics": {segment: dict(metrics) for segment, metrics in approved.metrics.items()},
        "checks": [msgspec.to_builtins(check) for check in approved.checks],
        "data_hash": approved.data.snapshot,
        "costs": msgspec.to_builtins(window.costs),
        "fill": window.fill,
        "direction": window.direction,
        "initial_cash": window.initial_cash,
        "valid_from": iso(created_ms),
        "valid_until": iso(counted_from_ms + end_ms - window.boundary_ms),
        "supersedes": incumbent.id if incumbent else None,
        "apply": apply,
        "created_at": iso(created_ms),
        "decided_with": [symbol for symbol in approved.together if symbol != window.symbol],
        "data_end": iso(end_ms),
        "holdout_from": iso(window.boundary_ms),
        "registered_at": iso(created_ms),
        "accepted_old_data": age is not None and age.is_old,
        "budget": msgspec.to_builtins(approved.budget),
        "funding": None,
    }
    if approved.spread is not None:
        fields["spread"] = approved.spread
    return Package(package_id=canonical_hash(fields), **fields)


async def publish(conn: Connection, package: Package, *, verdict_id: str | None, report_id: str) -> PackageRow:
    """Store a package and its event, in the transaction that stored its verdict; it goes out after the commit."""
    event = await announce(conn, package, "package.approved", msgspec.to_builtins(package))
    return await package_table.create(conn, package, seq=event.seq, backtest_id=report_id, verdict_id=verdict_id)


async def announce(
    conn: Connection, package: Package | PackageRow, event_type: PackageEventType, data: JsonObject
) -> Appended:
    """Append an event on every topic of a package, in the transaction of what it tells of; the first of them."""
    topics = package_topics(package.symbol, package.timeframe, package.strategy_id)
    appended = [await outbox.append(conn, topic, event_type, package.symbol, data) for topic in topics]
    return appended[0]


async def issue_again(
    conn: Connection, issued: PackageRow, supersedes: str, changes: Mapping[str, str] | None = None
) -> PackageRow:
    """Publish what a package says once more, as a new one from now on, in the place of the package `supersedes`.

    `changes` are fields that it has otherwise; it is valid as long as it was. What an older version called proven is
    tested from then on, and says so.
    """
    created = now()
    kept = {name: value for name, value in issued.doc.items() if name != "package_id"}
    fields = {"decided_with": [], "registered_at": kept["created_at"], **kept}
    fields |= {"valid_from": created, "created_at": created, "supersedes": supersedes, **(changes or {})}
    package = Package(package_id="", **fields)
    if package.grade != package.grade_today:
        fields |= {"grade": package.grade_today, "grade_reason": OLDER_GRADE}
    package = Package(package_id=canonical_hash(fields), **fields)
    return await publish(conn, package, verdict_id=issued.verdict_id, report_id=issued.backtest_id)


async def latest(context: Context, request: LatestPackage, call: Call) -> PackageReply:
    """The newest package in force that matches. `not_found` when there is none."""
    row = await package_table.latest(
        context.database,
        request.symbol,
        timeframe=request.timeframe,
        strategy_id=request.strategy_id,
        venue=request.venue,
    )
    if row is None:
        raise NotFound(f"no package for {request.symbol} is in force", path="/data/symbol")
    return await _reply(context.database, row)


async def get(context: Context, request: GetPackage, call: Call) -> PackageReply:
    """A package, whatever its state. `not_found`."""
    return await _reply(context.database, await _load(context, request.package_id))


async def list_all(context: Context, request: ListPackages, call: Call) -> PackageList:
    """Packages, newest first."""
    rows, total = await package_table.listing(
        context.database,
        symbol=request.symbol,
        timeframe=request.timeframe,
        strategy_id=request.strategy_id,
        in_force=request.in_force,
        limit=request.limit,
        offset=request.offset,
    )
    return PackageList(packages=await _replies(context.database, rows), total=total)


def revoke(context: Context, request: RevokePackage, call: Call) -> Change:
    """Take a package out of force, for every bot at once. `not_found`, `conflict` when it was revoked before."""

    async def apply(conn: Connection) -> PackageReply:
        row = await _load_from(conn, request.package_id)
        changed = await package_table.revoke(conn, row.id, call.user, request.reason)
        if changed is None:
            raise Conflict("the package is revoked already", path="/data/package_id")
        await announce_withdrawn(conn, "package.revoked", [(changed, request.reason)])
        return await _reply(conn, changed)

    return Change(apply, after=lambda: telemetry.PACKAGES.labels("revoked").inc())


def roll_back(context: Context, request: RollbackPackage, call: Call) -> Change:
    """Put the package before into force again, as a new one that supersedes this and is valid as long as it was.

    `not_found`, `conflict` when another one is in force by now, or the one before is revoked, over or not there.
    """

    async def apply(conn: Connection) -> PackageReply:
        row = await _load_from(conn, request.package_id)
        made = await issue_again(conn, await _before(conn, row), row.id)
        return _of_row(made, [])

    def after() -> None:
        telemetry.PACKAGES.labels("approved").inc()
        logger.info("package rolled back", package_id=request.package_id, user=call.user, reason=request.reason)

    return Change(apply, after)


def acknowledge(context: Context, request: AcknowledgePackage, call: Call) -> Change:
    """Keep what a bot did with a package, whatever the package's state; what it said last is kept once. `not_found`."""

    async def apply(conn: Connection) -> Passing:
        package = await _load_from(conn, request.package_id)
        ack = build(
            AckRow, package, request, package_id=package.id, user=call.user, client=call.client or "", time=now()
        )
        last = await ack_table.last_of(conn, ack)
        if last is not None and _says(last) == _says(ack):
            ack = last
        else:
            await ack_table.create(conn, ack)
        return Passing(build(PackageAck, ack, runs=ack.outcome == "applied"))

    return Change(apply)


def _says(ack: AckRow) -> tuple[str, str, str]:
    return ack.package_id, ack.outcome, ack.reason


async def announce_withdrawn(
    conn: Connection, event_type: PackageEventType, why: Sequence[tuple[PackageRow, str]]
) -> None:
    """Append an event for each package that went out of force, with its reason, in the transaction that took it out.

    That of a suspended one says so; clients that do not know the word see a revocation.
    A late bot hears the last event of a topic alone. Where another package stands on the topic (the successor of one
    that was superseded, or another venue's), its approval is appended once more, so that it is what such a bot hears.
    """
    topics: dict[str, PackageRow] = {}
    for row, reason in why:
        topic = package_topic(row.symbol, row.timeframe, row.strategy_id)
        topics[topic] = row
        suspended = {"suspended": True} if row.suspended else {}
        await announce(conn, row, event_type, {"package_id": row.id, "reason": reason, **suspended})
    for row in topics.values():
        left = await package_table.latest(conn, row.symbol, timeframe=row.timeframe, strategy_id=row.strategy_id)
        if left is not None:
            await announce(conn, left, "package.approved", left.doc)


async def _before(conn: Connection, row: PackageRow) -> PackageRow:
    """The package that `row` superseded, fit to be in force again."""
    path = "/data/package_id"
    standing = await package_table.standing(conn, row.venue, row.symbol, row.timeframe, row.strategy_id)
    if standing is not None and standing.id != row.id:
        raise Conflict(f"{standing.id} is in force by now; that is the one to go back from", path=path)
    before = await package_table.get(conn, row.doc["supersedes"]) if row.doc["supersedes"] else None
    if before is None:
        raise Conflict("there was no package before it; revoke it instead", path=path)
    if before.revoked_at is not None:
        raise Conflict(f"the package before it is {before.state()}: {before.revoked_reason}", path=path)
    if before.expired_at is not None or before.valid_until <= now():
        raise Conflict(f"the package before it was valid until {before.valid_until}", path=path)
    return before


async def _load(context: Context, package_id: str) -> PackageRow:
    return await _load_from(context.database, package_id)


async def _load_from(source: Source, package_id: str) -> PackageRow:
    row = await package_table.get(source, package_id)
    if row is None:
        raise NotFound("there is no such package", path="/data/package_id")
    return row


async def _reply(source: Source, row: PackageRow) -> PackageReply:
    return (await _replies(source, [row]))[0]


async def _replies(source: Source, rows: Sequence[PackageRow]) -> list[PackageReply]:
    said: dict[str, list[PackageAck]] = {row.id: [] for row in rows}
    for ack in await ack_table.of_packages(source, list(said)):
        said[ack.package_id].append(_told(ack))
    return [_of_row(row, said[row.id]) for row in rows]


def _of_row(row: PackageRow, said: list[PackageAck]) -> PackageReply:
    return build(PackageReply, row, package=msgspec.convert(row.doc, Package), state=row.state(), acks=said)


def _told(ack: LastAck) -> PackageAck:
    return build(PackageAck, ack)
