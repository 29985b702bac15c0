"""Chunks of a decision on a search: what the searching workers answer, and what the hold-out's keeper does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tunesmith.compute.library import confirm_segment
from tunesmith.compute.proof import work
from tunesmith.compute.proof.report import report_of
from tunesmith.compute.proof.work import Subject
from tunesmith.compute.search import Market
from tunesmith.compute.split import split_at
from tunesmith.domain.space import encode_points
from tunesmith.errors import Invalid, TunesmithError
from tunesmith.services.jobs.payloads import Hold, Permute, Prove, SubjectRef

BindSubject = Callable[[SubjectRef], Subject]


def prove_in_sample(payload: Prove, bind: BindSubject) -> Any:
    """Answer an `Ask` that needs the in-sample part alone."""
    subject = bind(payload.subject)
    answers: dict[str, Callable[[], Any]] = {
        "in_sample": lambda: work.metrics_of(subject),
        "costs": lambda: work.metrics_at_costs(subject, payload.cost_factor),
        "neighbours": lambda: work.neighbours_of(subject),
        "reality_check": lambda: work.check_reality(subject, payload.n_blocks, payload.n_draws, payload.seed),
        "report": lambda: report_of(subject),
        "faults": lambda: work.faults_of(subject.market.bars, subject.market.first),
    }
    return answers[payload.work]()


def permute_search(payload: Permute, bind: BindSubject) -> list[float]:
    """The winner's statistic on a range of permuted markets."""
    return work.search_again(bind(payload.subject), seed=payload.seed, start=payload.start, stop=payload.stop)


def hold_back(payload: Hold, bind: BindSubject) -> Any:
    """Answer an `Ask` that looks at the hold-out; the work's first bar is where it begins."""
    subject = bind(payload.subject)
    if payload.work == "holdout":
        return work.metrics_of(subject)
    if payload.work == "holdout_permutations":
        return work.holdout_again(subject, seed=payload.seed, start=payload.start, stop=payload.stop)
    if payload.work == "incumbent":
        return _against_incumbent(payload, subject)
    return _replayed(payload, subject)


def _against_incumbent(payload: Hold, subject: Subject) -> dict[str, Any]:
    """Both statistics on the hold-out's bars since the incumbent's approval, or on all of it where they are few.

    An incumbent whose parameters the strategy does not take any more has none.
    """
    market = subject.market
    since = market.bars.index_at(payload.since_ms)
    enough = len(market.bars) - since >= payload.min_bars
    part = Market(market.symbol, market.bars, market.execution, max(market.first, since) if enough else market.first)
    newcomer = _defined(work.statistic_of(Subject(subject.rule, subject.plan, subject.point, part)))
    try:
        point = encode_points(subject.rule.parameters, payload.incumbent)[0]
        standing = _defined(work.statistic_of(Subject(subject.rule, subject.plan, point, part)))
    except TunesmithError:
        standing = None
    return {"newcomer": newcomer, "incumbent": standing, "n_bars": len(part.bars) - part.first, "since": enough}


def _replayed(payload: Hold, subject: Subject) -> list[str]:
    market = subject.market
    split = split_at(market.bars, payload.boundary_ms, payload.first, payload.in_sample_end_ms)
    return [
        f"{segment}: {line}"
        for segment in ("in_sample", "holdout")
        for line in confirm_segment(subject.rule, market.bars, subject.point, market.execution, split, segment)
    ]


def _defined(value: float) -> float | None:
    return value if np.isfinite(value) else None


def point_of(ref: SubjectRef, subject_rule: Any) -> Any:
    """The encoded parameters of a subject, float64[p]; raises `Invalid` for a point that breaks a require(…)."""
    points = encode_points(subject_rule.parameters, ref.params, "/data/params")
    if not subject_rule.valid(points)[0]:
        raise Invalid("these parameters break a require(…) of the strategy", path="/data/params")
    return points[0]
