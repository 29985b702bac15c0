"""Driving a decision on a search: sends the work that its checks ask for to workers, and stores what came of it.

The checks' registry says what a work is and which bars it sees: in-sample work goes to the workers that search, work on
the hold-out to the one that holds it back from them. Draws of a permutation test count in their order, whichever is
computed first, and everything random follows from the verdict's id, which nobody chooses: the same verdict can be made
again to the bit.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from tunesmith import __version__
from tunesmith.compute.decision.checks.check_declaration import Work
from tunesmith.compute.decision.checks.check_registry import progress_within, work_named
from tunesmith.compute.decision.checks.data_gate import FAULTS, missing_faults
from tunesmith.compute.decision.decision_plan import decide_search, public_checks, public_reason
from tunesmith.compute.decision.inputs import (
    EDITION,
    Decision,
    DecisionInputs,
    Ledger,
    PackageInForce,
    WorkRequest,
)
from tunesmith.compute.decision.permutation_test import DrawnStatistics, PermutationTest
from tunesmith.domain.approval import ApprovalCriteria, DataAge
from tunesmith.domain.market.timeframes import YEAR_MS
from tunesmith.domain.parameters import ParamValues
from tunesmith.domain.records import JsonObject
from tunesmith.domain.thresholds import Thresholds
from tunesmith.domain.trading import OWN_ENGINE
from tunesmith.errors import Internal
from tunesmith.protocol.task_types import OPTIMIZATION
from tunesmith.services.market.market_windows import Assignment, Window, prepared, work_of
from tunesmith.services.requests.program_version import program_version
from tunesmith.services.runtime.context import Context
from tunesmith.services.runtime.task_runner import Job
from tunesmith.services.searches.search_driver import Ended
from tunesmith.services.searches.search_tasks import OptimizationTask
from tunesmith.services.tasks.task_kinds import load, request_of
from tunesmith.services.verdicts.counted_answers import CountedAnswers, CountedGround
from tunesmith.services.verdicts.evidence import Ruling, age_evidence
from tunesmith.services.verdicts.search_book import evidence_of
from tunesmith.storage.timestamps import milliseconds
from tunesmith.workers.chunks.payloads import (
    DecisionWork,
    HoldoutPart,
    OtherMarket,
    Prepared,
    StrategyRef,
    WinnerRef,
)

Look = Callable[[], Awaitable[Any]]
Counting = Callable[[], Awaitable[CountedGround]]

CHUNK_OF = {"in_sample": "decision_work", "holdout": "decision_work_holdout"}
"""The chunk function that does a registered work, by the segment that it sees."""


class Incumbent(msgspec.Struct, frozen=True, kw_only=True):
    """The package in force for the same market, timeframe and strategy."""

    package_id: str
    params: ParamValues
    approved_at: str


@dataclass(frozen=True, slots=True)
class Request:
    """What a decision is asked about: the search with its markets, its winner, the bounds, and where the data ends.

    The hold-outs of all `windows` begin at one instant.
    """

    optimization_id: str
    strategy: StrategyRef
    windows: Sequence[Window]
    params: JsonObject
    criteria: ApprovalCriteria
    thresholds: Thresholds
    until_ms: int
    seed: int
    edition: int = EDITION
    age: DataAge | None = None

    @property
    def boundary_ms(self) -> int:
        return self.windows[0].boundary_ms

    @property
    def of(self) -> Assignment:
        """The strategy on the first market."""
        return Assignment(strategy=self.strategy, window=self.windows[0])


@dataclass(frozen=True, slots=True)
class PreparedDecision:
    """What a decision starts from: the request's winner, and each market's bars without and with their hold-out."""

    request: Request
    winner: WinnerRef
    in_sample: Sequence[Prepared]
    whole: Sequence[Prepared]
    inputs: DecisionInputs


@dataclass(frozen=True, slots=True)
class Decided:
    """A decision, what it started from, and what the ledger and each market's package in force were then."""

    decision: Decision
    ground: PreparedDecision
    ledger: Ledger
    standing: Sequence[Incumbent | None]
    counted: CountedGround | None = None


def seed_of(verdict_id: str) -> int:
    """The seed of everything random in a verdict."""
    return int.from_bytes(hashlib.sha256(verdict_id.encode()).digest()[:6], "big")


