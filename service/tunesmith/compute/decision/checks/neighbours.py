"""Check: parameters one step beside the winner's earn too."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tunesmith.compute.decision.checks.check_declaration import (
    DecisionCheck,
    Explanation,
    Requests,
    Work,
    line,
    number,
    two_decimals,
)
from tunesmith.compute.decision.inputs import DecisionInputs, Findings, WorkRequest
from tunesmith.compute.decision.winner import Winner, statistics_of
from tunesmith.compute.search.search import Search
from tunesmith.domain.search.findings import COST_OF_SEARCHING_ON


def judge(inputs: DecisionInputs, findings: Findings) -> Requests:
    """Judge the median timing Sharpe ratio of the neighbours; a winner without any fails from edition 2 on."""
    found = yield WorkRequest(NEIGHBOURS.name)
    median, n = found["median"], found["n"]
    passed = number(median) > 0.0
    reason = f"the median timing Sharpe ratio of the {n} sets beside it is {two_decimals(median)}"
    if n == 0 and inputs.edition == 1:
        passed, reason = True, "it has no neighbours"
    elif n == 0:
        reason = (
            "this could not be checked: no other set of parameters that was searched lies one step beside it; a search "
            "needs ranges of at least two values"
        )
    asks = "neighbouring parameters earn too"
    return [line("neighbours", "in_sample", asks, median, 0.0, passed, reason)]


def neighbours_of(winner: Winner) -> dict[str, Any]:
    """The median statistic of the sets one step beside the winner, and how many there are."""
    points = Search(winner.rule, winner.plan).region.neighbours(winner.point)
    if not len(points):
        return {"n": 0, "median": None}
    values = statistics_of(winner, points)
    median = float(np.median(np.where(np.isnan(values), -math.inf, values)))
    return {"n": len(points), "median": median if math.isfinite(median) else None}


NEIGHBOURS = Work(
    name="neighbours",
    segment="in_sample",
    run=lambda winner, inputs: neighbours_of(winner),
    kept_in="evidence",
)

CHECK = DecisionCheck(
    name="neighbours",
    question="parameters beside the winner's earn too",
    segment="in_sample",
    judge=judge,
    works=(NEIGHBOURS,),
    explanations={
        "neighbours": Explanation(
            "a few backtests",
            "The winner stands alone, as luck does; `tunesmith analyze` shows the scores around it. "
            f"{COST_OF_SEARCHING_ON}",
        )
    },
    named_when_skipped=False,
)
