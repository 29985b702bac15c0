"""Driving a decision on a search: who answers which `Ask`, and what is kept of it.

In-sample work goes to the workers that search, the search on permuted markets in parts that run side by side; whatever
looks at the hold-out goes to its keeper. Draws count in their order, whoever is quick, and everything random follows
from the verdict's id, which nobody chooses: the same verdict can be made again to the bit.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import msgspec

from tunesmith import __version__
from tunesmith.compute.proof.case import Ask, Case, Ledger, Proof
from tunesmith.compute.proof.plan import prove, public, public_reason
from tunesmith.compute.statistics.permutation import Sequential, Tally
from tunesmith.domain.messages.verdicts import ApprovalCriteria
from tunesmith.domain.parameters import Scalar
from tunesmith.domain.thresholds import Thresholds
from tunesmith.domain.timeframes import YEAR_MS
from tunesmith.services import tasks
from tunesmith.services.cached import engine_version
from tunesmith.services.context import Context
from tunesmith.services.jobs.payloads import Hold, Permute, Prepared, Prove, SubjectRef
from tunesmith.services.jobs.tasks import Job
from tunesmith.services.markets import Window
from tunesmith.services.packages import Ruling
from tunesmith.services.search_tasks import KIND as SEARCH
from tunesmith.services.search_tasks import OptimizationTask
from tunesmith.services.searching import Ended
from tunesmith.services.work import Assignment, prepared, work_of
from tunesmith.storage.clock import milliseconds

_PART = 20
_HOLDOUT_PART = 100
_MIN_SINCE = 100
"""Bars since the incumbent's approval from which on they alone compare it with a newcomer."""


class Incumbent(msgspec.Struct, frozen=True, kw_only=True):
    """The package in force for the same market, timeframe and strategy."""

    package_id: str
    params: dict[str, Scalar]
    approved_at: str


@dataclass(frozen=True, slots=True)
class Request:
    """What a decision is asked about: the search, its winner, the bounds, and what the ledger says."""

    optimization_id: str
    assignment: Assignment
    params: dict[str, Any]
    criteria: ApprovalCriteria
    thresholds: Thresholds
    until_ms: int
    ledger: Ledger
    incumbent: Incumbent | None
    seed: int


@dataclass(frozen=True, slots=True)
class Decided:
    """The proof, and the bars that it was made on."""

    proof: Proof
    in_sample: Prepared
    whole: Prepared


def seed_of(verdict_id: str) -> int:
    """The seed of everything random in a verdict."""
    return int.from_bytes(hashlib.sha256(verdict_id.encode()).digest()[:6], "big")


async def decide(context: Context, job: Job, request: Request) -> Decided:
    """Make the decision; its work is the job's, so that it counts in the job's time and can be cancelled."""
    row = await tasks.load(context, request.optimization_id, SEARCH)
    search = tasks.request_of(row, OptimizationTask)
    window = request.assignment.window
    in_sample = await prepared(context, job, window, slot="in_sample")
    whole = await prepared(context, job, window, until_ms=request.until_ms, slot="whole")
    ended = msgspec.convert(msgspec.json.decode(row.state or "{}").get("ended"), Ended | None)
    subject = SubjectRef(
        plan=search.plan,
        work=msgspec.structs.replace(work_of(context, request.assignment, in_sample), engine="tunesmith"),
        symbol=window.symbol,
        params=request.params,
        stop=search.stop,
        frozen_at=ended.n_trials if ended is not None and ended.stopped_by == "time_budget" else None,
    )
    driver = _Driver(context, job, request, subject, whole)
    faults = await job.run("prove", Prove(subject=subject, work="faults"))
    case = Case(
        criteria=request.criteria,
        thresholds=request.thresholds,
        n_in_sample=whole.n_in_sample,
        n_holdout=whole.n_holdout,
        years=(whole.end_ms - whole.start_ms) / YEAR_MS,
        ledger=request.ledger,
        incumbent=request.incumbent.package_id if request.incumbent else None,
        faults=faults,
    )
    return Decided(await driver.run(case), in_sample, whole)


