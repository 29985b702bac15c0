"""What would break a decision that is honest once: asking again, edges that die, markets that rise, adaptive searches.

ten requests   other grids, sides and seeds on one market without an edge: any approved, with the ledger and without
forty looks    the market grows by 15 bars between looks: any approved, the ledger counting on, or anew at each bar
dying edges    drift regimes that end where the hold-out begins
rising walks   no timing to be found, but holding pays: a Sharpe ratio of about 1.5 a year
genetic        p-values of a genetic search against its own null on markets without an edge
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.made_markets import FAMILIES, NOISE, bars_of, draws, regimes, steps_of, walk
from benchmarks.marathon import Row, run, stream
from tunesmith.compute.decision.checks.search_permutations import draw_searches
from tunesmith.compute.decision.inputs import Ledger
from tunesmith.compute.decision.permutation_test import ALL_MARKETS
from tunesmith.compute.decision.statistics.permuted_markets import TIE
from tunesmith.compute.decision.winner import Winner, statistic_of
from tunesmith.compute.search.search import Market
from tunesmith.domain.approval import ApprovalCriteria
from tunesmith.domain.market.bars import Bars
from tunesmith.notebook.judging import decide_study

N_REQUESTS, N_LOOKS, STEP = 10, 40, 15
_LAST = ("tries", "error_budget", "")
"""The checks at which another look may end otherwise: whatever failed before does so at every look."""


def decision(bars: Bars, family: str, direction: str, seed: int, look: int = 1) -> tuple[str, str]:
    """The status, and the check that failed."""
    study = FAMILIES[family].search(bars, direction)
    if study.best_index is None:
        return "rejected", "data"
    made = decide_study(study, ApprovalCriteria(), seed=seed, ledger=Ledger(look))
    return made.status, next((check.name for check in made.checks if not check.passed), "")


def both_ways(bars: Bars, family: str, direction: str, seed: int, look: int) -> tuple[bool, bool]:
    """Whether it is approved as if nobody had looked, and as the ledger counts."""
    status, failed = decision(bars, family, direction, seed)
    if look == 1 or failed not in _LAST:
        return status == "approved", status == "approved"
    return status == "approved", decision(bars, family, direction, seed, look)[0] == "approved"


def ten_requests(seed: int, i: int) -> Row:
    """Ten different requests on one market without an edge."""
    rng = stream(seed, 3, i)
    bars = NOISE[list(NOISE)[i % len(NOISE)]](rng, 1500)
    found = []
    for look in range(1, N_REQUESTS + 1):
        family, direction = list(FAMILIES)[look % 3], ("long", "both", "short")[look // 3 % 3]
        found.append(both_ways(bars, family, direction, int(rng.integers(2**48)), look))
    return {"naive": any(a for a, _ in found), "ledger": any(b for _, b in found)}


def forty_looks(seed: int, i: int) -> Row:
    """The same search every 15 bars on a market without an edge that grows."""
    rng = stream(seed, 4, i)
    steps = steps_of(NOISE[list(NOISE)[i % 9]](rng, 1500 + N_LOOKS * STEP + 1))
    found = []
    for look in range(1, N_LOOKS + 1):
        bars = bars_of(steps[: 1500 + look * STEP])
        found.append(both_ways(bars, list(FAMILIES)[i % 3], "both", int(rng.integers(2**48)), look))
    return {"naive": any(a for a, _ in found), "ledger": any(b for _, b in found)}


def dying_edge(seed: int, i: int) -> Row:
    """Drift regimes in sample, a walk afterwards."""
    rng = stream(seed, 5, i)
    steps = [steps_of(regimes(rng, 1401, drift=0.3)), steps_of(walk(rng, 601))]
    return {"status": decision(bars_of(np.concatenate(steps)), "moving averages", "both", i)[0]}


def rising_walk(seed: int, i: int) -> Row:
    """A walk that rises: whoever is in the market earns."""
    rng = stream(seed, 6, i)
    bars = walk(rng, 2000, 0.01, 1.5 / np.sqrt(365.0))
    return {"status": decision(bars, list(FAMILIES)[i % 3], "long", int(rng.integers(2**48)))[0]}


def genetic(seed: int, i: int, n_draws: int = 59) -> Row:
    """The p-value of step 5 for a genetic search, whatever the steps before say."""
    rng = stream(seed, 7, i)
    bars = NOISE[list(NOISE)[i % len(NOISE)]](rng, 1500)
    family = FAMILIES[list(FAMILIES)[i % 3]]
    study = family.search(bars, "both", method="genetic", max_iterations=120, seed=i)
    if study.best_index is None:
        return {"p": 1.0}
    market = Market(bars.symbol, study.bars.slice(0, study.split.in_stop), study.execution)
    subject = Winner(study.strategy, study.plan, study.points[study.best_index], market)
    real = statistic_of(subject)
    drawn = np.array(draw_searches(subject, draws(int(rng.integers(2**48)), 0, n_draws))[ALL_MARKETS])
    return {"p": float((1 + (drawn >= real - TIE).sum()) / (n_draws + 1))}


def measure(n: int, state: Path | None, seed: int | None) -> bool:
    """Run each on n markets (forty looks: on a tenth of them) and print; whether all is within bounds."""
    ten = run("ten-requests", ten_requests, n, state, seed)
    forty = run("forty-looks", forty_looks, max(1, n // 10), state, seed)
    dying = run("dying-edges", dying_edge, n, state, seed)
    rising = run("rising-walks", rising_walk, n, state, seed)
    p = np.array([row["p"] for row in run("genetic", genetic, n, state, seed)])
    for name, rows in (("ten requests", ten), ("forty looks", forty)):
        naive, counted = (sum(row[key] for row in rows) for key in ("naive", "ledger"))
        print(f"{name:14s}{len(rows)} markets: approved at least once {naive} without a ledger, {counted} with it")
    died, rose = (sum(row["status"] == "approved" for row in rows) for rows in (dying, rising))
    print(f"dying edges   {died} of {n} approved (at most 30 %)")
    print(f"rising walks  {rose} of {n} approved")
    print(f"genetic       p <= .05 on {np.mean(p <= 0.05):.1%}, p <= .5 on {np.mean(p <= 0.5):.0%} of {n} markets")
    spare = 2.0 + 2.5 * np.sqrt(0.01 * n)
    return bool(died <= 0.3 * n + spare and rose <= 0.01 * n + spare and np.mean(p <= 0.05) <= 0.05 + 2.5 / np.sqrt(n))
