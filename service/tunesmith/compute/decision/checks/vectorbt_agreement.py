"""Check: vectorbt, given the winner's orders, computes the same numbers."""

from __future__ import annotations

from collections.abc import Sequence

from tunesmith.compute.decision.checks.check_declaration import DecisionCheck, Explanation, Requests, Work, line
from tunesmith.compute.decision.inputs import DecisionInputs, Findings, WorkInputs, WorkRequest
from tunesmith.compute.decision.segments import confirm_segment
from tunesmith.compute.decision.winner import Winner
from tunesmith.domain.approval import Check


def judge(inputs: DecisionInputs, findings: Findings) -> Requests:
    """Judge the replay of both segments: a single number that differs fails."""
    return [judge_differences((yield WorkRequest(REPLAY.name)))]


def judge_differences(differences: Sequence[str]) -> Check:
    """The line of a replay in which vectorbt computed `differences`, texts, otherwise."""
    reason = "; ".join(differences) or "vectorbt computes the same numbers from the orders"
    asks = "vectorbt, given the same orders, computes the same numbers"
    return line("replay", "all", asks, float(len(differences)), 0.0, not differences, reason)


def replay_orders(winner: Winner, inputs: WorkInputs) -> list[str]:
    """Where vectorbt computes other numbers on either segment, with the symbol where there are several."""
    differences = []
    for market, split in zip(winner.markets, inputs.splits, strict=True):
        where = f"{market.symbol}, " if winner.others else ""
        differences += [
            f"{where}{segment}: {difference}"
            for segment in ("in_sample", "holdout")
            for difference in confirm_segment(winner.rule, market.bars, winner.point, market.execution, split, segment)
        ]
    return differences


REPLAY = Work(name="replay", segment="holdout", run=replay_orders)

CHECK = DecisionCheck(
    name="replay",
    question="vectorbt computes the same numbers",
    segment="all",
    judge=judge,
    works=(REPLAY,),
    explanations={
        "replay": Explanation(
            "a replay by vectorbt",
            "Two engines disagree, which is a fault of the program: please report it.",
            "vectorbt, given the same orders, computes other numbers",
        )
    },
)
