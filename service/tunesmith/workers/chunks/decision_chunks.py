"""The chunk of a decision on a search: a registered work, done on the bars that the worker was given."""

from __future__ import annotations

from typing import Any

from tunesmith.compute.decision.checks.check_registry import work_named
from tunesmith.compute.decision.inputs import WorkInputs
from tunesmith.compute.decision.winner import Winner
from tunesmith.compute.search.search import Market
from tunesmith.compute.search.split import split_at
from tunesmith.errors import Internal
from tunesmith.workers import worker
from tunesmith.workers.chunks.payloads import DecisionWork, WinnerRef
from tunesmith.workers.chunks.work_loading import execution_of, load_work, point_of


def decision_work(payload: DecisionWork) -> Any:
    """Do what a check of a decision on a search asks for.

    Raises `Internal` where it sees the hold-out and the payload is not marked so.
    """
    work = work_named(payload.work)
    if work.sees_holdout != payload.sees_holdout:
        raise Internal(f"the work {work.name!r} was sent to workers of the other segment")
    winner = _winner(payload.winner)
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
        is_cancelled=worker.cancel_flag(),
    )
    return work.do(winner, inputs)


def _winner(ref: WinnerRef) -> Winner:
    rule, bars = load_work(ref.work)
    market = Market(ref.symbol, bars, execution_of(ref.work), ref.work.first)
    others = tuple(
        Market(other.symbol, load_work(other.work)[1], execution_of(other.work), other.work.first)
        for other in ref.others
    )
    return Winner(rule, ref.plan, point_of(rule, ref.params), market, ref.stop, ref.frozen_at, others)
