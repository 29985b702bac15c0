"""The decision: whether a result may be published, as a pure plan.

1. data gate: are there enough bars on both sides of the boundary?    else insufficient_data
2. criteria in sample: each bound on each metric                      else rejected
3. hold-out, once: the same bounds (trades in proportion to length)   else rejected
4. replay: vectorbt, given the orders, confirms every number          else rejected

The plan is a generator: it yields the work that it wants next (an `Ask`) and is sent the answer, so that a job can run
that work in a worker, cancel it and report progress, while the decision itself stays a pure function of the answers.
Checks come cheap first and stop at the first step that fails. What comes out is of the grade "criteria": it says that
the numbers kept their bounds, not that the search found more than chance would.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast

from tunesmith.domain.approval import ApprovalCriteria, Check, VerdictStatus
from tunesmith.domain.criteria import bounds, keeps
from tunesmith.domain.metrics import METRICS

Metrics = Mapping[str, float | None]


@dataclass(frozen=True, slots=True)
class Segments:
    """How many bars lie on each side of the hold-out's boundary, warm-up bars not counted, and how many each needs."""

    n_in_sample: int
    n_holdout: int
    min_bars: int


@dataclass(frozen=True, slots=True)
class Ask:
    """Work that the plan wants: the metrics of one segment, or vectorbt's disagreements with them (text, one each)."""

    work: Literal["in_sample", "holdout", "replay"]


Answer = Metrics | Sequence[str]


@dataclass(frozen=True, slots=True)
class Decision:
    """The verdict with its reason in plain words, every check made, and the metrics of the segments looked at."""

    status: VerdictStatus
    reason: str
    checks: tuple[Check, ...]
    metrics: Mapping[str, Metrics]

    @property
    def approved(self) -> bool:
        return self.status == "approved"

    def public_checks(self) -> list[Check]:
        """The checks as they may be shown: before approval nothing of the hold-out but pass or fail."""
        if self.approved:
            return list(self.checks)
        return [_masked(check) if check.segment in ("holdout", "all") else check for check in self.checks]


def decide(criteria: ApprovalCriteria, segments: Segments) -> Generator[Ask, Answer, Decision]:
    """The plan: yields `Ask`s, is sent their answers, returns the `Decision`."""
    checks = _data_gate(segments)
    seen: dict[str, Metrics] = {}
    missing = [check.reason for check in checks if not check.passed]
    if missing:
        return Decision("insufficient_data", "; ".join(missing), tuple(checks), seen)
    segment_works: tuple[Literal["in_sample", "holdout"], ...] = ("in_sample", "holdout")
    for work in segment_works:
        metrics = cast(Metrics, (yield Ask(work)))
        seen[work] = metrics
        made = criteria_checks(criteria if work == "in_sample" else _shortened(criteria, segments), metrics, work)
        checks.extend(made)
        failed = [check for check in made if not check.passed]
        if failed:
            return Decision("rejected", _why(failed), tuple(checks), seen)
    disagreements = yield Ask("replay")
    checks.append(_replayed([str(line) for line in disagreements]))
    if not checks[-1].passed:
        return Decision("rejected", _masked(checks[-1]).reason, tuple(checks), seen)
    n = len(checks)
    return Decision("approved", f"all {n} checks passed, in sample and on the hold-out", tuple(checks), seen)


def criteria_checks(criteria: ApprovalCriteria, metrics: Metrics, segment: str) -> list[Check]:
    """One check for each bound; an undefined metric fails its bound."""
    made = []
    where = "in sample" if segment == "in_sample" else "on the hold-out"
    for bound in bounds(criteria):
        value = metrics.get(bound.metric)
        if value is not None and math.isnan(value):
            value = None
        passed = keeps(bound, value)
        side = "at least" if bound.at_least else "at most"
        limit = say(bound.metric, bound.limit)
        label = bound.metric.replace("_", " ")
        found = (
            f"{label} {where} is {say(bound.metric, value)}" if value is not None else f"{label} {where} is undefined"
        )
        made.append(
            Check(
                name=bound.name,
                segment=segment,
                asks=f"{label} {side} {limit}",
                value=value,
                threshold=bound.limit,
                passed=passed,
                reason=f"{found}, {side} {limit} is asked",
            )
        )
    return made


def say(metric: str, value: float | None) -> str:
    """A metric's value for people, with its unit's precision."""
    if value is None or math.isnan(value):
        return "undefined"
    unit = METRICS[metric].unit
    if "fraction" in unit:
        return f"{value:.1%}"
    return f"{value:.0f}" if unit == "trades" else f"{value:.2f}"


def _data_gate(segments: Segments) -> list[Check]:
    made = []
    for name, n_bars, what in (
        ("in_sample_bars", segments.n_in_sample, "are in sample"),
        ("holdout_bars", segments.n_holdout, "are held out"),
    ):
        enough = n_bars >= segments.min_bars
        reason = f"{n_bars} bars {what}, at least {segments.min_bars} are needed"
        made.append(
            Check(
                name=name,
                segment="data",
                asks=f"at least {segments.min_bars} bars {what}",
                value=float(n_bars),
                threshold=float(segments.min_bars),
                passed=enough,
                reason=reason if enough else reason + "; import more bars or ask for a longer range",
            )
        )
    return made


def _shortened(criteria: ApprovalCriteria, segments: Segments) -> ApprovalCriteria:
    """The criteria for the hold-out: as many trades as its share of the bars lets one expect."""
    if criteria.min_trades is None:
        return criteria
    share = segments.n_holdout / max(1, segments.n_in_sample)
    n_trades = min(criteria.min_trades, math.ceil(criteria.min_trades * share))
    values = {name: getattr(criteria, name) for name in ApprovalCriteria.__struct_fields__}
    return ApprovalCriteria(**{**values, "min_trades": n_trades})


def _replayed(disagreements: Sequence[str]) -> Check:
    return Check(
        name="replay",
        segment="all",
        asks="vectorbt, given the same orders, computes the same numbers",
        value=float(len(disagreements)),
        threshold=0.0,
        passed=not disagreements,
        reason="; ".join(disagreements) if disagreements else "vectorbt computes the same numbers from the orders",
    )


def _why(failed: Sequence[Check]) -> str:
    if failed[0].segment == "holdout":
        return f"it does not hold on bars that the search never saw; not met: {', '.join(c.asks for c in failed)}"
    return "; ".join(check.reason for check in failed)


def _masked(check: Check) -> Check:
    verdict = "met" if check.passed else "not met"
    where = " on the hold-out" if check.segment == "holdout" else ""
    return Check(
        name=check.name,
        segment=check.segment,
        asks=check.asks,
        value=None,
        threshold=check.threshold,
        passed=check.passed,
        reason=f"{verdict}{where}: {check.asks}",
    )
