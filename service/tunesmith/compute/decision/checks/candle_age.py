"""Check: the candles did not end long ago, or whoever asks for the verdict accepts that they did.

A market of last year may have lost the edge that it had. The decision reads no clock: it is told when it was asked for.
"""

from __future__ import annotations

from tunesmith.compute.decision.checks.check_declaration import DecisionCheck, Explanation, line
from tunesmith.compute.decision.inputs import DecisionInputs, Findings
from tunesmith.domain.approval import Check, DataAge

_DAY_MS = 86_400_000


def judge(inputs: DecisionInputs, findings: Findings) -> list[Check]:
    """Judge how old the candles were; where nobody says when the verdict was asked for there is nothing to judge."""
    return [] if inputs.age is None else [judge_age(inputs.age)]


def judge_age(age: DataAge) -> Check:
    """Judge how old the candles were when the verdict was asked for."""
    days, most = age.age_ms / _DAY_MS, age.most_ms / _DAY_MS
    reason = f"the candles ended {days:,.1f} days before the verdict was asked for" if days > 0 else "they go on to now"
    if age.is_old:
        reason += f", more than {most:,.1f} days, a tenth of the hold-out: "
        reason += (
            "that was accepted (accept_old_data)"
            if age.accepted
            else "import newer candles, or say accept_old_data (--accept-old-data)"
        )
    asks = f"candles that ended at most {most:,.1f} days ago, or accept_old_data"
    return line("recent_candles", "data", asks, days, most, age.accepted or not age.is_old, reason)


CHECK = DecisionCheck(
    name="recent_candles",
    question="candles that did not end long ago, unless old ones are accepted",
    segment="data",
    judge=judge,
    explanations={
        "recent_candles": Explanation(
            "nothing",
            "Import the market's newer candles and search again; or ask again with accept_old_data "
            "(--accept-old-data), which the package will say.",
        )
    },
    fails_as="insufficient_data",
    named_when_skipped=False,
    editions=frozenset({2}),
)
