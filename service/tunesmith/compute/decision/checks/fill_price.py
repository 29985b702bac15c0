"""Check: orders fill at the next bar's open, as nobody can trade at the close that a signal is computed from."""

from __future__ import annotations

from tunesmith.compute.decision.checks.check_declaration import DecisionCheck, Explanation, line
from tunesmith.compute.decision.inputs import DecisionInputs, Findings
from tunesmith.domain.approval import Check

_HELPS = (
    "Search again with fill: next_open. What fills at the close can be approved by criteria alone: ask for the verdict "
    "on a single backtest of these parameters (grade criteria)."
)


def judge(inputs: DecisionInputs, findings: Findings) -> list[Check]:
    """Judge how the search filled its orders."""
    if inputs.fill == "next_open":
        reason = "orders fill at the next bar's open"
    else:
        reason = (
            "orders fill at the close that their signals are computed from, at which nobody can trade: search again "
            "with fill: next_open, or ask for approval by criteria on a single backtest"
        )
    asks = "orders that fill at the next bar's open"
    return [line("fill", "data", asks, None, None, inputs.fill == "next_open", reason)]


CHECK = DecisionCheck(
    name="fill",
    question="orders fill where a bot can trade",
    segment="data",
    judge=judge,
    explanations={"fill": Explanation("nothing", _HELPS)},
    named_when_skipped=False,
    editions=frozenset({2}),
)
