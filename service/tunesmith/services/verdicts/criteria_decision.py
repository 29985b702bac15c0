"""Rulings by criteria alone: what becomes of a lone backtest, that no search stands behind."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from tunesmith import __version__
from tunesmith.compute.decision.criteria_plan import decide_by_criteria, public_checks
from tunesmith.compute.decision.inputs import EDITION, Decision, SegmentLengths
from tunesmith.domain.approval import ApprovalCriteria, DataAge
from tunesmith.services.market.market_windows import Assignment, prepared, work_of
from tunesmith.services.requests.program_version import program_version
from tunesmith.services.runtime.context import Context
from tunesmith.services.runtime.task_runner import Job
from tunesmith.services.verdicts.evidence import Ruling, age_evidence
from tunesmith.workers.chunks.payloads import OnePoint, Prepared

Look = Callable[[Prepared], Awaitable[None]]
"""Called before the hold-out is looked at."""


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """What a ruling by criteria is about beside the market: parameters, bounds, where the data ended, the rules."""

    params: dict[str, bool | int | float | str]
    criteria: ApprovalCriteria
    until_ms: int
    min_bars: int
    edition: int = EDITION
    age: DataAge | None = None


async def rule_by_criteria(context: Context, job: Job, of: Assignment, bounds: Bounds, look: Look) -> Ruling:
    """Hold the parameters to the criteria on both segments; its work is the job's."""
    window = of.window
    data = await prepared(context, job, window, until_ms=bounds.until_ms)
    point = OnePoint(
        work=work_of(context, of, data),
        params=bounds.params,
        boundary_ms=window.boundary_ms,
        in_sample_end_ms=min(window.end_ms, window.boundary_ms),
    )
    decision = await _drive(job, point, bounds, data, look)
    evidence: dict[str, Any] = {
        "version": __version__,
        "engine": program_version(),
        "until_ms": bounds.until_ms,
        "boundary_ms": window.boundary_ms,
        "min_bars": bounds.min_bars,
        "status": decision.status,
        "reason": decision.reason,
        "metrics": {segment: dict(found) for segment, found in decision.findings.metrics.items()},
    }
    if bounds.edition > 1:
        evidence["edition"] = bounds.edition
    evidence |= age_evidence(bounds.age)
    return Ruling(
        grade="criteria",
        status=decision.status,
        reason=decision.reason,
        checks=decision.checks,
        shown=tuple(public_checks(decision)),
        metrics=decision.findings.metrics,
        evidence=evidence,
        data=data,
    )


async def _drive(job: Job, point: OnePoint, bounds: Bounds, data: Prepared, look: Look) -> Decision:
    lengths = SegmentLengths(data.n_in_sample, data.n_holdout, bounds.min_bars, bounds.age)
    plan = decide_by_criteria(bounds.criteria, lengths, bounds.edition)
    try:
        work = next(plan)
        for step in range(1, 100):
            if work == "holdout":
                await look(data)
            answer = await job.run("judge", msgspec.structs.replace(point, ask=work), says=f"asking for {work}")
            job.advance(step, 4)
            work = plan.send(answer)
    except StopIteration as stop:
        decision: Decision = stop.value
        return decision
    raise RuntimeError("the decision plan did not end")
