"""Check: the same search on permuted markets; how often it finds something as good there.

Judged by the limit of paper trading: what passes that but not the limit of an approval is noted for paper.
"""

from __future__ import annotations

from dataclasses import replace

from tunesmith.compute.decision.checks.check_declaration import (
    DecisionCheck,
    Explanation,
    Requests,
    Work,
    ask_by_symbol,
    line,
    number,
)
from tunesmith.compute.decision.checks.trial_bootstrap import MORE_BARS_NOT_NARROWER_RANGES
from tunesmith.compute.decision.inputs import DecisionInputs, Findings, WorkInputs, WorkRequest
from tunesmith.compute.decision.permutation_test import DrawnStatistics, draw_statistics, on_permuted_markets
from tunesmith.compute.decision.winner import Winner, metrics_by_symbol
from tunesmith.compute.search.search import Search, run_whole


def judge(inputs: DecisionInputs, findings: Findings) -> Requests:
    """Judge the p-value of the winner's timing Sharpe ratio among those of the winners on permuted markets."""
    limits = inputs.limits
    real = number(findings.metrics["in_sample"].get("timing_sharpe"))
    by_symbol = yield from ask_by_symbol(inputs, SYMBOLS)
    found = yield WorkRequest(PERMUTATIONS.name, limits.n_permutations, limits.stop_at, real, by_symbol)
    p = found["p"]
    reason = (
        f"on {found['n_reached']:,} of {found['n']:,} shuffled versions of this market the same search found something "
        f"as good (p = {p:.3g}, limit {limits.search:g})"
    )
    if p > limits.search:
        findings.paper_reasons.append(reason)
    asks = "the same search finds nothing as good in permuted markets"
    return [line("permutations", "in_sample", asks, p, limits.search, p <= limits.paper_search, reason)]


def draw_searches(winner: Winner, inputs: WorkInputs) -> DrawnStatistics:
    """The statistics of the winner on the permuted markets `start` to `stop` of the inputs; NaN where there is none.

    The same search, budget, rules and ties; one that time ended makes the number of trials that it made.
    """
    once = Search(winner.rule, winner.plan)

    def search_again(index: int) -> Winner | None:
        moved = on_permuted_markets(winner, inputs.seed, index, [1] * len(winner.markets))
        search = Search(winner.rule, winner.plan) if once.learns else once
        outcome = run_whole(search, moved.markets, rules=winner.stop, frozen_at=winner.frozen_at)
        return None if outcome.best is None else replace(moved, point=outcome.found.points[outcome.best])

    return draw_statistics(winner, inputs, search_again)


SYMBOLS = Work(
    name="symbols",
    segment="in_sample",
    run=lambda winner, inputs: metrics_by_symbol(winner),
    kept_in="evidence",
)
PERMUTATIONS = Work(
    name="permutations",
    segment="in_sample",
    run=draw_searches,
    kept_in="evidence",
    p_value="search",
    draws_per_chunk=20,
    progress_share=1.0,
)

CHECK = DecisionCheck(
    name="permutations",
    question="the same search on permuted markets",
    segment="in_sample",
    judge=judge,
    works=(SYMBOLS, PERMUTATIONS),
    limits=("search", "paper_search", "n_permutations", "stop_at"),
    explanations={"permutations": Explanation("the search on every shuffled market", MORE_BARS_NOT_NARROWER_RANGES)},
    editions=frozenset({1}),
    summary=lambda findings: f"search p = {findings.p['search']:.3g}",
)
