"""The library face of decisions: one made in this process, without a daemon and without its ledger.

The plan, the checks' work and the numbers are the daemon's; only where the work is done differs. Nobody counts here how
often a market was asked about, and the hold-out lies in the same memory as the search: whoever decides has to be
trusted with both.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from tunesmith.compute.decision.checks.check_declaration import Work
from tunesmith.compute.decision.checks.check_registry import shown_before_approval, work_named
from tunesmith.compute.decision.checks.counted_searches import COUNTED
from tunesmith.compute.decision.checks.data_gate import faults_of
from tunesmith.compute.decision.decision_plan import decide_search, follow, public_checks, public_reason
from tunesmith.compute.decision.inputs import EDITION, Decision, DecisionInputs, Ledger, WorkInputs, WorkRequest
from tunesmith.compute.decision.nulls.asked_book import AskedBook, count_asked, test_asked
from tunesmith.compute.decision.nulls.counted_search import CountedSearch, Ground, trials_that_count
from tunesmith.compute.decision.nulls.draw_table import draw
from tunesmith.compute.decision.nulls.null_plan import Counted
from tunesmith.compute.decision.nulls.null_vectors import Nulls, T
from tunesmith.compute.decision.nulls.null_vectors import Work as NullPlan
from tunesmith.compute.decision.permutation_test import DrawnStatistics, PermutationTest
from tunesmith.compute.decision.winner import Winner
from tunesmith.compute.search.search import Market
from tunesmith.compute.search.split import Split
from tunesmith.domain.approval import ApprovalCriteria, Check
from tunesmith.domain.criteria import DEFAULT_CRITERIA, merge
from tunesmith.domain.declared import as_declared
from tunesmith.domain.market.timeframes import YEAR_MS
from tunesmith.domain.thresholds import Thresholds
from tunesmith.domain.trading import OWN_ENGINE
from tunesmith.errors import Internal, Invalid
from tunesmith.notebook.backtesting import Count, Index, n_cores
from tunesmith.notebook.study import Study

Progress = Callable[[int, int], None]

UNGUARDED = (
    "nothing guarded this decision: no ledger knows how often this market was asked about or who saw its hold-out, so "
    "it issues no package"
)

_DRAWS_PER_THREAD = 10
"""Permuted markets that a thread takes at a time."""


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
    earlier: Sequence[Study] = (),
    n_threads: int | None = None,
    progress: Progress | None = None,
) -> Verdict:
    """Decide whether a study found skill or noise: the daemon's decision, made here; see `compute.decision.checks`.

    `criteria` take the settings' defaults where they are silent. `thresholds` are the statistics' limits and `seed`
    that of everything random. `earlier` are the studies that were made on this market before, in their order: whoever
    leaves one out gets a verdict that says too much. `progress(done, total)` tells of the permuted markets. Until it is
    approved a verdict shows nothing of the hold-out but pass or fail. Raises `Invalid` with the path of the argument
    for what cannot be.
    """
    asked = None if criteria is None else as_declared(criteria, ApprovalCriteria, "/criteria")
    limits = as_declared(thresholds or Thresholds(), Thresholds, "/thresholds")
    seed = as_declared(seed, Index, "/seed")
    n_threads = as_declared(n_cores() if n_threads is None else n_threads, Count, "/n_threads")
    if study.best_index is None:
        return Verdict("rejected", "no trial kept the constraints, so there is nothing to approve", [])
    decision = decide_study(
        study,
        merge(asked, DEFAULT_CRITERIA),
        thresholds=limits,
        seed=seed,
        earlier=earlier,
        n_threads=n_threads,
        progress=progress,
    )
    reason = f"{public_reason(decision)} ({UNGUARDED})"
    return Verdict(decision.status, reason, public_checks(decision), _public_p(decision))


def decide_study(
    study: Study,
    criteria: ApprovalCriteria,
    *,
    thresholds: Thresholds | None = None,
    ledger: Ledger | None = None,
    seed: int = 0,
    earlier: Sequence[Study] = (),
    edition: int = EDITION,
    n_threads: int = 1,
    progress: Progress | None = None,
) -> Decision:
    """Decide on a study's winner, here and now.

    `ledger` is what the caller knows of earlier looks; without it this is the first. `earlier` studies of the market
    count as searches whose results were seen before this one began. `seed` is that of every permuted market; the
    decision is the same for any `n_threads`. `progress(done, total)` is called as the permutation test of the search
    goes on. Raises `Invalid` for a study without a winner.
    """
    limits = thresholds or Thresholds()
    book = book_of_studies([*earlier, study])
    worker = worker_of_study(study, book, limits, seed=seed, n_threads=n_threads, progress=progress)
    return follow(decide_search(inputs_of_study(study, criteria, limits, ledger, edition)), worker.answer)


def worker_of_study(
    study: Study,
    book: AskedBook,
    limits: Thresholds,
    *,
    seed: int,
    n_threads: int = 1,
    progress: Progress | None = None,
) -> LocalWorker:
    """Who does the work of a decision on a study's winner, with the searches of `book`.

    Raises `Invalid` for a study without a winner.
    """
    if study.best_index is None:
        raise Invalid("no trial kept the constraints, so there is nothing to decide on", path="/study")
    in_sample = market_of_study(study)
    winner = Winner(
        rule=study.strategy,
        plan=study.plan,
        point=study.points[study.best_index],
        market=in_sample,
        stop=study.stop,
        frozen_at=len(study.points) if study.outcome.stopped_by == "time_budget" else None,
    )
    return LocalWorker(
        in_sample=winner,
        whole=winner.on([replace(in_sample, bars=study.bars, first=study.split.out_start)]),
        splits=[study.split],
        thresholds=limits,
        seed=seed,
        book=book,
        n_threads=n_threads,
        progress=progress,
    )


def market_of_study(study: Study) -> Market:
    """The bars that a study searched on, filled by our engine."""
    execution = replace(study.execution, engine=OWN_ENGINE)
    return Market(study.bars.symbol, study.bars.slice(0, study.split.in_stop), execution, study.split.first)


def inputs_of_study(
    study: Study, criteria: ApprovalCriteria, limits: Thresholds, ledger: Ledger | None = None, edition: int = EDITION
) -> DecisionInputs:
    """What a decision on a study is given before any work."""
    in_sample = market_of_study(study)
    return DecisionInputs(
        criteria=criteria,
        thresholds=limits,
        n_in_sample=study.split.n_in_sample,
        n_holdout=len(study.bars) - study.split.out_start,
        years=(study.bars.end_ms - int(study.bars.timestamp[study.split.first])) / YEAR_MS,
        ledger=ledger or Ledger(),
        faults=[*faults_of(in_sample.bars, in_sample.first), *faults_of(study.bars, study.split.out_start)],
        edition=edition,
        fill=study.execution.fill,
    )


def book_of_studies(studies: Sequence[Study]) -> AskedBook:
    """The studies of one market as searches that count, each of which saw those before it; the last one is asked."""
    names = [f"study {i + 1}" for i in range(len(studies))]
    searches = [
        CountedSearch(
            search_id=name,
            rule=study.strategy,
            plan=study.plan,
            execution=study.execution,
            timeframe=study.bars.timeframe,
            n_made=trials_that_count(
                study.search.sampler.n_trials, len(study.points), by_clock=study.outcome.stopped_by == "time_budget"
            ),
            seen=frozenset(names[:i]),
        )
        for i, (name, study) in enumerate(zip(names, studies, strict=True))
    ]
    last = studies[-1]
    return AskedBook(searches, names[-1], last.points[last.best_index or 0])


@dataclass(eq=False, kw_only=True)
class LocalWorker:
    """Does the registered work of a decision in this process: a winner on its in-sample bars and on all of them.

    On all bars each market's `first` is where its hold-out begins; `splits` are those of the markets in their order.
    `book` are the searches that count; `nulls` is what is known of them on the draws of this seed, and grows.
    `elsewhere` are the markets in sample in other timeframes, by timeframe, where searches on these count too.
    """

    in_sample: Winner
    whole: Winner
    splits: Sequence[Split]
    thresholds: Thresholds
    seed: int
    book: AskedBook | None = None
    nulls: Nulls = field(default_factory=dict)
    elsewhere: Mapping[str, tuple[Market, ...]] = field(default_factory=dict)
    n_threads: int = 1
    progress: Progress | None = None
    _counted: Counted | None = None

    def answer(self, request: WorkRequest) -> Any:
        """What a check asks for: the answer of its work, or the evidence of its permutation test."""
        work = work_named(request.work)
        if work.of_searches:
            return self._of_searches(request)
        inputs = WorkInputs(
            thresholds=self.thresholds,
            seed=work.seed(self.seed),
            n_draws=request.n_draws,
            splits=self.splits if work.sees_holdout else (),
            packages=[None] * len(self.splits) if work.sees_holdout else (),
            data=request.data,
        )
        if work.draws_per_chunk:
            return self._test(work, request, inputs)
        return work.do(self._winner(work), inputs)

    def _of_searches(self, request: WorkRequest) -> dict[str, Any]:
        if self.book is None:
            raise Internal("a decision of edition 2 needs the searches that count")
        if request.work == COUNTED.name:
            evidence, self._counted = self._follow(count_asked(self.book, self.nulls))
            self.nulls = self._counted.nulls
            return evidence
        if self._counted is None:
            raise Internal("the searches were to be tested before they were counted")
        evidence, test = self._follow(
            test_asked(self.book, self._counted, request.real, request.n_draws, request.stop_at), request.n_draws
        )
        self.nulls = test.nulls
        return evidence

    def _follow(self, plan: NullPlan[T], n_draws: int = 0) -> T:
        ground = self.ground
        searches = self.book.searches if self.book else ()
        with ThreadPoolExecutor(self.n_threads) as threads:
            try:
                requests = next(plan)
                while True:
                    answers = list(threads.map(lambda request: draw(searches, ground, request), requests))
                    if self.progress is not None and n_draws:
                        self.progress(min(n_draws, max(max(each.draws) for each in requests) + 1), n_draws)
                    requests = plan.send(answers)
            except StopIteration as stop:
                found: T = stop.value
                return found

    @property
    def ground(self) -> Ground:
        """Where the searches that count are evaluated."""
        markets = self.in_sample.markets
        return Ground(
            markets={**self.elsewhere, markets[0].bars.timeframe: markets},
            aggregate=self.in_sample.plan.aggregate,
            key=hashlib.sha256(f"library|{self.seed}".encode()).digest(),
            boundary_ms=self.splits[0].boundary_ms,
        )

    def _winner(self, work: Work) -> Winner:
        return self.whole if work.sees_holdout else self.in_sample

    def _test(self, work: Work, request: WorkRequest, inputs: WorkInputs) -> dict[str, Any]:
        test = PermutationTest(request)

        def draw(start: int) -> DrawnStatistics:
            stop = min(start + _DRAWS_PER_THREAD, request.n_draws)
            drawn: DrawnStatistics = work.do(self._winner(work), replace(inputs, start=start, stop=stop))
            return drawn

        starts = list(range(0, request.n_draws, _DRAWS_PER_THREAD))
        with ThreadPoolExecutor(self.n_threads) as threads:
            for at in range(0, len(starts), self.n_threads):
                together = starts[at : at + self.n_threads]
                for start, drawn in zip(together, threads.map(draw, together), strict=True):
                    tally = test.add(start, drawn)
                if self.progress is not None and work.progress_share:
                    self.progress(tally.n, request.n_draws)
                if tally.over:
                    break
        return test.evidence(inputs.seed)


def _public_p(decision: Decision) -> dict[str, float]:
    shown = shown_before_approval().p
    return {name: p for name, p in decision.findings.p.items() if decision.approved or name in shown}
