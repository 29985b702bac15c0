"""Searches over several symbols at once: what the decision lets through where there is no edge, and where one has one.

PYTHONPATH=tests python -m benchmarks.baskets [--noise N] [--carried N] [--edges N] [--seed N]

    --noise    N baskets of three markets without an edge that move together (correlation .7)
    --carried  N baskets of one market with an edge and two without: how often a package is made for one of those
    --edges    N baskets of three markets with an edge each

A grid of moving averages on 1,400 bars in sample and 600 held out, the mean of the three as its target. The statistics
decide, without criteria of a user. The seed is drawn and printed. The exit code is 1 where more than 1 % (at 95 %
confidence) of what has no edge is approved.
"""

from __future__ import annotations

import argparse
import secrets
import sys
from collections import Counter
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import binom

from benchmarks.made_markets import FAMILIES, moved, regimes
from tunesmith.compute.decision.decision_plan import decide_search, follow
from tunesmith.compute.decision.inputs import DecisionInputs, WorkRequest
from tunesmith.compute.decision.winner import Winner
from tunesmith.compute.search.search import Market, Search, run_whole
from tunesmith.compute.simulation.execution import Execution
from tunesmith.domain.approval import ApprovalCriteria
from tunesmith.domain.criteria import Bound
from tunesmith.domain.market.bars import Bars
from tunesmith.domain.search.search_plan import SearchPlan
from tunesmith.domain.thresholds import Thresholds
from tunesmith.domain.trading import Costs
from tunesmith.notebook.judging import LocalWorker

SYMBOLS = ("A", "B", "C")
N_BARS, N_IN_SAMPLE = 2000, 1400
RATE = 0.01
SIGMA = 0.02
COMMON = 0.7
RULE = FAMILIES["moving averages"].rule
EXECUTION = Execution(Costs(fee_rate=0.001), direction="both")
PLAN = SearchPlan(
    target="sharpe",
    method="grid",
    n_trials=0,
    ranges={"fast": {"min": 5, "max": 50, "step": 5}, "slow": {"min": 60, "max": 200, "step": 20}},
    bounds=[Bound("n_trades >= 10", "n_trades", 10.0, True)],
)
LEFT_OUT: dict[str, Any] = {"replay": [], "report": {}}


class Told(NamedTuple):
    """What came of a basket: the status, the check that failed, and the symbols that get a package."""

    status: str
    failed: str
    kept: tuple[str, ...]


def together(rng: np.random.Generator) -> list[Bars]:
    """Three random walks with a common factor."""
    common = rng.standard_normal(N_BARS)
    own = rng.standard_normal((3, N_BARS))
    return [moved(rng, SIGMA * (np.sqrt(COMMON) * common + np.sqrt(1.0 - COMMON) * each), SIGMA) for each in own]


def carried(rng: np.random.Generator) -> list[Bars]:
    """The first has an edge, the two others have none."""
    return [regimes(rng, N_BARS, drift=0.3), *together(rng)[1:]]


def edges(rng: np.random.Generator) -> list[Bars]:
    return [regimes(rng, N_BARS, drift=0.22) for _ in SYMBOLS]


def decide(bars: list[Bars], seed: int) -> Told:
    """The decision on a search over the basket, here and now."""
    named = [replace(each, symbol=symbol) for each, symbol in zip(bars, SYMBOLS, strict=True)]
    markets = [Market(each.symbol, each.slice(0, N_IN_SAMPLE), EXECUTION) for each in named]
    outcome = run_whole(Search(RULE, PLAN), markets)
    if outcome.best is None:
        return Told("rejected", "no eligible trial", ())
    point = outcome.found.points[outcome.best]
    winner = Winner(RULE, PLAN, point, markets[0], others=tuple(markets[1:]))
    held = winner.on([Market(each.symbol, each, EXECUTION, N_IN_SAMPLE) for each in named])
    limits = Thresholds()
    inputs = DecisionInputs(
        ApprovalCriteria(), limits, N_IN_SAMPLE, N_BARS - N_IN_SAMPLE, N_BARS / 365, symbols=SYMBOLS
    )
    worker = LocalWorker(in_sample=winner, whole=held, splits=[], thresholds=limits, seed=seed)

    def answer(request: WorkRequest) -> Any:
        """The work of the checks; the replay and what is reported beside a decision decide nothing here."""
        return LEFT_OUT[request.work] if request.work in LEFT_OUT else worker.answer(request)

    decision = follow(decide_search(inputs), answer)
    failed = next((check.name for check in decision.checks if not check.passed), "")
    kept = tuple(decision.findings.evidence.get("kept", ())) if decision.approved else ()
    return Told(decision.status, failed, kept)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("noise", "carried", "edges"):
        parser.add_argument(f"--{name}", type=int, default=0, metavar="N")
    parser.add_argument("--seed", type=int)
    given = parser.parse_args()
    seed = secrets.randbelow(10**9) if given.seed is None else given.seed
    print(f"seed {seed}", flush=True)
    kept = True
    for k, (name, make) in enumerate((("noise", together), ("carried", carried), ("edges", edges))):
        n = getattr(given, name)
        if not n:
            continue
        told = []
        for i in range(n):
            told.append(decide(make(np.random.default_rng([seed, k, i])), seed=i))
            if (i + 1) % 10 == 0:
                print(f"  {name} {i + 1}: {Counter(each.status for each in told)}", flush=True)
        approved = sum(each.status == "approved" for each in told)
        packages = Counter(symbol for each in told for symbol in each.kept)
        refused = Counter(each.failed for each in told if each.failed)
        print(f"{name}: {approved} of {n} approved; packages {dict(packages)}; refused at {dict(refused)}", flush=True)
        false = approved if name == "noise" else packages["B"] + packages["C"]
        tries = n if name == "noise" else 2 * n
        if name != "edges":
            kept &= bool(binom.sf(false - 1, tries, RATE) > 0.05) if false else True
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
