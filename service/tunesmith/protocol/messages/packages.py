"""Messages about parameter packages: what bots trade on."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from tunesmith.domain.names import Id, Symbol, Timeframe, Venue
from tunesmith.domain.records import JsonObject
from tunesmith.protocol.envelope import Limit, Offset, Reply, Request
from tunesmith.protocol.grades import Grade
from tunesmith.protocol.messages.verdicts import Apply

PackageId = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}(?![\s\S])", description="sha256 in hexadecimal")]
Outcome = Literal["applied", "refused"]


class MarketBudget(Reply, frozen=True, kw_only=True):
    """What a verdict counted against its market: so many searches, which amount to so many independent tries.

    It was look number `look` at the hold-out; the search and the hold-out together had to reach a p of `level`.
    """

    searches: int
    tries: float
    look: int
    level: float


class Package(Reply, frozen=True, kw_only=True):
    """A parameter package. `package_id` is the sha256 of the canonical JSON (RFC 8785) of all other fields.

    `decided_with` are the other symbols that its verdict was about: the same parameters were decided on for all of them
    together. `spread` is the market's whole spread as a fraction of the price, half of which the decision added to the
    fee of each order in sample: 0 where the bars show none. A package that was not decided with one has no such field.

    Its verdict was made on candles up to `data_end`, of which nobody searched those from `holdout_from` on;
    `registered_at` is when rule, parameters and costs were fixed. `accepted_old_data`: the candles had ended more than
    a tenth of the hold-out's length before the verdict was asked for, and who asked accepted that; its time is counted
    from its approval then, else from the end of the candles. `budget` is null where no search stands behind it.
    `funding` is null: holding a position was charged nothing, as no funding rates are known. `initial_cash` is the
    start capital of the decision's accounts. An older daemon's packages say none of these.

    `grade_reason` says why a package has another grade than its verdict gave; `promotes` names the package that it was
    made of when it came to be proven. A package that is called proven and names none was made by an older daemon, which
    knew no `tested` and meant that.
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
    data_end: str | msgspec.UnsetType = msgspec.UNSET
    holdout_from: str | msgspec.UnsetType = msgspec.UNSET
    registered_at: str | msgspec.UnsetType = msgspec.UNSET
    accepted_old_data: bool | msgspec.UnsetType = msgspec.UNSET
    budget: MarketBudget | msgspec.UnsetType | None = msgspec.UNSET
    funding: JsonObject | msgspec.UnsetType | None = msgspec.UNSET
    grade_reason: str | msgspec.UnsetType = msgspec.UNSET
    promotes: str | msgspec.UnsetType = msgspec.UNSET
    initial_cash: float | msgspec.UnsetType = msgspec.UNSET

    @property
    def grade_today(self) -> Grade:
        """Its grade as grades are called today: what an older daemon called proven is tested."""
        return "tested" if self.grade == "proven" and self.promotes is msgspec.UNSET else self.grade


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
    """A package, where it stands, and what each bot last said of it.

    `state` is in_force, superseded, revoked, suspended (revoked, and may come back as a new package) or expired.
    """

    package: Package
    state: str
    verdict_id: str | None
    seq: int
    revoked_reason: str | None = None
    acks: list[PackageAck] = []


class PackageList(Reply, frozen=True, kw_only=True):
    packages: list[PackageReply]
    total: int
