"""What an honest user finds who asks 1, 3, 5 and 10 times, by the first edition's rule and by today's, at equal error.

PYTHONPATH=tests python -m benchmarks.asks [--lives N] [--seed N] [--state FOLDER]

A user makes ten searches one after the other and asks for a verdict on the winner of each until one is approved. A
rule's result is a normal number, as in the decision's design; clock, levels, tests and looks are those of the decision.

    variants    ten searches whose rules correlate at .9, each of which has the edge
    strategies  ten searches of other rules, each of which has an edge of its own
    one of ten  ten searches of other rules, one of which has an edge

    second      today: p over all searches so far, the record clock, one level for the market's life
    first       p of the last search alone, its level divided by k² for the k-th verdict
    at equal error   the first edition's rule with the level of its first verdict lowered until ten searches without an
                edge, of which only those that look good (p <= .05) are asked about, come to the second edition's share

Each cell is the share of lives with an approval after so many asks. The level of the rule at equal error is found in
the same run, and its error is printed.
"""

from __future__ import annotations

import argparse
import functools
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.attacks import LIMITS
from benchmarks.false_approvals import upper_bound
from benchmarks.made_markets import Rng
from benchmarks.marathon import Row, run, stream
from tunesmith.compute.decision.statistics.levels import draws_of, least_level, level_of, passes
from tunesmith.compute.decision.statistics.permuted_markets import Sequential
from tunesmith.compute.decision.statistics.record_clock import N_DRAWS, count_search, new_clock
from tunesmith.domain.array_types import Floats

N_SEARCHES = 10
ASKS = (1, 3, 5, 10)
KINDS = ("variants", "strategies", "one of ten")
RHO = 0.9
"""Correlation of a rule with the same rule of another variant."""
_SHARE = 0.7
_LOWER = 2.0 ** np.arange(9)
"""By how much the first edition's level is lowered."""


class Cell(NamedTuple):
    """Years of bars, the edge's Sharpe ratio a year, and how many rules a search tries; 0 years: no edge."""

    years: float
    sharpe: float
    n_rules: int


CELLS = [Cell(2, 3, 20), Cell(5, 1.5, 5), Cell(5, 1.5, 20), Cell(5, 2, 20), Cell(5, 2, 100)]
NOTHING = Cell(0, 0, 20)


class Life(NamedTuple):
    """Ten searches: each one's best rule in sample and that rule's result held out, float64[10], and what each finds on
    shuffled markets, float64[10, draws]."""

    t: Floats
    held_out: Floats
    null: Floats


def draw_life(rng: Rng, cell: Cell, kind: str) -> Life:
    """A life of the kind with the cell's edge."""
    edge = np.zeros((N_SEARCHES, cell.n_rules))
    edge[slice(None) if kind != "one of ten" else int(rng.integers(N_SEARCHES)), 0] = cell.sharpe
    rho = RHO if kind == "variants" else 0.0
    in_sample = _results(rng, 1, cell.n_rules, rho)[:, 0] + edge * np.sqrt(_SHARE * cell.years)
    later = _results(rng, 1, cell.n_rules, rho)[:, 0] + edge * np.sqrt((1.0 - _SHARE) * cell.years)
    best = in_sample.argmax(axis=1)
    rows = np.arange(N_SEARCHES)
    return Life(
        in_sample[rows, best], later[rows, best], _results(rng, LIMITS.max_permutations, cell.n_rules, rho).max(2)
    )


def _results(rng: Rng, n: int, n_rules: int, rho: float) -> Floats:
    """Results without an edge, float64[searches, n, rules]: rule by rule correlated at `rho` over the searches."""
    own = rng.standard_normal((N_SEARCHES, n, n_rules), np.float32)
    if rho:
        own *= np.float32(np.sqrt(1.0 - rho))
        own += np.float32(np.sqrt(rho)) * rng.standard_normal((n, n_rules), np.float32)
    return own.astype(np.float64) if n == 1 else own


