"""Check: the winner earns, and its timing more than holding the same exposure at random times."""

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
    held = f"holding the same {say_metric('exposure', exposure)} exposure at random"
    reason = (
        f"the timing earns a Sharpe ratio of {two_decimals(sharpe)} beyond {held}"
        if passed
        else f"the net Sharpe ratio is {two_decimals(found.get('sharpe'))}, but {held} would have done as well"
    )
    asks = "better than the same exposure at random"
    return [
        line_above_zero("net_return", found, "total_return", "a net return above zero"),
        line("timing", "in_sample", asks, sharpe, 0.0, passed, reason),
    ]


CHECK = DecisionCheck(
    name="timing",
    question="it earns, and more than the same exposure at random",
    segment="in_sample",
    judge=judge,
    explanations={
        "net_return": Explanation(
            "nothing more", "Nothing was earned after costs. Another rule counts as another try on this market."
        ),
        "timing": Explanation(
            "nothing more",
            "It earned what anyone would have who held as much at random times. Other parameters seldom mend that; "
            "other rules for entry and exit might, and count as another try on this market.",
        ),
    },
    named_when_skipped=False,
)
