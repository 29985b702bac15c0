"""The library face of decisions: one made in this process, without a daemon and without its ledger.

The plan, the work and the numbers are the daemon's; only who answers differs. Nobody counts here how often a market was
asked about, and the hold-out lies in the same memory as the search: whoever decides has to be trusted with both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Annotated, Any

from msgspec import Meta

from tunesmith.compute.decision import decision_work
from tunesmith.compute.decision.decision_plan import prove, public, public_reason
from tunesmith.compute.decision.decision_work import Subject
from tunesmith.compute.decision.inputs import Ask, Case, Ledger, Proof
from tunesmith.compute.decision.reported_statistics import report_of
from tunesmith.compute.decision.segments import confirm_segment
from tunesmith.compute.decision.statistics.permuted_markets import Sequential, Tally
from tunesmith.compute.search.search import Market
from tunesmith.domain.approval import ApprovalCriteria, Check
from tunesmith.domain.criteria import DEFAULT_CRITERIA, merge
from tunesmith.domain.declared import as_declared
from tunesmith.domain.market.bars import Bars
from tunesmith.domain.market.timeframes import YEAR_MS
from tunesmith.domain.thresholds import Thresholds
from tunesmith.errors import Invalid
from tunesmith.notebook.backtesting import n_cores
from tunesmith.notebook.study import Study

Progress = Callable[[int, int], None]

UNGUARDED = (
    "nothing guarded this decision: no ledger knows how often this market was asked about or who saw its hold-out, so "
    "it issues no package"
)

_PART = 10
"""Permuted markets that a thread takes at a time."""

_Count = Annotated[int, Meta(ge=1, le=2**53)]
_Index = Annotated[int, Meta(ge=0, le=2**53)]


@dataclass(frozen=True)
class Verdict:
    """A decision on a study. Not `guarded`: no ledger counted this look at the hold-out, so it issues no package.

    `p` are the p-values of the tests that look at the in-sample part alone, and of all when it is approved.
    """

    status: str
    reason: str
    checks: list[Check]
    p: Mapping[str, float] = field(default_factory=dict)
    guarded: bool = False


def judge(
    study: Study,
    criteria: ApprovalCriteria | None = None,
    *,
    thresholds: Thresholds | None = None,
    seed: int = 0,
    n_threads: int | None = None,
    progress: Progress | None = None,
) -> Verdict:
    """Decide whether a study found skill or noise: the daemon's decision, made here; see `compute.proof.checks`.

    `criteria` take the settings' defaults where they are silent. `thresholds` are the statistics' limits and `seed`
    that of everything random; `progress(done, total)` tells of the permuted markets. Until it is approved a verdict
    shows nothing of the hold-out but pass or fail. Raises `Invalid` with the path of the argument for what cannot be.
    """
    asked = None if criteria is None else as_declared(criteria, ApprovalCriteria, "/criteria")
    limits = as_declared(thresholds or Thresholds(), Thresholds, "/thresholds")
    seed = as_declared(seed, _Index, "/seed")
    n_threads = as_declared(n_cores() if n_threads is None else n_threads, _Count, "/n_threads")
    if study.best_index is None:
        return Verdict("rejected", "no trial kept the constraints, so there is nothing to approve", [])
    proof = prove_study(
        study, merge(asked, DEFAULT_CRITERIA), thresholds=limits, seed=seed, n_threads=n_threads, progress=progress
    )
    return Verdict(proof.status, f"{public_reason(proof)} ({UNGUARDED})", public(proof), _public_p(proof))


def prove_study(
    study: Study,
    criteria: ApprovalCriteria,
    *,
    thresholds: Thresholds | None = None,
    ledger: Ledger | None = None,
    seed: int = 0,
    n_threads: int = 1,
    progress: Progress | None = None,
) -> Proof:
    """The whole decision on a study's winner, here and now.

    `ledger` is what the caller knows of earlier looks; without it this is the first. `seed` is that of the bootstrap
    and of every permuted market; the proof is the same for any `n_threads`. `progress(done, total)` is called as the
    permutation test of the search goes on. Raises `Invalid` for a study without a winner.
    """
    if study.best_index is None:
        raise Invalid("no trial kept the constraints, so there is nothing to decide on", path="/study")
    execution = replace(study.execution, engine="tunesmith")
    in_sample = Market(study.bars.symbol, study.bars.slice(0, study.split.in_stop), execution, study.split.first)
    subject = Subject(
        rule=study.strategy,
        plan=study.plan,
        point=study.points[study.best_index],
        market=in_sample,
        stop=study.stop,
        frozen_at=len(study.points) if study.outcome.stopped_by == "time_budget" else None,
    )
    limits = thresholds or Thresholds()
    bench = _Bench(subject, study, limits, seed, n_threads, progress)
    case = Case(
        criteria=criteria,
        thresholds=limits,
        n_in_sample=study.split.n_in_sample,
        n_holdout=len(study.bars) - study.split.out_start,
        years=(study.bars.end_ms - int(study.bars.timestamp[study.split.first])) / YEAR_MS,
        ledger=ledger or Ledger(),
        faults=decision_work.faults_of(in_sample.bars, in_sample.first),
    )
    plan = prove(case)
    try:
        ask = next(plan)
        while True:
            ask = plan.send(bench.answer(ask))
    except StopIteration as stop:
        proof: Proof = stop.value
        return proof


@dataclass(frozen=True, eq=False)
class _Bench:
    """Answers each `Ask` about a study's winner."""

    subject: Subject
    study: Study
    thresholds: Thresholds
    seed: int
    n_threads: int
    progress: Progress | None

    def answer(self, ask: Ask) -> Any:
        return self._answers[ask.work](ask)

    @cached_property
    def _answers(self) -> Mapping[str, Callable[[Ask], Any]]:
        limits, subject, held_out = self.thresholds, self.subject, self._held_out
        return {
            "in_sample": lambda ask: decision_work.metrics_of(subject),
            "costs": lambda ask: decision_work.metrics_at_costs(subject, limits.cost_factor),
            "neighbours": lambda ask: decision_work.neighbours_of(subject),
            "reality_check": lambda ask: decision_work.check_reality(subject, limits.n_blocks, ask.n_draws, self.seed),
            "permutations": self._permutations,
            "holdout": lambda ask: decision_work.metrics_of(held_out),
            "holdout_permutations": self._holdout_permutations,
            "replay": lambda ask: self._replayed(),
            "report": lambda ask: report_of(subject),
        }

    @cached_property
    def _held_out(self) -> Subject:
        bars: Bars = self.study.bars
        return replace(self.subject, market=replace(self.subject.market, bars=bars, first=self.study.split.out_start))

    def _permutations(self, ask: Ask) -> dict[str, Any]:
        test = Sequential(ask.real, ask.n_draws, ask.stop_at)

        def part(start: int) -> list[float]:
            stop = min(start + _PART, ask.n_draws)
            return decision_work.search_again(self.subject, seed=self.seed, start=start, stop=stop)

        starts = list(range(0, ask.n_draws, _PART))
        with ThreadPoolExecutor(self.n_threads) as threads:
            for at in range(0, len(starts), self.n_threads):
                together = starts[at : at + self.n_threads]
                for start, found in zip(together, threads.map(part, together), strict=True):
                    tally = test.add(start, found)
                if self.progress is not None:
                    self.progress(tally.n, ask.n_draws)
                if tally.over:
                    break
        return self._evidence(test.tally, ask, self.seed)

    def _holdout_permutations(self, ask: Ask) -> dict[str, Any]:
        test = Sequential(ask.real, ask.n_draws, ask.n_draws + 1)
        seed = self.seed + 1
        test.add(0, decision_work.holdout_again(self._held_out, seed=seed, start=0, stop=ask.n_draws))
        return self._evidence(test.tally, ask, seed)

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

    def _replayed(self) -> list[str]:
        study, subject = self.study, self.subject
        return [
            f"{segment}: {line}"
            for segment in ("in_sample", "holdout")
            for line in confirm_segment(
                subject.rule, study.bars, subject.point, subject.market.execution, study.split, segment
            )
        ]


def _public_p(proof: Proof) -> dict[str, float]:
    hidden = () if proof.approved else ("holdout", "combined")
    return {name: p for name, p in proof.seen.p.items() if name not in hidden}
