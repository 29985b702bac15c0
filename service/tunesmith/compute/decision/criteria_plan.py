"""The plan of a decision by criteria: whether a lone backtest may be published, which no search stands behind.

1. data gate: enough bars on both sides, that did not end long ago?   else insufficient_data
2. criteria in sample: each bound on each metric                      else rejected
3. hold-out, once: the same bounds (trades in proportion to length)   else rejected
4. replay: vectorbt, given the orders, confirms every number          else rejected

The plan is a generator: it yields the work that it wants next and is sent the answer, so that a task can run that work
in a worker, cancel it and report progress, while the decision itself stays a pure function of the answers. Its grade is
"criteria": the numbers kept their bounds; nothing says that the search found more than chance would.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from typing import Literal, cast

import msgspec

from tunesmith.compute.decision.checks.candle_age import judge_age
from tunesmith.compute.decision.checks.check_declaration import SHOWN_SEGMENTS
from tunesmith.compute.decision.checks.user_bounds import judge_bounds
from tunesmith.compute.decision.checks.vectorbt_agreement import judge_differences
from tunesmith.compute.decision.inputs import EDITION, Decision, Findings, Metrics, SegmentLengths
from tunesmith.domain.approval import ApprovalCriteria, Check

SegmentWork = Literal["in_sample", "holdout", "replay"]
"""Work that the plan asks for: the metrics of one segment, or vectorbt's disagreements with them (text, one each)."""

SegmentAnswer = Metrics | Sequence[str]


def decide_by_criteria(
    criteria: ApprovalCriteria, lengths: SegmentLengths, edition: int = EDITION
) -> Generator[SegmentWork, SegmentAnswer, Decision]:
    """The plan: yields the work it wants, is sent the answers, returns the decision by the rules of that edition."""
    checks = _data_gate(lengths)
    findings = Findings()
    missing = [check.reason for check in checks if not check.passed]
    if missing:
        return Decision("insufficient_data", "; ".join(missing), tuple(checks), findings)
    segments: tuple[Literal["in_sample", "holdout"], ...] = ("in_sample", "holdout")
    for segment in segments:
        metrics = cast(Metrics, (yield segment))
        findings.metrics[segment] = metrics
        asked = criteria if segment == "in_sample" else _shortened(criteria, lengths)
        made = judge_bounds(asked, metrics, segment, edition)
        checks.extend(made)
        failed = [check for check in made if not check.passed]
        if failed:
            return Decision("rejected", _why(failed), tuple(checks), findings)
    disagreements = yield "replay"
    checks.append(judge_differences([str(difference) for difference in disagreements]))
    if not checks[-1].passed:
        return Decision("rejected", _masked(checks[-1]).reason, tuple(checks), findings)
    n = len(checks)
    return Decision("approved", f"all {n} checks passed, in sample and on the hold-out", tuple(checks), findings)


def public_checks(decision: Decision) -> list[Check]:
    """The checks as they may be shown: before approval nothing of the hold-out but pass or fail."""
    if decision.approved:
        return list(decision.checks)
    return [check if check.segment in SHOWN_SEGMENTS else _masked(check) for check in decision.checks]


def _data_gate(lengths: SegmentLengths) -> list[Check]:
    made = []
    for name, n_bars, what in (
        ("in_sample_bars", lengths.n_in_sample, "are in sample"),
        ("holdout_bars", lengths.n_holdout, "are held out"),
    ):
        enough = n_bars >= lengths.min_bars
        reason = f"{n_bars} bars {what}, at least {lengths.min_bars} are needed"
        made.append(
            Check(
                name=name,
                segment="data",
                asks=f"at least {lengths.min_bars} bars {what}",
                value=float(n_bars),
                threshold=float(lengths.min_bars),
                passed=enough,
                reason=reason if enough else reason + "; import more bars or ask for a longer range",
            )
        )
    return made if lengths.age is None else [*made, judge_age(lengths.age)]


def _shortened(criteria: ApprovalCriteria, lengths: SegmentLengths) -> ApprovalCriteria:
    """The criteria for the hold-out: as many trades as its share of the bars lets one expect."""
    if criteria.min_trades is None:
        return criteria
    share = lengths.n_holdout / max(1, lengths.n_in_sample)
    n_trades = min(criteria.min_trades, math.ceil(criteria.min_trades * share))
    return msgspec.structs.replace(criteria, min_trades=n_trades)


def _why(failed: Sequence[Check]) -> str:
    if failed[0].segment == "holdout":
        return f"it does not hold on bars that the search never saw; not met: {', '.join(c.asks for c in failed)}"
    return "; ".join(check.reason for check in failed)


def _masked(check: Check) -> Check:
    verdict = "met" if check.passed else "not met"
    where = " on the hold-out" if check.segment == "holdout" else ""
    return msgspec.structs.replace(check, value=None, reason=f"{verdict}{where}: {check.asks}")
