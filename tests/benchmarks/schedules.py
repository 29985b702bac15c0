"""A year of daily scheduled verdicts on markets without an edge: how often one of them approves anything.

PYTHONPATH=tests python -m benchmarks.schedules [--years N] [--engine N] [--seed N] [--state FOLDER]

    --years    N years of each schedule, in which a rule's result of a day is a normal number (default 2,000); clock,
               levels, tests and looks are those of the decision
    --engine   N years with the engine on hourly bars, made up (default 0)

    same       the same twenty rules on all bars, day after day
    new        twenty other rules every day
    rolling    the same twenty rules on bars that begin a day later every day: on other bars they count again

Two years of hourly bars are there at first, of which 30 % are held out. Every day a verdict is asked for. It looks at
the hold-out where the search's p-value allows it; 300 hours after a look the hold-out begins anew where that look
ended. The exit code is 1 where more than 1 % of the years have an approval (`false_approvals.most_allowed`).
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import norm

from benchmarks.attack_market import Asked, Attacker, Made, Nothing
from benchmarks.attacks import LIMITS, Judge
from benchmarks.false_approvals import most_allowed, upper_bound
from benchmarks.made_markets import Rng, bars_of, steps_of, walk
from benchmarks.marathon import Row, run, stream
from tunesmith.compute.decision.statistics.levels import draws_of, least_level, level_of, passes
from tunesmith.compute.decision.statistics.permuted_markets import Sequential
from tunesmith.compute.decision.statistics.record_clock import N_DRAWS, TRY, Clock, count_search, new_clock
from tunesmith.domain.array_types import Floats

KINDS = ("same", "new", "rolling")
DAYS, HISTORY, N_RULES = 365, 730, 20
N_PERIODS = HISTORY + DAYS
RENEWAL = 13
"""Days after a look at which 300 newer hours are there."""
_FIRST_BOUNDARY = 511


@dataclass
class Market:
    """What is known of a market on a day: where the hold-out begins, when it was looked at, how many tries there were.

    `best` float64[n] is the largest of all searches on the draws that were made, as a chance: of a standard normal
    number to be smaller.
    """

    rng: Rng
    boundary: int = _FIRST_BOUNDARY
    looks: list[int] = field(default_factory=list)
    clock: Clock = field(default_factory=new_clock)
    n_rules: int = 0
    best: Floats = field(default_factory=lambda: np.empty(0))

    def renew(self, day: int) -> None:
        """Begin the hold-out anew where enough days are later than the last look; old searches get other draws."""
        if self.looks and day - self.looks[-1] >= RENEWAL:
            self.boundary, self.looks = self.looks[-1], []
            self.best = self._drawn(N_DRAWS, self.n_rules) if self.n_rules else np.empty(0)

    def count(self, n_rules: int) -> None:
        """Count a search of so many rules that nobody tried before; 0: all of them were tried before."""
        found = self._drawn(max(N_DRAWS, len(self.best)), n_rules) if n_rules else self.best
        before = self.best if len(self.best) else np.zeros(len(found))
        self.clock = count_search(
            self.clock._replace(best=before[:N_DRAWS]), found, self.boundary, adds_nothing=not n_rules
        )
        self.best = np.maximum(before, found)
        self.n_rules += n_rules

    def p_search(self, u: float, n_draws: int) -> float:
        """p of a statistic that a rule without an edge stays below with probability `u`."""
        test = Sequential(u, n_draws, LIMITS.stop_at)
        test.add(0, self.best[:n_draws].tolist())
        if not test.tally.over and len(self.best) < n_draws:
            more = self._drawn(n_draws - len(self.best), self.n_rules)
            test.add(len(self.best), more.tolist())
            self.best = np.concatenate([self.best, more])
        return test.tally.p

    def _drawn(self, n: int, n_rules: int) -> Floats:
        return self.rng.random(n) ** (1.0 / n_rules)


def year(seed: int, i: int) -> Row:
    """One year of each schedule: the day of the first approval, None without, looks, and tries at its end."""
    return {kind: _year(kind, stream(seed, 30 + number, i)) for number, kind in enumerate(KINDS)}


def _year(kind: str, rng: Rng) -> dict[str, Any]:
    market, n_looks, approved = Market(rng), 0, None
    days = np.concatenate([np.zeros((N_RULES, 1)), rng.standard_normal((N_RULES, N_PERIODS)).cumsum(axis=1)], axis=1)
    for day in range(HISTORY, N_PERIODS):
        market.renew(day)
        market.count(N_RULES if kind != "same" or not market.n_rules else 0)
        start = day - HISTORY if kind == "rolling" else 0
        if kind == "new":
            t, held_out = float(rng.standard_normal(N_RULES).max()), float(rng.standard_normal())
        else:
            sums = (days[:, market.boundary] - days[:, start]) / np.sqrt(market.boundary - start)
            best = int(sums.argmax())
            t = float(sums[best])
            held_out = float((days[best, day] - days[best, market.boundary]) / np.sqrt(day - market.boundary))
        passed, looked = _verdict(market, t, held_out)
        if looked:
            market.looks.append(day)
            n_looks += 1
        if passed:
            approved = day - HISTORY
            break
    return {"approved": approved, "looks": n_looks, "tries": market.clock.ticks / TRY}


def _verdict(market: Market, t: float, held_out: float) -> tuple[bool, bool]:
    """Whether it is approved, and whether it looked at the hold-out."""
    level = level_of(market.clock.ticks, len(market.looks) + 1, LIMITS.combined)
    n_draws = draws_of(level, LIMITS.n_permutations, LIMITS.max_permutations)
    if level < least_level(n_draws):
        return False, False
    p = market.p_search(float(norm.cdf(t)), n_draws)
    if p > LIMITS.search:
        return False, False
    test = Sequential(held_out, n_draws, LIMITS.stop_at)
    test.add(0, market.rng.standard_normal(n_draws).tolist())
    p_holdout = test.tally.p
    return held_out > 0.0 and p_holdout <= LIMITS.holdout and passes(p, p_holdout, level), True


def engine_year(seed: int, i: int) -> Row:
    """A year of the schedule "same" with the engine; verdicts without a look are made once for each boundary."""
    rng = stream(seed, 40, i)
    attacker, judge = Attacker(seed, i, "walk, middling volatility"), Judge(int(rng.integers(2**48)))
    bars = bars_of(steps_of(walk(rng, N_PERIODS * 24 + 1, 0.006)), "1h")
    boundary, looks, refused, made, approved = _FIRST_BOUNDARY, [], -1, [], None
    for day in range(HISTORY, N_PERIODS):
        if looks and day - looks[-1] >= RENEWAL:
            boundary, looks = looks[-1], []
        if refused == boundary:
            continue
        known = bars.slice(0, day * 24)
        try:
            search = _scheduled(attacker, f"day {day}", known, made, boundary / day)
        except Nothing:
            refused = boundary
            continue
        asked = Asked(search, (*(each.counted for each in made), search.counted))
        _, decided = judge.second(asked, len(looks) + 1)
        made = made if made and made[-1].study.split.boundary_ms == search.study.split.boundary_ms else [*made, search]
        if decided is None or not any(check.segment == "holdout" for check in decided.checks):
            refused = boundary
            continue
        looks.append(day)
        if decided.approved:
            approved = day - HISTORY
            break
    return {"same": {"approved": approved, "looks": len(looks), "tries": float(len(made))}}


def _scheduled(attacker: Attacker, name: str, bars: Any, made: list[Made], share: float) -> Made:
    ranges = attacker.box.ranges()
    return attacker.search(
        name, ranges, made, bars=bars, method="random", max_iterations=100, holdout_share=1.0 - share
    )


def show(rows: list[Row]) -> bool:
    """Print each schedule; whether all are held."""
    kept, n = True, len(rows)
    for kind in rows[0].keys() & set(KINDS):
        of = [row[kind] for row in rows]
        approved = [each for each in of if each["approved"] is not None]
        kept &= len(approved) <= most_allowed(n)
        print(
            f"{kind:10s}{len(approved)} of {n} years with an approval, at most {upper_bound(len(approved), n):.2%}",
            end="",
        )
        print(f"; looks a year {np.mean([each['looks'] for each in of]):.2f}", end="")
        print(f", tries at its end {np.mean([each['tries'] for each in of]):.1f}")
    print(f"{most_allowed(n)} would be allowed")
    return kept


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--years", type=int, default=2000, metavar="N")
    parser.add_argument("--engine", type=int, default=0, metavar="N")
    parser.add_argument("--state", type=Path)
    parser.add_argument("--seed", type=int)
    given = parser.parse_args()
    kept = show(run("schedules", year, given.years, given.state, given.seed)) if given.years else True
    if given.engine:
        kept &= show(run("schedules-engine", engine_year, given.engine, given.state, given.seed))
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