def second(rng: Rng, life: Life) -> int:
    """At which ask (from 1) today's decision approves; 0: at none. It makes no difference to it who asks about
    what looks good alone: a verdict that fails in sample costs nothing."""
    clock, looks = new_clock(), 0
    for k in range(N_SEARCHES):
        clock = count_search(clock, life.null[k, :N_DRAWS], 1)
        level = level_of(clock.ticks, looks + 1, LIMITS.combined)
        n_draws = draws_of(level, LIMITS.n_permutations, LIMITS.max_permutations)
        if level < least_level(n_draws):
            continue
        p = _p(life.t[k], life.null[: k + 1, :n_draws].max(axis=0))
        if p > LIMITS.search:
            continue
        looks += 1
        if _holds(rng, life.held_out[k], p, level, n_draws):
            return k + 1
    return 0


def first(rng: Rng, life: Life, screens: bool, combined: float) -> int:
    """The same for the first edition's rule with that level for the first verdict.

    Who `screens` asks about what looks good alone.
    """
    asks = 0
    for k in range(N_SEARCHES):
        n_draws = LIMITS.max_permutations
        p = _p(life.t[k], life.null[k, :n_draws])
        if screens and p > LIMITS.search:
            continue
        asks += 1
        if p <= LIMITS.search and _holds(rng, life.held_out[k], p, combined / asks**2, n_draws):
            return k + 1
    return 0


def _p(real: float, drawn: Floats) -> float:
    test = Sequential(real, len(drawn), LIMITS.stop_at)
    test.add(0, drawn.tolist())
    return float(test.tally.p)


def _holds(rng: Rng, held_out: float, p: float, level: float, n_draws: int) -> bool:
    p_holdout = _p(held_out, rng.standard_normal(n_draws))
    return held_out > 0.0 and p_holdout <= LIMITS.holdout and passes(p, p_holdout, level)


def one_life(cell: Cell, kind: str, screens: bool, seed: int, i: int) -> Row:
    """At which ask each rule approves; `first` by how much its level was lowered."""
    rng = stream(seed, 60, KINDS.index(kind), *(int(10 * part) for part in cell), i)
    life = draw_life(rng, cell, kind)
    lowered = [first(stream(seed, 61, i), life, screens, LIMITS.combined / by) for by in _LOWER]
    return {"second": second(stream(seed, 61, i), life), "first": lowered}


def measured(cell: Cell, kind: str, screens: bool, given: argparse.Namespace, n: int) -> list[dict[str, Any]]:
    """The lives of a cell."""
    name = f"asks {kind} {'screens ' if screens else ''}" + " ".join(f"{part:g}" for part in cell)
    return run(name.replace(" ", "-"), functools.partial(one_life, cell, kind, screens), n, given.state, given.seed)


def shares(asks: list[int]) -> str:
    """The shares of lives with an approval after so many asks."""
    found = np.array(asks)
    return "/".join(f"{np.mean((found > 0) & (found <= k)):4.0%}" for k in ASKS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lives", type=int, default=1000, metavar="N")
    parser.add_argument("--state", type=Path)
    parser.add_argument("--seed", type=int)
    given = parser.parse_args()
    noise = measured(NOTHING, "strategies", True, given, 10 * given.lives)
    n = len(noise)
    false = sum(row["second"] > 0 for row in noise)
    false_first = [sum(row["first"][i] > 0 for row in noise) for i in range(len(_LOWER))]
    equal = int(np.argmin(np.abs(np.array(false_first) - false)))
    print(f"\nno edge, asked about what looks good: approved in {n} lives of ten searches")
    print(f"  second edition {false} ({false / n:.2%}, at most {upper_bound(false, n):.2%})", end="")
    print(f"; first edition {false_first[0]} ({false_first[0] / n:.2%})", end="")
    print(f"; first at equal error {false_first[equal]} ({false_first[equal] / n:.2%}), its level / {_LOWER[equal]:g}")
    print(f"\n{'% approved after 1/3/5/10 asks':44s}{'first edition':>22s}{'first, equal error':>22s}{'second':>22s}")
    for cell in CELLS:
        for kind in KINDS:
            rows = measured(cell, kind, False, given, given.lives)
            name = f"{kind}, {cell.years:g} years, Sharpe {cell.sharpe:g}, {cell.n_rules} rules"
            figures = [[row["first"][0] for row in rows], [row["first"][equal] for row in rows]]
            figures.append([row["second"] for row in rows])
            print(f"{name:44s}" + "".join(f"{shares(each):>22s}" for each in figures))


if __name__ == "__main__":
    main()
