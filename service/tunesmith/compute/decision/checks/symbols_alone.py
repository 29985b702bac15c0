"""Check: of several symbols those that also hold alone; a package for one that others carry would be luck."""

from __future__ import annotations

from tunesmith.compute.decision.checks.check_declaration import DecisionCheck, Explanation, line
from tunesmith.compute.decision.inputs import DecisionInputs, Findings
from tunesmith.domain.approval import Check


def judge(inputs: DecisionInputs, findings: Findings) -> list[Check]:
    """Keep the symbols whose own p-values meet both limits; of one symbol there is nothing to judge.

    Beside markets with an edge one without passes both limits as seldom as search and hold-out let any through.
    """
    if len(inputs.symbols) < 2:
        return []
    limits = inputs.thresholds
    search = findings.evidence["permutations" if inputs.edition == 1 else "searches"]["apart"]
    holdout = findings.evidence["holdout_permutations"]["apart"]
    kept = [s for s in inputs.symbols if search[s]["p"] <= limits.search and holdout[s]["p"] <= limits.holdout]
    figures = "; ".join(f"{s} p = {search[s]['p']:.3g} and {holdout[s]['p']:.3g}" for s in inputs.symbols)
    reason = (
        f"search and hold-out of each alone: {figures}; limits {limits.search:g} and {limits.holdout:g}; "
        f"{', '.join(kept) or 'none'} of {len(inputs.symbols)} hold"
    )
    findings.evidence["kept"] = kept
    asks = "at least one symbol that holds without the others"
    return [line("apart", "all", asks, float(len(kept)), 1.0, bool(kept), reason)]


CHECK = DecisionCheck(
    name="apart",
    question="of several symbols those that hold alone",
    segment="all",
    judge=judge,
    limits=("search", "holdout"),
    evidence=("kept",),
    explanations={
        "apart": Explanation(
            "nothing",
            "No market has an edge of its own. More bars may show one; a search on fewer symbols counts as another try "
            "on each of these markets.",
            "the symbols pass together, but none of them holds without the others",
        )
    },
    named_when_skipped=False,
)
