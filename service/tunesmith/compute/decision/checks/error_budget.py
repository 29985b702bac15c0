"""Check: search and hold-out together, within what is left of the market's error budget.

One budget is spent over a market's life: the limit falls with the tries that searches amount to, and with every look at
one hold-out (see `statistics.levels`).
"""

from __future__ import annotations

from tunesmith.compute.decision.checks.check_declaration import DecisionCheck, Explanation, line
from tunesmith.compute.decision.checks.counted_searches import WAIT_FOR_BARS
from tunesmith.compute.decision.inputs import DecisionInputs, Findings
from tunesmith.compute.decision.statistics.levels import passes
from tunesmith.compute.decision.statistics.permuted_markets import combined
from tunesmith.domain.approval import Check


def judge(inputs: DecisionInputs, findings: Findings) -> list[Check]:
    """Judge both p-values as one. Scores are compared, which keep their digits in the tail; p is for people."""
    level, look = findings.evidence["limit"]["level"], findings.evidence["limit"]["look"]
    p_search, p_holdout = findings.p["search"], findings.p["holdout"]
    p = findings.p["combined"] = combined(p_search, p_holdout)
    reason = f"together p = {p:.2g}, limit {level:.2g} for look {look} at this hold-out after the searches that count"
    asks = "search and hold-out together better than chance"
    return [line("error_budget", "all", asks, p, level, passes(p_search, p_holdout, level), reason)]


CHECK = DecisionCheck(
    name="error_budget",
    question="search and hold-out together, with every search and look counted",
    segment="all",
    judge=judge,
    limits=("combined",),
    p_values=("combined",),
    explanations={
        "error_budget": Explanation(
            "nothing",
            WAIT_FOR_BARS,
            "search and hold-out together could still be chance: their p is above the limit of {limit:.2g}",
        )
    },
    editions=frozenset({2}),
    summary=lambda findings: f"together p = {findings.p['combined']:.2g}",
)
