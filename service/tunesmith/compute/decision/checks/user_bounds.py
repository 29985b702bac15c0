"""Check: the bounds that the user set on metrics of a backtest, in sample."""

from __future__ import annotations

import math

from tunesmith.compute.decision.checks.check_declaration import (
    DecisionCheck,
    Explanation,
    Requests,
    Work,
    say_metric,
)
from tunesmith.compute.decision.inputs import EDITION, DecisionInputs, Findings, Metrics, WorkRequest
from tunesmith.compute.decision.winner import metrics_of
from tunesmith.domain.approval import ApprovalCriteria, Check
from tunesmith.domain.criteria import CRITERIA, bounds, is_lossless, keeps

_OWN_BOUND = Explanation(
    "one backtest",
    "It is a bound of yours, in the approval criteria. A search for this as the target counts as another "
    "try on this market.",
)


def judge(inputs: DecisionInputs, findings: Findings) -> Requests:
    """Judge the winner's metrics in sample, which later checks read too."""
    found = yield WorkRequest(IN_SAMPLE.name)
    return judge_bounds(inputs.criteria, found, "in_sample", inputs.edition)


def judge_bounds(criteria: ApprovalCriteria, metrics: Metrics, segment: str, edition: int = EDITION) -> list[Check]:
    """One line for each bound; an undefined metric fails its bound.

    From edition 2 on a profit factor without a losing trade is infinite and keeps its bound; its value is none.
    """
    lines = []
    where = "in sample" if segment == "in_sample" else "on the hold-out"
    for bound in bounds(criteria):
        value = metrics.get(bound.metric)
        if value is not None and math.isnan(value):
            value = None
        passed = keeps(bound, value)
        side = "at least" if bound.at_least else "at most"
        limit = say_metric(bound.metric, bound.limit)
        label = bound.metric.replace("_", " ")
        reason = f"{label} {where} is {say_metric(bound.metric, value)}, {side} {limit} is asked"
        if edition > 1 and bound.metric == "profit_factor" and is_lossless(metrics):
            passed = bound.at_least
            reason = f"{label} {where} is infinite, as no closed trade lost; {side} {limit} is asked"
        lines.append(
            Check(
                name=bound.name,
                segment=segment,
                asks=f"{label} {side} {limit}",
                value=value,
                threshold=bound.limit,
                passed=passed,
                reason=reason,
            )
        )
    return lines


IN_SAMPLE = Work(
    name="in_sample", segment="in_sample", run=lambda winner, inputs: metrics_of(winner), kept_in="metrics"
)

CHECK = DecisionCheck(
    name="criteria",
    question="the bounds that the user set, in sample",
    segment="in_sample",
    judge=judge,
    works=(IN_SAMPLE,),
    explanations={name: _OWN_BOUND for name, _, _ in CRITERIA},
    named_when_skipped=False,
)
