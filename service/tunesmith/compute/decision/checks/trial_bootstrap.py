"""Check: the best of all trials against a bootstrap of them (Reality Check). It saves work and approves nothing."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from tunesmith.compute.decision.checks.check_declaration import (
    DecisionCheck,
    Explanation,
    Requests,
    Work,
    line,
    number,
)
from tunesmith.compute.decision.inputs import DecisionInputs, Findings, WorkInputs, WorkRequest
from tunesmith.compute.decision.statistics.reality_check import reality_check
from tunesmith.compute.decision.winner import POINTS_AT_A_TIME, Points, Winner, blocks_of, trials_of
from tunesmith.domain.array_types import Floats
from tunesmith.domain.search.findings import COST_OF_SEARCHING_ON

MORE_BARS_NOT_NARROWER_RANGES = (
    "More bars tell skill from luck: a longer history, or the market's newer bars as they come. Fewer parameters and "
    "coarser steps leave chance fewer tries only where they are chosen before the first search. "
    f"{COST_OF_SEARCHING_ON} Asking again on the same bars does not help either: the limit falls with every verdict."
)


def judge(inputs: DecisionInputs, findings: Findings) -> Requests:
    """Judge the bootstrap's p-value by a loose limit."""
    limit = inputs.thresholds.reality_check
    found = yield WorkRequest(BOOTSTRAP.name, inputs.thresholds.n_reality_check)
    p = found["p"]
    reason = (
        f"chance alone makes the best of {found['n_trials']:,} trials as good with probability {p:.2f}, limit {limit:g}"
    )
    asks = "the best trial is better than chance suggests at a glance"
    return [line("reality_check", "in_sample", asks, p, limit, number(p, 1.0) <= limit, reason)]


def bootstrap_trials(winner: Winner, n_blocks: int, n_draws: int, seed: int) -> dict[str, Any]:
    """The Reality Check over the distinct trials of the search, which is made once more.

    Raises `Internal` where its winner is another than the one that is judged.
    """
    points = trials_of(winner)
    p = reality_check(_pooled(winner, points, n_blocks), n_draws=n_draws, seed=seed)
    return {"p": p, "n_trials": len(points), "n_draws": n_draws, "n_blocks": n_blocks, "seed": seed}


def _run(winner: Winner, inputs: WorkInputs) -> dict[str, Any]:
    return bootstrap_trials(winner, inputs.thresholds.n_blocks, inputs.n_draws, inputs.seed)


def _pooled(winner: Winner, points: Points, n_blocks: int) -> Iterator[tuple[Floats, Floats, int]]:
    """Block sums of the timing returns and of their squares, and a block's bars, for the Reality Check.

    Those of several markets are added up, each in units of its market's deviation, so that none drowns the others.
    """
    for start in range(0, len(points), POINTS_AT_A_TIME):
        chosen = points[start : start + POINTS_AT_A_TIME]
        parts = [next(blocks_of(winner.on([market]), chosen, n_blocks)) for market in winner.markets]
        if len(parts) == 1:
            yield parts[0].timing, parts[0].timing_squares, parts[0].length
            continue
        variances = [part.market_squares.sum() / (part.length * n_blocks) for part in parts]
        units = [1.0 / variance if variance > 0.0 else 0.0 for variance in variances]
        sums = [part.timing * math.sqrt(unit) for part, unit in zip(parts, units, strict=True)]
        squares = [part.timing_squares * unit for part, unit in zip(parts, units, strict=True)]
        yield np.sum(sums, axis=0), np.sum(squares, axis=0), sum(part.length for part in parts)


BOOTSTRAP = Work(name="reality_check", segment="in_sample", run=_run, kept_in="evidence", p_value="reality_check")

CHECK = DecisionCheck(
    name="reality_check",
    question="the best trial against a bootstrap of all",
    segment="in_sample",
    judge=judge,
    works=(BOOTSTRAP,),
    limits=("reality_check", "n_reality_check", "n_blocks"),
    explanations={"reality_check": Explanation("the search once more", MORE_BARS_NOT_NARROWER_RANGES)},
    named_when_skipped=False,
    editions=frozenset({1}),
)
