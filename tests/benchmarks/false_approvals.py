"""How often the decision approves where there is no edge, and how often where there is one.

PYTHONPATH=tests python -m benchmarks.false_approvals [--markets N] [--edges N] [--curve N] [--guards N]
    [--looks N] [--state FOLDER] [--seed N]

    --markets  N markets without an edge of fourteen kinds, each searched (grids of about 1,000 sets) and decided on:
               approvals with their exact 95 % bound, by kind, and at which check the others were refused
    --edges    N markets of each planted edge: the share approved, beside the power of one rule fixed beforehand, and
               beside the true Sharpe ratio (timing, of 252 bars) of the best rule of the grid and of those chosen
    --curve    the same for weaker edges: the lower part of the power curve
    --guards   what other gates would have let through, each alone: see `benchmarks.bare_guards`
    --looks    asking again and again, dying edges, rising walks, a genetic search: see `benchmarks.looks`

Without any of these: --markets 300. The seed is drawn when a measurement is begun, and printed. --state names a folder
from which a measurement that was stopped goes on. The statistics decide alone, without criteria of a user, and no
market is refused for its length. The exit code is 1 where more is approved than the promise allows (1 % at 95 %
confidence for 3,000 markets: 19), or where less than 55 % of an edge is found.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import beta, binom

from benchmarks import bare_guards, looks
from benchmarks.made_markets import EDGES, FAMILIES, LENGTHS, NOISE, WEAKER, Edge
from benchmarks.marathon import Row, run, stream
from tunesmith.compute.decision.inputs import Decision
from tunesmith.compute.decision.statistics.permuted_markets import TIE, draw_order, permuted
from tunesmith.compute.engines.evaluate import evaluate_points
from tunesmith.domain.approval import ApprovalCriteria
from tunesmith.domain.criteria import DEFAULT_CRITERIA, bounds, keeps
from tunesmith.domain.space import encode_points
from tunesmith.notebook.judging import decide_study
from tunesmith.notebook.study import Study

RATE = 0.01
LEAST_POWER = 0.55
N_BARS = 2000
N_PROOF = 2000
N_LONG = 20_000
N_LONGS = 4
YEAR = 252
SINGLE: dict[str, dict[str, float]] = {
    "moving averages": {"fast": 10, "slow": 40},
    "Bollinger": {"period": 30, "width": 1.5, "stop": 0.2},
    "RSI": {"period": 6, "oversold": 30, "exit_level": 55, "stop": 0.2},
}
"""What somebody who knows the kind of edge would have written down beforehand, by family."""


def told(study: Study, decision: Decision) -> Row:
    """What is kept of a decision."""
    failed = next((check.name for check in decision.checks if not check.passed), "")
    findings = decision.findings
    in_sample = findings.metrics.get("in_sample", {})
    kept = all(keeps(bound, in_sample.get(bound.metric)) for bound in bounds(DEFAULT_CRITERIA))
    return {
        "status": decision.status,
        "failed": failed,
        "p": findings.p,
        "n_draws": findings.evidence.get("searches", {}).get("n"),
        "n_trials": len(study.points),
        "keeps_criteria": kept,
    }


def one_market(seed: int, i: int) -> Row:
    """A market without an edge, searched and decided on."""
    rng = stream(seed, 0, i)
    kind, family = list(NOISE)[i % len(NOISE)], list(FAMILIES)[int(rng.integers(len(FAMILIES)))]
    n, direction = int(rng.choice(LENGTHS)), str(rng.choice(["long", "both"]))
    bars = NOISE[kind](rng, n)
    row = {"kind": kind, "family": family, "n_bars": len(bars), "direction": direction}
    study = FAMILIES[family].search(bars, direction)
    if study.best_index is None:
        return {**row, "status": "rejected", "failed": "no eligible trial", "p": {}, "n_draws": None}
    return row | told(study, decide_study(study, ApprovalCriteria(), seed=int(rng.integers(2**48))))


def one_edge(seed: int, i: int) -> Row:
    """A market with a planted edge, and the p-value of the one rule on all of its bars."""
    rng = stream(seed, 1, i)
    return _edge(EDGES, i, rng)


def one_weaker(seed: int, i: int) -> Row:
    """The same for an edge of `WEAKER`."""
    return _edge(WEAKER, i, stream(seed, 8, i))


def _edge(edges: dict[str, Edge], i: int, rng: np.random.Generator) -> Row:
    kind = list(edges)[i % len(edges)]
    edge = edges[kind]
    study = FAMILIES[edge.family].search(edge.make(rng, N_BARS), edge.direction)
    alone = single_rule(study, SINGLE[edge.family], seed=int(rng.integers(2**48)))
    row: Row = {"kind": kind, "single": alone}
    if study.best_index is None:
        return {**row, "status": "rejected", "failed": "no eligible trial", "p": {}, "keeps_criteria": False}
    decision = decide_study(study, ApprovalCriteria(), seed=int(rng.integers(2**48)))
    return {**row, **told(study, decision), "point": study.points[study.best_index].tolist()}


def true_sharpes(edge: Edge) -> dict[tuple[float, ...], float]:
    """The timing Sharpe ratio a year of 252 bars of every set of the grid, on long records of the edge."""
    found: list[np.ndarray] = []
    for i in range(N_LONGS):
        bars = edge.make(stream(0, 9, i), N_LONG)
        study = FAMILIES[edge.family].search(bars.slice(0, N_BARS), edge.direction)
        own = evaluate_points(study.strategy, bars, study.points, study.execution, metrics=("timing_sharpe",))
        found.append(own["timing_sharpe"] * np.sqrt(YEAR / bars.bars_per_year))
    return dict(zip(map(tuple, study.points.tolist()), np.nan_to_num(np.mean(found, axis=0)).tolist(), strict=True))


def single_rule(study: Study, params: dict[str, float], seed: int, n_draws: int = 399) -> float:
    """The p-value of one set of parameters on all bars against permuted ones: no search, no hold-out."""
    point = encode_points(study.strategy.parameters, params)

    def statistic(bars: Any) -> float:
        found = evaluate_points(study.strategy, bars, point, study.execution, metrics=("timing_sharpe",))
        return float(found["timing_sharpe"][0])

    real = statistic(study.bars)
    n = len(study.bars)
    drawn = [statistic(permuted(study.bars, draw_order(n, seed, i))) for i in range(n_draws)]
    return float((1 + sum(value >= real - TIE for value in drawn)) / (n_draws + 1))


def upper_bound(found: int, n: int, confidence: float = 0.95) -> float:
    """The exact (Clopper-Pearson) one-sided upper bound of a rate."""
    return 1.0 if found >= n else float(beta.ppf(confidence, found + 1, n - found))


def most_allowed(n: int) -> int:
    """As many approvals of n as prove a rate of at most `RATE`; below `N_PROOF` as many as do not refute it.

    With few markets even an honest pipeline, which approves three in a thousand, would often fail to prove it.
    """
    if n < N_PROOF:
        return int(binom.ppf(0.95, n, RATE))
    return max(k for k in range(n) if upper_bound(k, n) <= RATE)


def show_markets(rows: list[Row]) -> bool:
    """Print the rates; whether the promise is kept."""
    approved = sum(row["status"] == "approved" for row in rows)
    n = len(rows)
    allowed = most_allowed(n)
    print(f"\n{approved} of {n} markets without an edge approved: {approved / n:.2%}", end="")
    print(f", at most {upper_bound(approved, n):.2%} with 95 % confidence; {allowed} would be allowed")
    print(f"paper only: {sum(row['status'] == 'paper_only' for row in rows)}")
    print(f"{'kind':28s}{'markets':>8s}{'approved':>9s}{'paper':>7s}{'bound':>8s}{'p5 <= .05':>10s}")
    for key in ("kind", "family", "direction", "n_bars"):
        for name in sorted({row[key] for row in rows}):
            _line(str(name), [row for row in rows if row[key] == name])
    refused = Counter(row["failed"] or row["status"] for row in rows)
    print("\nwhere they ended: " + ", ".join(f"{name} {count}" for name, count in refused.most_common()))
    draws = [row["n_draws"] for row in rows if row["n_draws"] is not None]
    seconds = [row["seconds"] for row in rows]
    print(f"permuted markets where the test was made: median {np.median(draws):.0f}, mean {np.mean(draws):.0f}", end="")
    print(f"; over all markets {sum(draws) / n:.0f}")
    print(f"seconds of a core a market: median {np.median(seconds):.2f}, mean {np.mean(seconds):.2f}")
    return approved <= allowed


def _line(name: str, rows: list[Row]) -> None:
    approved, paper = (sum(row["status"] == status for row in rows) for status in ("approved", "paper_only"))
    below = sum(row["p"].get("search", 1.0) <= 0.05 for row in rows)
    print(
        f"{name:28s}{len(rows):8d}{approved:9d}{paper:7d}{upper_bound(approved, len(rows)):8.2%}"
        f"{below / len(rows):10.1%}"
    )


def show_edges(rows: list[Row], edges: dict[str, Edge]) -> bool:
    """Print the power; whether every edge is found often enough."""
    print(f"\n{'edge':24s}{'markets':>8s}{'best':>6s}{'chosen':>7s}{'approved':>9s}{'95 % interval':>14s}", end="")
    print(f"{'or paper':>9s}{'criteria':>9s}{'one rule':>9s}   refused at")
    kept = True
    for kind, edge in edges.items():
        of = [row for row in rows if row["kind"] == kind]
        n, true = len(of), true_sharpes(edge)
        chosen = np.mean([true[tuple(row["point"])] for row in of if "point" in row])
        approved = [row for row in of if row["status"] == "approved"]
        low, high = interval(len(approved), n)
        paper = sum(row["status"] == "paper_only" for row in of) + len(approved)
        with_criteria = sum(row["keeps_criteria"] for row in approved)
        alone = sum(row["single"] <= 0.005 for row in of)
        refused = Counter(row["failed"] or row["status"] for row in of if row["status"] != "approved")
        print(
            f"{kind:24s}{n:8d}{max(true.values()):6.2f}{chosen:7.2f}{len(approved) / n:9.0%}"
            f"{f'{low:.0%} to {high:.0%}':>14s}{paper / n:9.0%}{with_criteria / n:9.0%}{alone / n:9.0%}   "
            + ", ".join(f"{name} {count}" for name, count in refused.most_common())
        )
        kept &= len(approved) >= LEAST_POWER * n
    print("best, chosen: true Sharpe ratio of the grid's best set, and mean of those that the searches chose")
    print("criteria: approved and keeping the default criteria too; one rule: one set alone, on all bars, p <= .005")
    return kept


def interval(found: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """The exact (Clopper-Pearson) two-sided interval of a rate."""
    rest = (1.0 - confidence) / 2.0
    return 1.0 - upper_bound(n - found, n, 1.0 - rest), upper_bound(found, n, 1.0 - rest)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("markets", "edges", "curve", "guards", "looks"):
        parser.add_argument(f"--{name}", type=int, default=0, metavar="N")
    parser.add_argument("--state", type=Path)
    parser.add_argument("--seed", type=int)
    given = parser.parse_args()
    if not (given.markets or given.edges or given.curve or given.guards or given.looks):
        given.markets = 300
    kept = True
    if given.markets:
        kept &= show_markets(run("markets", one_market, given.markets, given.state, given.seed))
    if given.edges:
        kept &= show_edges(run("edges", one_edge, given.edges * len(EDGES), given.state, given.seed), EDGES)
    if given.curve:
        show_edges(run("curve", one_weaker, given.curve * len(WEAKER), given.state, given.seed), WEAKER)
    if given.guards:
        bare_guards.show(run("guards", bare_guards.one, given.guards, given.state, given.seed))
    if given.looks:
        kept &= looks.measure(given.looks, given.state, given.seed)
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
