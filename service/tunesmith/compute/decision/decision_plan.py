"""The plan of a decision on a search: the registered checks in order, until one fails.

It is a generator that yields the work it wants and is sent the answers, so that tasks can run that work in parallel,
report how far it is and cancel it, while the decision itself is a pure function of the answers.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any

import msgspec

from tunesmith.compute.decision.checks.check_declaration import SHOWN_SEGMENTS, DecisionCheck, line
from tunesmith.compute.decision.checks.check_registry import REPORT, explanation_of, registered, work_named
from tunesmith.compute.decision.inputs import Decision, DecisionInputs, Findings, WorkRequest
from tunesmith.domain.approval import Check
from tunesmith.errors import Internal

Plan = Generator[WorkRequest, Any, Decision]


def decide_search(inputs: DecisionInputs) -> Plan:
    """Decide whether a search found skill or noise.

    Approved: every check passed. Rejected, or insufficient_data where the data gate is closed, at the first check that
    fails. Edition 1 knows paper only too: all passed but the strict limits of the permutation tests.
    """
    findings = Findings()
    lines: list[Check] = []
    checks = registered(inputs.edition)
    for check in checks:
        made = yield from _make(check, inputs, findings)
        lines.extend(made)
        failed = [each for each in made if not each.passed]
        if failed:
            return Decision(check.fails_as, _why(failed), tuple(lines), findings, inputs.edition)
    REPORT.keep((yield WorkRequest(REPORT.name)), findings)
    if findings.paper_reasons:
        reason = f"to be followed on paper, not traded: {'; '.join(findings.paper_reasons)}"
        return Decision("paper_only", reason, tuple(lines), findings, inputs.edition)
    summaries = ", ".join(check.summary(findings) for check in checks if check.summary is not None)
    return Decision("approved", f"all {len(lines)} checks passed: {summaries}", tuple(lines), findings, inputs.edition)


def follow(plan: Plan, answer: Callable[[WorkRequest], Any]) -> Decision:
    """Follow a plan to its decision in this thread; `answer` does the work that it asks for."""
    try:
        request = next(plan)
        while True:
            request = plan.send(answer(request))
    except StopIteration as stop:
        decision: Decision = stop.value
        return decision


UNSEEN = "it did not hold on bars that the search never saw; more is not told, as each look answers one bit"


def public_checks(decision: Decision) -> list[Check]:
    """The checks as they may be shown: before approval nothing of the hold-out but pass or fail.

    In edition 2 that is one bit for all that the look answered, whichever check failed: who knew more could fit to it.
    """
    if decision.approved:
        return list(decision.checks)
    if decision.edition > 1:
        shown = [check for check in decision.checks if check.segment in SHOWN_SEGMENTS]
        asks = "it holds on bars that the search never saw"
        looked = len(shown) < len(decision.checks)
        return [*shown, line("holdout", "holdout", asks, None, None, False, UNSEEN)] if looked else shown
    return [check if check.segment in SHOWN_SEGMENTS else _masked(check) for check in decision.checks]


def public_reason(decision: Decision) -> str:
    """The reason as it may be shown."""
    if decision.approved or decision.status == "insufficient_data":
        return decision.reason
    if decision.edition > 1:
        return _why([check for check in public_checks(decision) if not check.passed])
    failed = [check for check in public_checks(decision) if not check.passed]
    if failed:
        return _why(failed)
    return "to be followed on paper, not traded: the limits of an approval are not met"


def _make(check: DecisionCheck, inputs: DecisionInputs, findings: Findings) -> Generator[WorkRequest, Any, list[Check]]:
    """Make one check: pass its requests on, keep the answers as its works declare, return its lines.

    Raises `Internal` for a line that the check does not declare: its figure could not be hidden by the segment.
    """
    judged = check.judge(inputs, findings)
    if not isinstance(judged, list):
        try:
            request = next(judged)
            while True:
                answer = yield request
                work_named(request.work).keep(answer, findings)
                request = judged.send(answer)
        except StopIteration as stop:
            judged = stop.value
    for made in judged:
        if made.name not in check.explanations or made.segment != check.segment:
            raise Internal(f"the check {check.name!r} does not declare its line {made.name!r} on {made.segment!r}")
    return judged


def _why(failed: Sequence[Check]) -> str:
    if failed[0].reason == UNSEEN:
        return UNSEEN
    if failed[0].segment == "holdout" and _hidden_reason(failed[0]) is None:
        asked = ", ".join(check.asks for check in failed)
        return f"it does not hold on bars that the search never saw; not met: {asked}"
    return "; ".join(check.reason for check in failed)


def _masked(check: Check) -> Check:
    reason = f"met: {check.asks}" if check.passed else f"not met: {check.asks}"
    hidden_reason = _hidden_reason(check)
    if not check.passed and hidden_reason is not None:
        reason = hidden_reason.format(limit=check.threshold)
    return msgspec.structs.replace(check, value=None, reason=reason)


def _hidden_reason(check: Check) -> str | None:
    explanation = explanation_of(check.name)
    return None if explanation is None else explanation.hidden_reason