async def prepare(context: Context, job: Job, request: Request) -> PreparedDecision:
    """Cut the bars that a decision needs; nothing of the hold-out is looked at but how many bars it has."""
    row = await load(context, request.optimization_id, OPTIMIZATION)
    search = request_of(row, OptimizationTask)
    in_sample, whole = [], []
    for i, window in enumerate(request.windows):
        which = f"/{i}" if i else ""
        in_sample.append(await prepared(context, job, window, slot=f"in_sample{which}"))
        slot = f"whole{which} from {window.boundary_ms}"
        whole.append(await prepared(context, job, window, until_ms=request.until_ms, slot=slot))
    ended = msgspec.convert(msgspec.json.decode(row.state or "{}").get("ended"), Ended | None)
    first, *others = [
        work_of(context, Assignment(strategy=request.strategy, window=window), data)
        for window, data in zip(request.windows, in_sample, strict=True)
    ]
    winner = WinnerRef(
        plan=search.plan,
        work=msgspec.structs.replace(first, engine=OWN_ENGINE),
        symbol=request.windows[0].symbol,
        params=request.params,
        stop=search.stop,
        frozen_at=ended.n_trials if ended is not None and ended.stopped_by == "time_budget" else None,
        others=[
            OtherMarket(symbol=window.symbol, work=msgspec.structs.replace(work, engine=OWN_ENGINE))
            for window, work in zip(request.windows[1:], others, strict=True)
        ],
    )
    faults = DecisionWork(winner=winner, work=FAULTS.name, thresholds=request.thresholds, seed=request.seed)
    inputs = DecisionInputs(
        criteria=request.criteria,
        thresholds=request.thresholds,
        n_in_sample=min(data.n_in_sample for data in whole),
        n_holdout=min(data.n_holdout for data in whole),
        years=min(data.end_ms - data.start_ms for data in whole) / YEAR_MS,
        faults=[*await job.run(CHUNK_OF[FAULTS.segment], faults), *_held_out_faults(request.windows, whole)],
        symbols=[window.symbol for window in request.windows],
        fill=request.windows[0].fill,
        edition=request.edition,
        age=request.age,
    )
    return PreparedDecision(request, winner, in_sample, whole, inputs)


def _held_out_faults(windows: Sequence[Window], whole: Sequence[Prepared]) -> list[str]:
    """That too many bars of a hold-out are missing, with the symbol where there are several; they are only counted."""
    found = []
    for window, data in zip(windows, whole, strict=True):
        if data.holdout is not None and data.calendar is not None:
            counts = data.holdout
            faults = missing_faults(counts.n_missing, counts.n_expected, data.calendar, " that are held out")
            found += [f"{window.symbol}: {fault}" if len(windows) > 1 else fault for fault in faults]
    return found


async def looked_before() -> None:
    """A replay looks at nothing that its verdict has not looked at."""


async def decide(
    context: Context,
    job: Job,
    ground: PreparedDecision,
    ledger: Ledger,
    standing: Sequence[Incumbent | None],
    *,
    counting: Counting | None = None,
    look: Look = looked_before,
) -> Decided:
    """Make the decision; its work is the job's, so that it counts in the job's time and can be cancelled.

    From edition 2 on `counting` finds the searches that count, once a check asks for them, and `look` is awaited right
    before the first work that sees the hold-out; what it raises ends the decision.
    """
    driver = _Driver(context, job, ground, standing, counting, look)
    first = next((package.package_id for package in standing if package is not None), None)
    decision = await driver.run(replace(ground.inputs, ledger=ledger, incumbent=first))
    return Decided(decision, ground, ledger, standing, driver.counted)


