"""Chunks of a decision on a search: what the searching workers answer, and what the hold-out's keeper does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from tunesmith.compute.decision import decision_work
from tunesmith.compute.decision.decision_work import Subject
from tunesmith.compute.decision.reported_statistics import report_of
from tunesmith.compute.decision.segments import confirm_segment
from tunesmith.compute.search.selection import aggregate_values
from tunesmith.compute.search.split import split_at
from tunesmith.domain.space.space import encode_points
from tunesmith.errors import Invalid, TunesmithError
from tunesmith.workers.chunks.payloads import Hold, Permute, Prove, SubjectRef

BindSubject = Callable[[SubjectRef], Subject]


def prove_in_sample(payload: Prove, bind: BindSubject) -> Any:
    """Answer an `Ask` that needs the in-sample part alone."""
    subject = bind(payload.subject)
    answers: dict[str, Callable[[], Any]] = {
        "in_sample": lambda: decision_work.metrics_of(subject),
        "symbols": lambda: decision_work.metrics_by_symbol(subject),
        "costs": lambda: decision_work.metrics_at_costs(subject, payload.cost_factor),
        "neighbours": lambda: decision_work.neighbours_of(subject),
        "reality_check": lambda: decision_work.check_reality(subject, payload.n_blocks, payload.n_draws, payload.seed),
        "report": lambda: report_of(subject),
        "faults": lambda: _faults(subject),
    }
    return answers[payload.work]()


def permute_search(payload: Permute, bind: BindSubject) -> decision_work.Draws:
    """The winner's statistics on a range of permuted markets."""
    return decision_work.draw_searches(bind(payload.subject), seed=payload.seed, start=payload.start, stop=payload.stop)


def hold_back(payload: Hold, bind: BindSubject) -> Any:
    """Answer an `Ask` that looks at the hold-out; the work's first bar is where it begins."""
    subject = bind(payload.subject)
    if payload.work == "holdout":
        return decision_work.metrics_of(subject)
    if payload.work == "holdout_symbols":
        return decision_work.metrics_by_symbol(subject)
    if payload.work == "holdout_permutations":
        return decision_work.draw_holdouts(subject, seed=payload.seed, start=payload.start, stop=payload.stop)
    if payload.work == "incumbent":
        return _against_incumbent(payload, subject)
    return _replayed(payload, subject)


def _faults(subject: Subject) -> list[str]:
    """What is wrong with the bars, with the symbol where there are several."""
    return [
        f"{market.symbol}: {fault}" if subject.others else fault
        for market in subject.markets
        for fault in decision_work.faults_of(market.bars, market.first)
    ]


def _against_incumbent(payload: Hold, subject: Subject) -> dict[str, Any]:
    """Both statistics on the hold-out's bars since the incumbent's approval, or on all of it where they are few.

    Of several markets those with a package in force count, and both sides come as the search's one number of them. An
    incumbent whose parameters the strategy does not take any more has none.
    """
    new, old, n_bars, since = [], [], [], []
    for market, standing in zip(subject.markets, payload.standing, strict=True):
        if standing is None:
            continue
        begin = market.bars.index_at(standing.since_ms)
        enough = len(market.bars) - begin >= payload.min_bars
        part = subject.on([replace(market, first=max(market.first, begin) if enough else market.first)])
        new.append(decision_work.statistic_of(part))
        try:
            point = encode_points(subject.rule.parameters, standing.params)[0]
            old.append(decision_work.statistic_of(replace(part, point=point)))
        except TunesmithError:
            old.append(np.nan)
        n_bars.append(len(market.bars) - part.market.first)
        since.append(enough)
    how = subject.plan.aggregate
    newcomer, incumbent = (
        float(aggregate_values(np.array([[v] for v in each]), how, "maximize")[0]) for each in (new, old)
    )
    return {
        "newcomer": _defined(newcomer),
        "incumbent": _defined(incumbent),
        "n_bars": min(n_bars),
        "since": all(since),
    }


def _together(subject: Subject, values: list[float]) -> float | None:
    """The statistic of each market as the search's one number."""
    return _defined(float(aggregate_values(np.array([values]).T, subject.plan.aggregate, "maximize")[0]))


def _replayed(payload: Hold, subject: Subject) -> list[str]:
    lines = []
    for market, first, end_ms in zip(subject.markets, payload.first, payload.in_sample_end_ms, strict=True):
        split = split_at(market.bars, payload.boundary_ms, first, end_ms)
        where = f"{market.symbol}, " if subject.others else ""
        lines += [
            f"{where}{segment}: {line}"
            for segment in ("in_sample", "holdout")
            for line in confirm_segment(subject.rule, market.bars, subject.point, market.execution, split, segment)
        ]
    return lines


def _defined(value: float) -> float | None:
    return value if np.isfinite(value) else None


def point_of(ref: SubjectRef, subject_rule: Any) -> Any:
    """The encoded parameters of a subject, float64[p]; raises `Invalid` for a point that breaks a require(…)."""
    points = encode_points(subject_rule.parameters, ref.params, "/data/params")
    if not subject_rule.valid(points)[0]:
        raise Invalid("these parameters break a require(…) of the strategy", path="/data/params")
    return points[0]
