"""What guards that are often recommended let through where there is no edge, each deciding alone.

The markets, grids and winners are those of `benchmarks.false_approvals`; every guard sees what its users give it. PSR
and DSR come on net returns, as they are published, and on timing returns, which holding a rising market does not feed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks.made_markets import FAMILIES, LENGTHS, NOISE, Family, draws
from benchmarks.marathon import Row, stream
from tunesmith.compute.decision.checks.held_out_bars import draw_holdouts
from tunesmith.compute.decision.checks.search_permutations import draw_searches
from tunesmith.compute.decision.permutation_test import ALL_MARKETS
from tunesmith.compute.decision.reported_statistics import report_of
from tunesmith.compute.decision.segments import segment_metrics
from tunesmith.compute.decision.statistics.permuted_markets import TIE
from tunesmith.compute.decision.statistics.sharpe_ratio import deflated_sharpe, moments, probabilistic_sharpe
from tunesmith.compute.decision.winner import Winner, metrics_at_costs, metrics_of
from tunesmith.compute.engines.trace import trace
from tunesmith.compute.measures.block_sums import evaluate_blocks
from tunesmith.compute.search.search import Market, run_whole
from tunesmith.domain.market.bars import Bars
from tunesmith.notebook.study import Study

GUARDS = {
    "profitable": "the best set is profitable in sample",
    "double_costs": "it still is at twice the costs",
    "quarters": "its timing earns in 4 of 4 quarters",
    "psr_net": "PSR > .95, net returns",
    "psr_timing": "PSR > .95, timing returns",
    "dsr_net": "DSR > .95, net returns",
    "dsr_timing": "DSR > .95, timing returns",
    "walk_forward": "walk-forward efficiency >= .5",
    "pbo": "PBO < .2",
    "out_of_sample": "profitable on the hold-out",
    "lone_holdout": "best set of ALL bars, submitted alone: passes the hold-out",
    "search_permuted": "the search on permuted markets alone, p <= .05 (199 draws)",
}
"""Guards by key, in words."""


def one(seed: int, i: int) -> Row:
    """Which guards let the winner on a market without an edge pass."""
    rng = stream(seed, 2, i)
    kind, family = list(NOISE)[i % len(NOISE)], list(FAMILIES)[int(rng.integers(len(FAMILIES)))]
    bars, direction = NOISE[kind](rng, int(rng.choice(LENGTHS[:3]))), str(rng.choice(["long", "both"]))
    study = FAMILIES[family].search(bars, direction)
    row: Row = {"kind": kind, "family": family, "passed": []}
    if study.best_index is None:
        return row
    found = {**_in_sample(study, int(rng.integers(2**48))), **_beyond(study, FAMILIES[family], direction, rng)}
    return {**row, "passed": [name for name, passed in found.items() if passed]}


def subject_of(study: Study) -> Winner:
    """The winner on the in-sample bars."""
    bars = study.bars.slice(0, study.split.in_stop)
    market = Market(bars.symbol, bars, study.execution, study.split.first)
    return Winner(study.strategy, study.plan, study.points[study.best_index], market, study.stop)


def _in_sample(study: Study, seed: int) -> dict[str, bool]:
    subject = subject_of(study)
    market = subject.market
    own, report = metrics_of(subject), report_of(subject)
    net = moments(trace(subject.rule, market.bars, subject.point, market.execution, start=market.first).returns)
    sums = evaluate_blocks(subject.rule, market.bars, study.points, market.execution, 16, start=market.first)
    n = sums.length * sums.returns.shape[1]
    mean = sums.returns.sum(axis=1) / n
    spread = np.sqrt(np.maximum(sums.squares.sum(axis=1) / n - mean * mean, 0.0))
    ratios = np.where(spread > 1e-9, mean / np.where(spread > 1e-9, spread, 1.0), np.nan)
    real = own["timing_sharpe"]
    drawn = np.array(draw_searches(subject, draws(seed, 0, 199))[ALL_MARKETS])
    return {
        "profitable": own["total_return"] > 0.0,
        "double_costs": metrics_at_costs(subject, 2.0)["total_return"] > 0.0,
        "quarters": all((value or 0.0) > 0.0 for value in report["sub_periods"]["timing_sharpe"]),
        "psr_net": probabilistic_sharpe(net) > 0.95,
        "psr_timing": _above(report["psr"]["value"], 0.95),
        "dsr_net": deflated_sharpe(net, len(study.points), float(np.nanvar(ratios, ddof=1))) > 0.95,
        "dsr_timing": _above(report["dsr"]["value"], 0.95),
        "walk_forward": _above(report["walk_forward_efficiency"]["value"], 0.5),
        "pbo": report["pbo"]["value"] is not None and report["pbo"]["value"] < 0.2,
        "search_permuted": bool((1 + (drawn >= real - TIE).sum()) / 200 <= 0.05),
    }


def _beyond(study: Study, family: Family, direction: str, rng: Any) -> dict[str, bool]:
    point = study.points[study.best_index]
    held_out = segment_metrics(family.rule, study.bars, point, study.execution, study.split, "holdout")
    return {
        "out_of_sample": held_out["total_return"] > 0.0,
        "lone_holdout": _lone(study, study.bars, int(rng.integers(2**48))),
    }


def _lone(study: Study, bars: Bars, seed: int) -> bool:
    """The search saw every bar; its winner is then put before the hold-out as if nobody had seen that."""
    outcome = run_whole(study.search, [Market(bars.symbol, bars, study.execution)])
    if outcome.best is None:
        return False
    market = Market(bars.symbol, bars, study.execution, study.split.out_start)
    subject = replace(subject_of(study), point=outcome.found.points[outcome.best], market=market)
    found = metrics_of(subject)
    if not (found["total_return"] > 0.0 and found["n_trades"] >= 5):
        return False
    drawn = np.array(draw_holdouts(subject, draws(seed, 0, 199))[ALL_MARKETS])
    return bool((1 + (drawn >= found["timing_sharpe"] - TIE).sum()) / 200 <= 0.2)


def _above(value: float | None, limit: float) -> bool:
    return value is not None and value >= limit


def show(rows: list[Row]) -> None:
    """Print the share of markets that each guard lets pass."""
    n = len(rows)
    print(f"\n{'guard, alone':64s}{'false approvals of ' + str(n):>24s}")
    for name, says in GUARDS.items():
        passed = [row for row in rows if name in row["passed"]]
        bootstrapped = [row for row in rows if "bootstrapped" in row["kind"]]
        of = sum(name in row["passed"] for row in bootstrapped)
        print(f"{says:64s}{len(passed) / n:24.1%}   ({of / max(1, len(bootstrapped)):.0%} on bootstrapped coins)")
