"""Driving a decision on a search: who answers which `Ask`, and what is kept of it.

In-sample work goes to the workers that search, the search on permuted markets in parts that run side by side; whatever
looks at the hold-out goes to its keeper. Draws count in their order, whoever is quick, and everything random follows
from the verdict's id, which nobody chooses: the same verdict can be made again to the bit.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from tunesmith import __version__
from tunesmith.compute.decision.checks import bars
from tunesmith.compute.decision.decision_plan import prove, public, public_reason
from tunesmith.compute.decision.decision_work import TOGETHER, Draws
from tunesmith.compute.decision.inputs import Ask, Case, Ledger, Proof
from tunesmith.compute.decision.statistics.permuted_markets import Sequential, Tally, p_value
from tunesmith.domain.approval import ApprovalCriteria
from tunesmith.domain.market.timeframes import YEAR_MS
from tunesmith.domain.parameters import Scalar
from tunesmith.domain.thresholds import Thresholds
from tunesmith.services.market.market_windows import Window
from tunesmith.services.market.payload_building import Assignment, prepared, work_of
from tunesmith.services.packages.package_requests import Ruling
from tunesmith.services.requests.program_version import program_version
from tunesmith.services.runtime.context import Context
from tunesmith.services.runtime.task_runner import Job
from tunesmith.services.searches.search_driver import Ended
from tunesmith.services.searches.search_tasks import KIND as SEARCH
from tunesmith.services.searches.search_tasks import OptimizationTask
from tunesmith.services.tasks import task_requests
from tunesmith.storage.timestamps import milliseconds
from tunesmith.workers.chunks.payloads import (
    Hold,
    OtherMarket,
    Permute,
    Prepared,
    Prove,
    Standing,
    StrategyRef,
    SubjectRef,
)

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
    """What a decision is asked about: the search with its markets, its winner, the bounds, and where the data ends.

    The hold-outs of all `windows` begin at one instant.
    """

    optimization_id: str
    strategy: StrategyRef
    windows: Sequence[Window]
    params: dict[str, Any]
    criteria: ApprovalCriteria
    thresholds: Thresholds
    until_ms: int
    seed: int

    @property
    def boundary_ms(self) -> int:
        return self.windows[0].boundary_ms


@dataclass(frozen=True, slots=True)
class Ground:
    """What a decision stands on: the request's winner, and each market's bars without and with their hold-out."""

    request: Request
    subject: SubjectRef
    in_sample: Sequence[Prepared]
    whole: Sequence[Prepared]
    case: Case

    @property
    def sound(self) -> bool:
        """Whether the bars allow a decision, whatever the ledger says."""
        return all(check.passed for check in bars(self.case))


@dataclass(frozen=True, slots=True)
class Decided:
    """The proof, what it stands on, and what the ledger and the packages in force were then, one for each market."""

    proof: Proof
    ground: Ground
    ledger: Ledger
    standing: Sequence[Incumbent | None]


def seed_of(verdict_id: str) -> int:
    """The seed of everything random in a verdict."""
    return int.from_bytes(hashlib.sha256(verdict_id.encode()).digest()[:6], "big")


async def lay(context: Context, job: Job, request: Request) -> Ground:
    """Cut the bars that a decision needs; nothing of the hold-out is looked at but how many bars it has."""
    row = await task_requests.load(context, request.optimization_id, SEARCH)
    search = task_requests.request_of(row, OptimizationTask)
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
    subject = SubjectRef(
        plan=search.plan,
        work=msgspec.structs.replace(first, engine="tunesmith"),
        symbol=request.windows[0].symbol,
        params=request.params,
        stop=search.stop,
        frozen_at=ended.n_trials if ended is not None and ended.stopped_by == "time_budget" else None,
        others=[
            OtherMarket(symbol=window.symbol, work=msgspec.structs.replace(work, engine="tunesmith"))
            for window, work in zip(request.windows[1:], others, strict=True)
        ],
    )
    case = Case(
        criteria=request.criteria,
        thresholds=request.thresholds,
        n_in_sample=min(data.n_in_sample for data in whole),
        n_holdout=min(data.n_holdout for data in whole),
        years=min(data.end_ms - data.start_ms for data in whole) / YEAR_MS,
        faults=await job.run("prove", Prove(subject=subject, work="faults")),
        symbols=[window.symbol for window in request.windows],
    )
    return Ground(request, subject, in_sample, whole, case)


async def decide(
    context: Context, job: Job, ground: Ground, ledger: Ledger, standing: Sequence[Incumbent | None]
) -> Decided:
    """Make the decision; its work is the job's, so that it counts in the job's time and can be cancelled."""
    driver = _Driver(context, job, ground, standing)
    first = next((package.package_id for package in standing if package is not None), None)
    proof = await driver.run(replace(ground.case, ledger=ledger, incumbent=first))
    return Decided(proof, ground, ledger, standing)


@dataclass
class _Driver:
    context: Context
    job: Job
    ground: Ground
    standing: Sequence[Incumbent | None]

    @property
    def request(self) -> Request:
        return self.ground.request

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
        if ask.work in ("holdout", "holdout_symbols", "incumbent", "replay"):
            return await self.job.run("hold", self._hold(ask.work))
        limits = self.request.thresholds
        return await self.job.run(
            "prove",
            Prove(
                subject=self.ground.subject,
                work=ask.work,
                cost_factor=limits.cost_factor,
                n_blocks=limits.n_blocks,
                n_draws=ask.n_draws,
                seed=self.request.seed,
            ),
        )

    async def _permutations(self, ask: Ask) -> dict[str, Any]:
        test = _Test(ask, ask.stop_at)
        seed = self.request.seed

        async def part(start: int) -> tuple[int, Draws]:
            stop = min(start + _PART, ask.n_draws)
            work = Permute(subject=self.ground.subject, seed=seed, start=start, stop=stop)
            return start, await self.job.run("permute", work)

        parts = self.job.map(part, range(0, ask.n_draws, _PART))
        async for start, found in parts:
            tally = test.add(start, found)
            self.job.advance(tally.n, ask.n_draws)
            if tally.over:
                await parts.aclose()
                break
        return test.evidence(seed)

    async def _holdout_permutations(self, ask: Ask) -> dict[str, Any]:
        test = _Test(ask, ask.n_draws + 1)
        for start in range(0, ask.n_draws, _HOLDOUT_PART):
            stop = min(start + _HOLDOUT_PART, ask.n_draws)
            payload = msgspec.structs.replace(self._hold("holdout_permutations"), start=start, stop=stop)
            test.add(start, await self.job.run("hold", payload))
        return test.evidence(self.request.seed + 1)

    def _hold(self, work: str) -> Hold:
        windows, whole, subject = self.request.windows, self.ground.whole, self.ground.subject
        first, *others = [
            msgspec.structs.replace(part, snapshot=data.snapshot, first=data.n_bars - data.n_holdout)
            for part, data in zip([subject.work, *(other.work for other in subject.others)], whole, strict=True)
        ]
        return Hold(
            subject=msgspec.structs.replace(
                subject,
                work=first,
                others=[
                    msgspec.structs.replace(other, work=on_whole)
                    for other, on_whole in zip(subject.others, others, strict=True)
                ],
            ),
            work=work,
            seed=self.request.seed + 1,
            first=[data.first for data in whole],
            boundary_ms=self.request.boundary_ms,
            in_sample_end_ms=[_boundary(window) for window in windows],
            standing=[
                None if package is None else Standing(params=package.params, since_ms=milliseconds(package.approved_at))
                for package in self.standing
            ],
            min_bars=_MIN_SINCE,
        )


class _Test:
    """A permutation test under way: all markets together decide when it ends, each alone gets its p-value of them."""

    def __init__(self, ask: Ask, stop_at: int) -> None:
        self.ask = ask
        self._together = Sequential(ask.real, ask.n_draws, stop_at)
        self._parts: dict[int, Draws] = {}

    def add(self, start: int, found: Draws) -> Tally:
        self._parts[start] = found
        return self._together.add(start, found[TOGETHER])

    def evidence(self, seed: int) -> dict[str, Any]:
        ask, tally = self.ask, self._together.tally
        told: dict[str, Any] = {
            "p": tally.p,
            "n": tally.n,
            "n_reached": tally.n_reached,
            "n_draws": ask.n_draws,
            "stop_at": ask.stop_at,
            "real": ask.real,
            "seed": seed,
        }
        if ask.apart:
            told["apart"] = {symbol: p_value(real, self._of(symbol, tally.n)) for symbol, real in ask.apart.items()}
        return told

    def _of(self, symbol: str, n: int) -> list[float]:
        """The first n draws of a symbol, in their order."""
        return [value for start in sorted(self._parts) for value in self._parts[start][symbol]][:n]


def ruling_of(decided: Decided) -> Ruling:
    """The decision as it is stored and shown."""
    proof, ground = decided.proof, decided.ground
    apart: dict[str, dict[str, Any]] = {}
    for segment, name in (("in_sample", "symbols"), ("holdout", "holdout_symbols")):
        for symbol, metrics in proof.seen.evidence.get(name, {}).items():
            apart.setdefault(symbol, {})[segment] = metrics
    return Ruling(
        grade="proven",
        status=proof.status,
        reason=public_reason(proof),
        checks=proof.checks,
        shown=tuple(public(proof)),
        metrics=proof.seen.metrics,
        evidence=_evidence_of(decided),
        data=ground.whole[0],
        others=tuple(ground.whole[1:]),
        by_symbol=apart,
        kept=tuple(proof.seen.evidence.get("kept", [window.symbol for window in ground.request.windows])),
    )


def _evidence_of(decided: Decided) -> dict[str, Any]:
    """Everything that it takes to make the decision again, and what came out of it."""
    seen, ground, request = decided.proof.seen, decided.ground, decided.ground.request
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
        "status": decided.proof.status,
        "reason": decided.proof.reason,
        "p": seen.p,
        "metrics": {segment: dict(found) for segment, found in seen.metrics.items()},
        **seen.evidence,
    }
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


def _boundary(window: Window) -> int:
    return min(window.end_ms, window.boundary_ms)
