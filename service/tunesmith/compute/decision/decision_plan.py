"""The plan of a decision: the checks in order, until one fails.

It is a generator that yields the work it wants and is sent the answers, so that jobs can run that work in parallel,
report how far it is and cancel it, while the decision itself is a pure function of the answers.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

from tunesmith.compute.decision.checks import CHECKS
from tunesmith.compute.decision.inputs import Ask, Case, Proof, Seen, Status
from tunesmith.domain.approval import Check

_LOOKED = {"holdout", "all"}
_HIDDEN = {
    "combined": "search and hold-out together could still be chance: their p is above the limit of {limit:.2g}",
    "apart": "the symbols pass together, but none of them holds without the others",
    "incumbent": "it is no better than the package in force",
    "replay": "vectorbt, given the same orders, computes other numbers",
}
"""Why a check failed that had to look at the hold-out, without its figure."""


def prove(case: Case) -> Generator[Ask, Any, Proof]:
    """Approved: every check passed. Paper only: all passed but the strict limits of the permutation tests.

    Rejected, or insufficient_data where the data gate is closed, at the first check that fails.
    """
    seen = Seen()
    checks: list[Check] = []
    for step in CHECKS:
        made = yield from step.make(case, seen)
        checks.extend(made)
        failed = [check for check in made if not check.passed]
        if failed:
            status: Status = "insufficient_data" if step.name == "data" else "rejected"
            return Proof(status, _why(failed), tuple(checks), seen)
    seen.evidence["report"] = yield Ask("report")
    if seen.paper:
        reason = f"to be followed on paper, not traded: {'; '.join(seen.paper)}"
        return Proof("paper_only", reason, tuple(checks), seen)
    reason = (
        f"all {len(checks)} checks passed: search p = {seen.p['search']:.3g}, hold-out p = {seen.p['holdout']:.3g}, "
        f"together p = {seen.p['combined']:.2g}"
    )
    return Proof("approved", reason, tuple(checks), seen)


def public(proof: Proof) -> list[Check]:
    """The checks as they may be shown: before approval nothing of the hold-out but pass or fail."""
    if proof.approved:
        return list(proof.checks)
    return [_masked(check) if check.segment in _LOOKED else check for check in proof.checks]


def public_reason(proof: Proof) -> str:
    """The reason as it may be shown."""
    if proof.approved or proof.status == "insufficient_data":
        return proof.reason
    shown = public(proof)
    failed = [check for check in shown if not check.passed]
    if failed:
        return _why(failed)
    return "to be followed on paper, not traded: the limits of an approval are not met"


def _why(failed: Sequence[Check]) -> str:
    if failed[0].segment == "holdout" and failed[0].name not in _HIDDEN:
        asked = ", ".join(check.asks for check in failed)
        return f"it does not hold on bars that the search never saw; not met: {asked}"
    return "; ".join(check.reason for check in failed)


def _masked(check: Check) -> Check:
    reason = f"met: {check.asks}" if check.passed else f"not met: {check.asks}"
    if not check.passed and check.name in _HIDDEN:
        reason = _HIDDEN[check.name].format(limit=check.threshold)
    return Check(
        name=check.name,
        segment=check.segment,
        asks=check.asks,
        value=None,
        threshold=check.threshold,
        passed=check.passed,
        reason=reason,
    )
