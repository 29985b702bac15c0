"""The evidence of a verdict: what is kept of it, what of it may be shown, and what two of them differ in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from tunesmith.compute.decision.checks.check_declaration import SHOWN_SEGMENTS
from tunesmith.compute.decision.checks.check_registry import check_of_line, registered, shown_before_approval
from tunesmith.compute.decision.statistics.record_clock import TRY
from tunesmith.domain.approval import Check, CheckExplanation, DataAge, VerdictStatus
from tunesmith.domain.records import JsonObject
from tunesmith.protocol.grades import Grade
from tunesmith.protocol.messages.packages import MarketBudget
from tunesmith.storage.tables.verdict_table import VerdictRow
from tunesmith.workers.chunks.payloads import Prepared

Path = tuple[str | int, ...]

_RECORD = {
    *("version", "engine", "edition", "secret", "seed", "thresholds", "ledger", "standing", "criteria", "status"),
    *("in_sample_hash", "data_hash", "code_hash", "until_ms", "boundary_ms", "min_bars", "others", "age"),
}
"""What a verdict was made from, which may be shown; what its checks found, the registry says."""

_PROGRAM = {"version", "engine"}


@dataclass(frozen=True, slots=True)
class Ruling:
    """What a verdict came to, by statistics (tested) or by criteria alone.

    `checks` are all that were made, `shown` the same as a client may see them; `reason` may be shown. Of several
    markets `data` is the first's, `others` those of the rest, `by_symbol` the metrics of each by segment, and `kept`
    those symbols that hold without the others, which alone get a package.
    """

    grade: Grade
    status: VerdictStatus
    reason: str
    checks: tuple[Check, ...]
    shown: tuple[Check, ...]
    metrics: Mapping[str, Mapping[str, float | None]]
    evidence: JsonObject
    data: Prepared
    others: tuple[Prepared, ...] = ()
    by_symbol: Mapping[str, Mapping[str, Mapping[str, float | None]]] = field(default_factory=dict)
    kept: tuple[str, ...] | None = None

    @property
    def approved(self) -> bool:
        return self.status == "approved"

    @property
    def spreads(self) -> dict[str, float]:
        """The spread that was added to the costs of each symbol; none where the decision estimated none."""
        estimates = self.evidence.get("spread", {}).get("estimates", {})
        return {symbol: float(each["used"]) for symbol, each in estimates.items()}

    @property
    def budget(self) -> MarketBudget | None:
        """What was counted against the market; None where no search stands behind the decision."""
        if not {"counted", "limit"} <= self.evidence.keys():
            return None
        counted, limit = self.evidence["counted"], self.evidence["limit"]
        tries = limit["ticks"] / TRY
        return MarketBudget(searches=counted["n"], tries=tries, look=limit["look"], level=limit["level"])


@dataclass(frozen=True, slots=True)
class Comparison:
    """How many values were compared, and those that differ: path, what it was, what it is."""

    n: int
    differences: list[tuple[Path, Any, Any]]


def age_evidence(age: DataAge | None) -> JsonObject:
    """What is kept of the candles' age beside where they and their hold-out begin and end; nothing where none asked."""
    return {} if age is None else {"age": {"asked_ms": age.asked_ms, "accepted": age.accepted}}


def age_of(evidence: JsonObject) -> DataAge | None:
    """How old the candles of a stored verdict were when it was asked for; None where it did not ask."""
    if "age" not in evidence:
        return None
    return DataAge(end_ms=evidence["until_ms"], boundary_ms=evidence["boundary_ms"], **evidence["age"])


def public_evidence(row: VerdictRow) -> JsonObject:
    """The evidence as it may be shown: until it is approved nothing of the hold-out but pass or fail."""
    if row.verdict == "approved":
        return row.evidence
    names = shown_before_approval()
    shown = {name: value for name, value in row.evidence.items() if name in _RECORD or name in names.evidence}
    for name, keys in (("p", names.p), ("metrics", names.metrics)):
        shown[name] = {key: value for key, value in row.evidence.get(name, {}).items() if key in keys}
    return {**shown, "checks": row.checks, "reason": row.reason}


def explanations_of(row: VerdictRow) -> dict[str, CheckExplanation]:
    """What a person is told of each check of a verdict, by its name."""
    explanations = {}
    for name in dict.fromkeys(check["name"] for check in row.checks):
        check = check_of_line(name)
        if check is not None:
            told = check.explanations[name]
            explanations[name] = CheckExplanation(question=check.question, cost=told.cost, helps=told.helps)
    return explanations


def not_asked(row: VerdictRow) -> list[str]:
    """The checks that a decision on a search did not make any more, as an earlier one had failed.

    Once an edition-2 decision has looked, one line stands for all that sees the hold-out, and nobody is told which was
    the last.
    """
    if row.verdict not in ("rejected", "insufficient_data") or "seed" not in row.evidence:
        return []
    made = {check["name"] for check in row.checks}
    edition = row.evidence.get("edition", 1)
    looked = edition > 1 and any(check["segment"] not in SHOWN_SEGMENTS for check in row.checks)
    skipped = [each for each in registered(edition) if each.named_when_skipped and each.name not in made]
    return [check.name for check in skipped if check.shown or not looked]


def may_be_shown(row: VerdictRow, path: Path) -> bool:
    """Whether a value of the evidence may be shown."""
    names = shown_before_approval()
    if row.verdict == "approved" or path[0] in _RECORD or path[0] in names.evidence:
        return True
    if path[0] == "checks" and len(path) > 1:
        checks = row.evidence.get("checks", [])
        at = path[1]
        return isinstance(at, int) and at < len(checks) and checks[at]["segment"] in SHOWN_SEGMENTS
    return len(path) > 1 and path[1] in {"p": names.p, "metrics": names.metrics}.get(str(path[0]), ())


def as_stored(evidence: JsonObject) -> JsonObject:
    """The evidence as it comes back from the database: JSON, in which what is undefined is null."""
    stored: JsonObject = msgspec.json.decode(msgspec.json.encode(evidence))
    return stored


def compare(was: JsonObject, found: JsonObject) -> Comparison:
    """Every value of two evidences, bit for bit, but for which program made them."""
    before = dict(_leaves({name: value for name, value in was.items() if name not in _PROGRAM}))
    after = dict(_leaves({name: value for name, value in found.items() if name not in _PROGRAM}))
    paths = [*before, *(path for path in after if path not in before)]
    differences = [
        (path, before.get(path), after.get(path))
        for path in paths
        if path not in before or path not in after or not _same(before[path], after[path])
    ]
    return Comparison(len(paths), differences)


def _same(was: Any, found: Any) -> bool:
    """The same value of the same kind, minus zero and zero apart."""
    return type(was) is type(found) and repr(was) == repr(found)


def _leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    if isinstance(value, dict) and value:
        for name, each in value.items():
            yield from _leaves(each, (*path, name))
    elif isinstance(value, list) and value:
        for i, each in enumerate(value):
            yield from _leaves(each, (*path, i))
    else:
        yield path, value
