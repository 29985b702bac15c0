"""Check: search and hold-out together, at a limit that falls with every verdict on this market."""

from __future__ import annotations

from tunesmith.compute.decision.checks.check_declaration import DecisionCheck, Explanation, line
from tunesmith.compute.decision.checks.trial_bootstrap import MORE_BARS_NOT_NARROWER_RANGES
from tunesmith.compute.decision.inputs import DecisionInputs, Findings
from tunesmith.compute.decision.statistics.permuted_markets import combined
from tunesmith.domain.approval import Check


def judge(inputs: DecisionInputs, findings: Findings) -> list[Check]:
    """Judge both p-values as one; what passes only the limit of paper trading is noted for paper."""
    limits = inputs.limits
    p = findings.p["combined"] = combined(findings.p["search"], findings.p["holdout"])
    reason = f"together p = {p:.2g}, limit {limits.combined:.2g} for verdict {inputs.ledger.look} on this market"
    if p > limits.combined:
        findings.paper_reasons.append(reason)
    asks = "search and hold-out together better than chance"
    return [line("combined", "all", asks, p, limits.combined, p <= limits.paper_combined, reason)]


CHECK = DecisionCheck(
    name="combined",
    question="search and hold-out together, with every look counted",
    segment="all",
    judge=judge,
    limits=("combined", "paper_combined"),
    p_values=("combined",),
    explanations={
        "combined": Explanation(
            "nothing",
            MORE_BARS_NOT_NARROWER_RANGES,
            "search and hold-out together could still be chance: their p is above the limit of {limit:.2g}",
        )
    },
    editions=frozenset({1}),
    summary=lambda findings: f"together p = {findings.p['combined']:.2g}",
)
