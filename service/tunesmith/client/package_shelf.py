"""Packages as a bot takes them: what it asked for, in force, and nothing else."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from tunesmith.client.following import Numbered
from tunesmith.plain_text import escape
from tunesmith.protocol.messages.packages import Package
from tunesmith.protocol.topics import package_topic

log = logging.getLogger("tunesmith.client")


_SLASHES = 4
"""In a package's topic beside those of the symbol."""

Kind = Literal["approved", "revoked", "expired", "superseded", "refused"]


class PackageEvent(msgspec.Struct, frozen=True, kw_only=True):
    """What happened to a package.

    `approved` brings the `package` as it came; `revoked` and `expired` take it out of force, and so does `superseded`,
    where its successor is of a grade that was not asked for. `refused`, which comes to those alone who ask for it,
    is an event that is not heeded, for the `reason` that it names; nothing that it says need be true. What is revoked
    and `suspended` may come into force again, as a new package.
    """

    kind: Kind
    package_id: str
    topic: str
    seq: int
    time: str
    package: dict[str, Any] | None = None
    reason: str | None = None
    suspended: bool = False


class PackageFilter(msgspec.Struct, frozen=True):
    """Which packages a bot asked for; None means any. `refusals`: and what was refused, with the reason."""

    symbol: str
    timeframe: str | None
    strategy_id: str | None
    grades: Collection[str]
    refusals: bool = False

    @property
    def prefix(self) -> str:
        """The longest topic prefix that all of them share."""
        prefix = f"pkg/{self.symbol}/"
        if self.timeframe is not None:
            prefix += f"{self.timeframe}/"
            if self.strategy_id is not None:
                prefix += f"{self.strategy_id}/"
        return prefix

    def read(self, told: Numbered) -> PackageEvent | None:
        """The event as far as it concerns these packages; what is refused is logged with the reason.

        The prefix of a symbol without a slash hears the symbols that begin with it too, and its own a second time.
        """
        if told.topic.count("/") != self.symbol.count("/") + _SLASHES:
            return None
        data = told.event.data if isinstance(told.event.data, dict) else {}
        if told.refusal is not None:
            level = logging.INFO if self.refusals else logging.WARNING  # who asks for refusals need not be warned
            log.log(level, "event refused: %s (%s on %s, seq %d)", told.refusal, *_where(told), told.seq)
            return self._refused(told, data, told.refusal)
        if told.event.type == "package.approved":
            refusal = self.refusal(data, told.topic)
            if refusal is None:
                return _event("approved", told, data["package_id"], package=data)
            log.info("package refused: %s (%s, seq %d)", refusal, escape(told.topic), told.seq)
            if isinstance(data.get("supersedes"), str):
                return _event("superseded", told, data["supersedes"], reason=refusal)
            return self._refused(told, data, refusal)
        if told.event.type in ("package.revoked", "package.expired") and isinstance(data.get("package_id"), str):
            kind: Literal["revoked", "expired"] = "revoked" if told.event.type == "package.revoked" else "expired"
            event = _event(kind, told, data["package_id"], reason=str(data.get("reason") or kind))
            suspended = kind == "revoked" and data.get("suspended") is True
            return msgspec.structs.replace(event, suspended=suspended)
        return None

    def _refused(self, told: Numbered, data: dict[str, Any], reason: str) -> PackageEvent | None:
        package_id = data.get("package_id")
        reason = reason if told.event.type == "package.approved" else f"{told.event.type}: {reason}"
        return _event("refused", told, str(package_id)[:64], reason=reason) if self.refusals else None

    def refusal(self, data: dict[str, Any], topic: str) -> str | None:
        """Why a package of `topic` is not to be taken; None for one that is what was asked for."""
        try:
            package = msgspec.convert(data, Package)
        except msgspec.ValidationError as error:
            return f"it is malformed: {error}"
        if package_topic(package.symbol, package.timeframe, package.strategy_id) != topic:
            return f"it is for {package.symbol} {package.timeframe} {package.strategy_id}"
        wishes = (self.symbol, self.timeframe, self.strategy_id)
        found = (package.symbol, package.timeframe, package.strategy_id)
        if any(wish not in (None, is_) for wish, is_ in zip(wishes, found, strict=True)):
            return f"{' '.join(found)} was not asked for"
        if package.grade_today not in self.grades:
            older = "" if package.grade == package.grade_today else f", which an older version called {package.grade!r}"
            return f"its grade is {package.grade_today!r}{older}"
        if is_expired(data):
            return f"it expired at {package.valid_until}"
        return None


def _where(told: Numbered) -> tuple[str, str]:
    """Type and topic of an event as they can be logged."""
    return escape(told.event.type), escape(told.topic)


_Place = tuple[str, str]
"""Topic and venue, for which at most one package is in force."""


class PackageShelf:
    """Packages in force that were not taken yet: of each topic and venue the newest.

    A topic names no venue, so packages of several venues may stand on it side by side.
    """

    def __init__(self) -> None:
        self._waiting: dict[_Place, dict[str, Any]] = {}
        self._taken: dict[_Place, str] = {}

    def put(self, events: Iterable[PackageEvent]) -> None:
        """Follow what happened, in order. A package that was taken and still stands is not put there again."""
        for event in events:
            package = event.package
            if event.kind == "refused":
                continue
            if package is None:
                self._withdraw(event.package_id)
                continue
            place = (event.topic, package["venue"])
            replaced = [
                p for p, one in self._waiting.items() if p == place or one["package_id"] == package["supersedes"]
            ]
            for waiting in replaced:
                del self._waiting[waiting]
            if self._taken.get(place) != event.package_id:
                self._waiting[place] = package

    @property
    def n_waiting(self) -> int:
        """How many wait to be taken and have not expired by now."""
        return sum(not is_expired(package) for package in self._waiting.values())

    def take(self) -> dict[str, Any] | None:
        """The package that waits longest and has not expired by now; None when there is none.

        One that has expired waits until the daemon withdraws it: a clock that was set wrong may be set right.
        """
        for place, package in self._waiting.items():
            if not is_expired(package):
                del self._waiting[place]
                self._taken[place] = package["package_id"]
                return package
        return None

    def _withdraw(self, package_id: str) -> None:
        self._waiting = {place: p for place, p in self._waiting.items() if p["package_id"] != package_id}
        self._taken = {place: taken for place, taken in self._taken.items() if taken != package_id}


def is_expired(package: dict[str, Any]) -> bool:
    """Whether `valid_until` has passed; a time that cannot be read has."""
    try:
        until = datetime.fromisoformat(package["valid_until"])
    except ValueError:
        return True
    return (until if until.tzinfo else until.replace(tzinfo=UTC)) <= datetime.now(UTC)


def _event(
    kind: Kind,
    told: Numbered,
    package_id: str,
    package: dict[str, Any] | None = None,
    reason: str | None = None,
) -> PackageEvent:
    return PackageEvent(
        kind=kind,
        package_id=package_id,
        topic=told.topic,
        seq=told.seq,
        time=told.event.time,
        package=package,
        reason=None if reason is None else escape(reason),
    )
