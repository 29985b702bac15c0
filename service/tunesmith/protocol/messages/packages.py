"""Messages about parameter packages: what bots trade on."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from tunesmith.domain.names import Id, Symbol, Timeframe, Venue
from tunesmith.protocol.envelope import Grade, Limit, Offset, Reply, Request
from tunesmith.protocol.messages.verdicts import Apply

PackageId = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}(?![\s\S])", description="sha256 in hexadecimal")]
Outcome = Literal["applied", "refused"]


class Package(Reply, frozen=True, kw_only=True):
    """A parameter package. `package_id` is the sha256 of the canonical JSON (RFC 8785) of all other fields.

    `decided_with` are the other symbols that its verdict was about: the same parameters were decided on for all of them
    together. `spread` is the market's whole spread as a fraction of the price, half of which the decision added to the
    fee of each order in sample: 0 where the bars show none. A package that was not decided with one has no such field.
    """

    package_id: str
    grade: Grade
    venue: str
    symbol: str
    timeframe: str
    strategy_id: str
    strategy_version: str
    code_hash: str
    params: dict[str, Any]
    metrics: dict[str, dict[str, float | None]]
    checks: list[dict[str, Any]]
    data_hash: str
    costs: dict[str, float]
    fill: str
    direction: str
    valid_from: str
    valid_until: str
    supersedes: str | None
    apply: Apply
    created_at: str
    decided_with: list[str] = []
    spread: float | msgspec.UnsetType = msgspec.UNSET


class LatestPackage(Request, frozen=True, kw_only=True):
    """`package.latest`: the newest package in force, `not_found` when there is none."""

    symbol: Symbol
    timeframe: Timeframe | None = None
    strategy_id: Id | None = None
    venue: Venue | None = None


class GetPackage(Request, frozen=True, kw_only=True):
    """`package.get`."""

    package_id: PackageId


class ListPackages(Request, frozen=True, kw_only=True):
    """`package.list`: newest first."""

    symbol: Symbol | None = None
    timeframe: Timeframe | None = None
    strategy_id: Id | None = None
    in_force: bool = False
    limit: Limit = 50
    offset: Offset = 0


class RevokePackage(Request, frozen=True, kw_only=True):
    """`package.revoke`: bots stop using it at once."""

    package_id: PackageId
    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=1000)] = "revoked by an operator"


class RollbackPackage(Request, frozen=True, kw_only=True):
    """`package.rollback`: back from this package to the one before it, which bots get as a new one."""

    package_id: PackageId
    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=1000)] = "rolled back by an operator"


class AcknowledgePackage(Request, frozen=True, kw_only=True):
    """`package.ack`: a bot says what it did with a package; the newest counts."""

    package_id: PackageId
    outcome: Outcome = "applied"
    reason: Annotated[str, msgspec.Meta(max_length=300)] = ""


class PackageAck(Reply, frozen=True, kw_only=True):
    """What a bot last said of a package. `runs`: it applied it, and no other of the same market and strategy since."""

    package_id: str
    user: str
    client: str
    outcome: Outcome
    reason: str
    time: str
    runs: bool


class PackageReply(Reply, frozen=True, kw_only=True):
    """A package and where it stands: in_force, superseded, revoked or expired; and what each bot last said of it."""

    package: Package
    state: str
    verdict_id: str | None
    seq: int
    revoked_reason: str | None = None
    acks: list[PackageAck] = []


class PackageList(Reply, frozen=True, kw_only=True):
    packages: list[PackageReply]
    total: int