@dataclass
class _Driver:
    context: Context
    job: Job
    request: Request
    subject: SubjectRef
    whole: Prepared

    async def run(self, case: Case) -> Proof:
        plan = prove(case)
        try:
            ask = next(plan)
            while True:
                self.job.log(f"asking for {ask.work.replace('_', ' ')}")
                ask = plan.send(await self._answer(ask))
        except StopIteration as stop:
            proof: Proof = stop.value
            return proof

    async def _answer(self, ask: Ask) -> Any:
        if ask.work == "permutations":
            return await self._permutations(ask)
        if ask.work == "holdout_permutations":
            return await self._holdout_permutations(ask)
        if ask.work in ("holdout", "incumbent", "replay"):
            return await self.job.run("hold", self._hold(ask.work))
        limits = self.request.thresholds
        return await self.job.run(
            "prove",
            Prove(
                subject=self.subject,
                work=ask.work,
                cost_factor=limits.cost_factor,
                n_blocks=limits.n_blocks,
                n_draws=ask.n_draws,
                seed=self.request.seed,
            ),
        )

    async def _permutations(self, ask: Ask) -> dict[str, Any]:
        test = Sequential(ask.real, ask.n_draws, ask.stop_at)

        async def part(start: int) -> tuple[int, list[float]]:
            stop = min(start + _PART, ask.n_draws)
            seed = self.request.seed
            found = await self.job.run("permute", Permute(subject=self.subject, seed=seed, start=start, stop=stop))
            return start, found

        parts = self.job.map(part, range(0, ask.n_draws, _PART))
        async for start, found in parts:
            tally = test.add(start, found)
            self.job.advance(tally.n, ask.n_draws)
            if tally.over:
                await parts.aclose()
                break
        return self._evidence(test.tally, ask, self.request.seed)

    async def _holdout_permutations(self, ask: Ask) -> dict[str, Any]:
        test = Sequential(ask.real, ask.n_draws, ask.n_draws + 1)
        for start in range(0, ask.n_draws, _HOLDOUT_PART):
            stop = min(start + _HOLDOUT_PART, ask.n_draws)
            payload = msgspec.structs.replace(self._hold("holdout_permutations"), start=start, stop=stop)
            test.add(start, await self.job.run("hold", payload))
        return self._evidence(test.tally, ask, self.request.seed + 1)

    def _evidence(self, tally: Tally, ask: Ask, seed: int) -> dict[str, Any]:
        return {
            "p": tally.p,
            "n": tally.n,
            "n_reached": tally.n_reached,
            "n_draws": ask.n_draws,
            "stop_at": ask.stop_at,
            "real": ask.real,
            "seed": seed,
        }

    def _hold(self, work: str) -> Hold:
        incumbent, window = self.request.incumbent, self.request.assignment.window
        begin = self.whole.n_bars - self.whole.n_holdout
        on_whole = msgspec.structs.replace(self.subject.work, snapshot=self.whole.snapshot, first=begin)
        return Hold(
            subject=msgspec.structs.replace(self.subject, work=on_whole),
            work=work,
            seed=self.request.seed + 1,
            first=self.whole.first,
            boundary_ms=window.boundary_ms,
            in_sample_end_ms=_boundary(window),
            incumbent=incumbent.params if incumbent else {},
            since_ms=milliseconds(incumbent.approved_at) if incumbent else 0,
            min_bars=_MIN_SINCE,
        )


def ruling_of(request: Request, decided: Decided) -> Ruling:
    """The decision as it is stored and shown."""
    proof = decided.proof
    return Ruling(
        grade="proven",
        status=proof.status,
        reason=public_reason(proof),
        checks=proof.checks,
        shown=tuple(public(proof)),
        metrics=proof.seen.metrics,
        evidence=_evidence_of(request, decided),
        data=decided.whole,
    )


def _evidence_of(request: Request, decided: Decided) -> dict[str, Any]:
    """Everything that it takes to make the decision again, and what came out of it."""
    seen = decided.proof.seen
    return {
        "version": __version__,
        "engine": engine_version(),
        "seed": request.seed,
        "thresholds": msgspec.to_builtins(request.thresholds),
        "ledger": {"look": request.ledger.look, "burnt": request.ledger.burnt},
        "standing": None if request.incumbent is None else msgspec.to_builtins(request.incumbent),
        "in_sample_hash": decided.in_sample.snapshot,
        "until_ms": request.until_ms,
        "boundary_ms": request.assignment.window.boundary_ms,
        "status": decided.proof.status,
        "reason": decided.proof.reason,
        "p": seen.p,
        "metrics": {segment: dict(found) for segment, found in seen.metrics.items()},
        **seen.evidence,
    }


def _boundary(window: Window) -> int:
    return min(window.end_ms, window.boundary_ms)
