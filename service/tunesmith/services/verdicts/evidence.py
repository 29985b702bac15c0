"""What a verdict came to and its evidence: what is kept of it, what may be shown, and what two of them differ in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from tunesmith.domain.approval import Check, VerdictStatus
from tunesmith.protocol.envelope import Grade
from tunesmith.storage.tables.verdict_table import VerdictRow
from tunesmith.workers.chunks.payloads import Prepared

Path = tuple[str | int, ...]

_SHOWN = {
    *("version", "engine", "seed", "thresholds", "ledger", "standing", "criteria", "status"),
    *("in_sample_hash", "data_hash", "code_hash", "until_ms", "boundary_ms", "min_bars"),
    *("neighbours", "reality_check", "permutations", "report", "symbols", "others"),
}
_SHOWN_OF = {"p": {"reality_check", "search"}, "metrics": {"in_sample", "costs"}}
_IN_SAMPLE = {"data", "in_sample"}
_PROGRAM = {"version", "engine"}


@dataclass(frozen=True, slots=True)
class Ruling:
    """What a verdict came to, by statistics (proven) or by criteria alone.

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
    evidence: dict[str, Any]
    data: Prepared
    others: tuple[Prepared, ...] = ()
    by_symbol: Mapping[str, Mapping[str, Mapping[str, float | None]]] = field(default_factory=dict)
    kept: tuple[str, ...] | None = None

    @property
    def approved(self) -> bool:
        return self.status == "approved"


@dataclass(frozen=True, slots=True)
class Comparison:
    """How many values were compared, and those that differ: path, what it was, what it is."""

    n: int
    differences: list[tuple[Path, Any, Any]]


def public_evidence(row: VerdictRow) -> dict[str, Any]:
    """The evidence as it may be shown: until it is approved nothing of the hold-out but pass or fail."""
    if row.verdict == "approved":
        return row.evidence
    shown = {name: value for name, value in row.evidence.items() if name in _SHOWN}
    for name, keys in _SHOWN_OF.items():
        shown[name] = {key: value for key, value in row.evidence.get(name, {}).items() if key in keys}
    return {**shown, "checks": row.checks, "reason": row.reason}


def may_be_shown(row: VerdictRow, path: Path) -> bool:
    """Whether a value of the evidence may be shown."""
    if row.verdict == "approved" or path[0] in _SHOWN:
        return True
    if path[0] == "checks" and len(path) > 1:
        checks = row.evidence.get("checks", [])
        at = path[1]
        return isinstance(at, int) and at < len(checks) and checks[at]["segment"] in _IN_SAMPLE
    return len(path) > 1 and path[1] in _SHOWN_OF.get(str(path[0]), set())


def as_stored(evidence: dict[str, Any]) -> dict[str, Any]:
    """The evidence as it comes back from the database: JSON, in which what is undefined is null."""
    stored: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(evidence))
    return stored


def compare(was: dict[str, Any], found: dict[str, Any]) -> Comparison:
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
