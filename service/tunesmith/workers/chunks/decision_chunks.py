"""The chunk of a decision on a search: a registered work, done on the bars that the worker was given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tunesmith.compute.decision.checks.check_registry import work_named
from tunesmith.compute.decision.inputs import WorkInputs
from tunesmith.compute.decision.winner import Winner
from tunesmith.compute.search.split import split_at
from tunesmith.domain.space.space import encode_points
from tunesmith.errors import Internal, Invalid
from tunesmith.workers.chunks.payloads import DecisionWork, WinnerRef

BindWinner = Callable[[WinnerRef], Winner]


def do_decision_work(payload: DecisionWork, bind: BindWinner) -> Any:
    """Run a registered work. Raises `Internal` where it sees the hold-out and the payload is not marked so."""
    work = work_named(payload.work)
    if work.sees_holdout != payload.sees_holdout:
        raise Internal(f"the work {work.name!r} was sent to workers of the other segment")
    winner = bind(payload.winner)
    inputs = WorkInputs(
        thresholds=payload.thresholds,
        seed=payload.seed,
        n_draws=payload.n_draws,
        start=payload.start,
        stop=payload.stop,
        splits=[
            split_at(market.bars, part.boundary_ms, part.first, part.in_sample_end_ms)
            for market, part in zip(winner.markets, payload.parts, strict=payload.sees_holdout)
        ],
        packages=[part.package for part in payload.parts],
        data=payload.data,
    )
    return work.run(winner, inputs)


def point_of(ref: WinnerRef, rule: Any) -> Any:
    """The encoded parameters of a winner, float64[p]; raises `Invalid` for a point that breaks a require(…)."""
    points = encode_points(rule.parameters, ref.params, "/data/params")
    if not rule.valid(points)[0]:
        raise Invalid("these parameters break a require(…) of the strategy", path="/data/params")
    return points[0]