@dataclass
class _Driver:
    context: Context
    job: Job
    ground: PreparedDecision
    standing: Sequence[Incumbent | None]
    counting: Counting | None
    look: Look
    looked: bool = False
    counted: CountedGround | None = None
    answers: CountedAnswers | None = None

    async def run(self, inputs: DecisionInputs) -> Decision:
        plan = decide_search(inputs)
        try:
            request = next(plan)
            while True:
                request = plan.send(await self._answer(request))
        except StopIteration as stop:
            decision: Decision = stop.value
            return decision

    async def _answer(self, request: WorkRequest) -> Any:
        work = work_named(request.work)
        says: str | None = f"asking for {request.work.replace('_', ' ')}"
        if work.of_searches:
            self._log(says)
            return await self._of_searches(request)
        if work.sees_holdout and self.ground.request.edition > 1:
            says = None if self.looked else "looking at the hold-out"  # how far it comes would be more than one bit
            if not self.looked:
                await self.look()
            self.looked = True
        payload = self._payload(work, request)
        if work.draws_per_chunk:
            self._log(says)
            return await self._test(work, request, payload)
        return await self.job.run(CHUNK_OF[work.segment], payload, says=says)

    def _log(self, says: str | None) -> None:
        if says is not None:
            self.job.log(says)

    async def _test(self, work: Work, request: WorkRequest, payload: DecisionWork) -> JsonObject:
        """A permutation test: in sample its chunks run side by side, on the hold-out one after the other."""
        test = PermutationTest(request)
        n_draws, n_chunk = request.n_draws, work.draws_per_chunk

        async def draw(start: int) -> tuple[int, DrawnStatistics]:
            chunk = msgspec.structs.replace(payload, start=start, stop=min(start + n_chunk, n_draws))
            return start, await self.job.run(CHUNK_OF[work.segment], chunk)

        chunks = self.job.map(draw, range(0, n_draws, n_chunk), n_out=1 if work.sees_holdout else None)
        async for start, drawn in chunks:
            tally = test.add(start, drawn)
            if work.progress_share:
                self._advance(work, tally.n, n_draws)
            if tally.over:
                await chunks.aclose()
                break
        return test.evidence(payload.seed)

    def _advance(self, work: Work, done: int, total: int) -> None:
        """Report the draws of a test as the decision's progress, counted in draws of this test."""
        before, share = progress_within(work, self.ground.request.edition)
        self.job.advance(done + round(before / share * total), round(total / share))

    async def _of_searches(self, request: WorkRequest) -> JsonObject:
        if self.answers is None:
            if self.counting is None:
                raise Internal("a decision of edition 2 needs the searches that count")
            self.counted = await self.counting()
            self.answers = CountedAnswers(self.context, self.job, self.counted, self.ground.request.edition)
        return await self.answers.answer(request)

    def _payload(self, work: Work, request: WorkRequest) -> DecisionWork:
        winner = self.ground.winner
        return DecisionWork(
            winner=self._on_whole(winner) if work.sees_holdout else winner,
            work=work.name,
            thresholds=self.ground.request.thresholds,
            seed=self._seed(work),
            n_draws=request.n_draws,
            data=request.data,
            parts=self._parts() if work.sees_holdout else [],
            sees_holdout=work.sees_holdout,
        )

    def _seed(self, work: Work) -> int:
        """The seed of a work; on the hold-out, from edition 2 on, one that only the daemon knows."""
        if self.counted is not None and work.sees_holdout:
            return self.counted.holdout_seed
        return work.seed(self.ground.request.seed)

    def _on_whole(self, winner: WinnerRef) -> WinnerRef:
        """The winner on bars with their hold-out, which is where each market's work begins."""
        first, *others = [
            msgspec.structs.replace(part, snapshot=data.snapshot, first=data.n_bars - data.n_holdout)
            for part, data in zip(
                [winner.work, *(other.work for other in winner.others)], self.ground.whole, strict=True
            )
        ]
        return msgspec.structs.replace(
            winner,
            work=first,
            others=[
                msgspec.structs.replace(other, work=on_whole)
                for other, on_whole in zip(winner.others, others, strict=True)
            ],
        )

    def _parts(self) -> list[HoldoutPart]:
        return [
            HoldoutPart(
                first=data.first,
                boundary_ms=self.ground.request.boundary_ms,
                in_sample_end_ms=min(window.end_ms, window.boundary_ms),
                package=None
                if package is None
                else PackageInForce(params=package.params, approved_ms=milliseconds(package.approved_at)),
            )
            for window, data, package in zip(self.ground.request.windows, self.ground.whole, self.standing, strict=True)
        ]


def ruling_of(decided: Decided) -> Ruling:
    """The decision as it is stored and shown."""
    decision, ground = decided.decision, decided.ground
    by_symbol: dict[str, JsonObject] = {}
    for segment, name in (("in_sample", "symbols"), ("holdout", "holdout_symbols")):
        for symbol, metrics in decision.findings.evidence.get(name, {}).items():
            by_symbol.setdefault(symbol, {})[segment] = metrics
    return Ruling(
        grade="tested",
        status=decision.status,
        reason=public_reason(decision),
        checks=decision.checks,
        shown=tuple(public_checks(decision)),
        metrics=decision.findings.metrics,
        evidence=_evidence_of(decided),
        data=ground.whole[0],
        others=tuple(ground.whole[1:]),
        by_symbol=by_symbol,
        kept=tuple(decision.findings.evidence.get("kept", [window.symbol for window in ground.request.windows])),
    )


def _evidence_of(decided: Decided) -> JsonObject:
    """Everything that it takes to make the decision again, and what came out of it."""
    findings, ground, request = decided.decision.findings, decided.ground, decided.ground.request
    standing = [None if package is None else msgspec.to_builtins(package) for package in decided.standing]
    evidence = {
        "version": __version__,
        "engine": program_version(),
        "seed": request.seed,
        "thresholds": msgspec.to_builtins(request.thresholds),
        "ledger": {"look": decided.ledger.look, "burnt": decided.ledger.burnt},
        "standing": standing[0],
        "in_sample_hash": ground.in_sample[0].snapshot,
        "until_ms": request.until_ms,
        "boundary_ms": request.boundary_ms,
        "status": decided.decision.status,
        "reason": decided.decision.reason,
        "p": findings.p,
        "metrics": {segment: dict(found) for segment, found in findings.metrics.items()},
    }
    if request.edition > 1:
        evidence["edition"] = request.edition
    evidence |= age_evidence(request.age)
    if decided.counted is not None:
        evidence["book"] = msgspec.to_builtins(evidence_of(decided.counted.book))
        evidence["secret"] = decided.counted.secret_hash
    taken = evidence.keys() & findings.evidence.keys()
    if taken:
        raise Internal(f"a check keeps evidence under names of the verdict's own: {', '.join(sorted(taken))}")
    evidence |= findings.evidence
    if len(request.windows) > 1:
        evidence["others"] = [
            {
                "symbol": window.symbol,
                "standing": package,
                "in_sample_hash": in_sample.snapshot,
                "data_hash": whole.snapshot,
            }
            for window, package, in_sample, whole in zip(
                request.windows[1:], standing[1:], ground.in_sample[1:], ground.whole[1:], strict=True
            )
        ]
    return evidence
