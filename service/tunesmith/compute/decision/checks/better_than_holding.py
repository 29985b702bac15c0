"""Check: the winner earns, and more than holding its mean position all the time, which is what its timing adds."""

from __future__ import annotations

from tunesmith.compute.decision.checks.check_declaration import (
    DecisionCheck,
    Explanation,
    line,
    line_above_zero,
    number,
    say_metric,
    two_decimals,
)
from tunesmith.compute.decision.inputs import DecisionInputs, Findings
from tunesmith.domain.approval import Check


def judge(inputs: DecisionInputs, findings: Findings) -> list[Check]:
    """Judge the metrics that the user's bounds were judged by."""
    found = findings.metrics["in_sample"]
    sharpe, exposure = found.get("timing_sharpe"), found.get("exposure")
    passed = number(sharpe) > 0.0
    asks = "better than holding its mean position all the time"
    held = (
        "holding its mean position all the time (the position's value as a share of the equity, negative when short, "
        "on average over all bars)"
    )
    if inputs.edition == 1:
        asks = "better than the same exposure at random"
        held = f"holding the same {say_metric('exposure', exposure)} exposure at random"
    reason = (
        f"the timing earns a Sharpe ratio of {two_decimals(sharpe)} beyond {held}"
        if passed
        else f"the net Sharpe ratio is {two_decimals(found.get('sharpe'))}, but {held} would have done as well"
    )
    return [
        line_above_zero("net_return", found, "total_return", "a net return above zero"),
        line("timing", "in_sample", asks, sharpe, 0.0, passed, reason),
    ]


CHECK = DecisionCheck(
    name="timing",
    question="it earns, and more than its mean position held all the time",
    segment="in_sample",
    judge=judge,
    explanations={
        "net_return": Explanation(
            "nothing more", "Nothing was earned after costs. Another rule counts as another try on this market."
        ),
        "timing": Explanation(
            "nothing more",
            "It earned what anyone would have who held its mean position all the time. Other parameters seldom mend "
            "that; other rules for entry and exit might, and count as another try on this market.",
        ),
    },
    named_when_skipped=False,
)
