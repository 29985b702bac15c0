"""Attacks on the decision: how often each way of asking has something approved on markets without an edge.

PYTHONPATH=tests python -m benchmarks.attacks [--markets N] [--seed N] [--state FOLDER] [--rows core] [--before K]

    --rows     core (the default) and slow: ways that need only the daemon; outside: ways that need knowledge no daemon
               can have; all; or a part of a row's name
    --before   the first edition of the decision, which re-runs the last search alone, decides on every K-th market
               beside the second (default 25; 1: on all, 0: on none)

For each way: how often p of the search was at most .05 and how often it was approved, by the first edition and by the
second. The statistics decide alone, without criteria of a user. Markets, strategies and directions are drawn as
`benchmarks.made_markets` has them, 1,400 bars in sample and 600 held out. The exit code is 1 where a way that needs
only the daemon has more approved than 1 % allows (`false_approvals.most_allowed`). --state names a folder from which a
measurement that was stopped goes on.
"""

from __future__ import annotations

import argparse
import functools
import re
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.attack_market import Asked, Attacker, Nothing
from benchmarks.attack_rows import ROWS
from benchmarks.false_approvals import most_allowed, upper_bound
from benchmarks.marathon import Row, run
from tunesmith.compute.decision.checks.counted_searches import COUNTED, SEARCHES
from tunesmith.compute.decision.checks.search_permutations import PERMUTATIONS
from tunesmith.compute.decision.decision_plan import decide_search, follow
from tunesmith.compute.decision.inputs import Decision, Ledger, WorkRequest
from tunesmith.compute.decision.nulls.counted_search import REAL, CountedSearch
from tunesmith.compute.decision.nulls.draw_table import DrawRequest, draw
from tunesmith.compute.decision.nulls.null_vectors import Null, is_known, with_answer
from tunesmith.compute.decision.statistics.permuted_markets import TIE
from tunesmith.compute.decision.statistics.record_clock import N_DRAWS
from tunesmith.compute.decision.winner import statistic_of
from tunesmith.domain.approval import ApprovalCriteria
from tunesmith.domain.array_types import Floats
from tunesmith.domain.thresholds import Thresholds
from tunesmith.notebook.judging import LocalWorker, inputs_of_study, worker_of_study

LIMITS = Thresholds()
_AT_ONCE = 33
Decide = Callable[[Asked, int], tuple[float, Decision | None]]
Ground = tuple[int, int]
"""Where nulls hold: first bar and boundary of what was asked."""


class Judge:
    """Decides on what is asked about one market; what is known of its searches on shuffled markets is kept."""

    def __init__(self, seed: int, limits: Thresholds = LIMITS) -> None:
        self.seed, self.limits = seed, limits
        self._known: dict[Ground, dict[str, Null]] = {}

    def second(self, each: Asked, look: int) -> tuple[float, Decision | None]:
        """p of the search, and the decision of edition 2; None where p is above its limit already.

        It is over with the draw at which the first search of the book alone reached the statistic often enough: the
        others can only make p larger. Beyond the limit p is a lower bound, therefore.
        """
        worker = self._worker(each)
        p = self._early(each, worker)
        if p is None:
            found = worker.answer(WorkRequest(COUNTED.name))
            p = worker.answer(WorkRequest(SEARCHES.name, self.limits.n_permutations, self.limits.stop_at, found["t"]))[
                "p"
            ]
        decided = None
        if p <= self.limits.search:
            inputs = inputs_of_study(each.made.study, ApprovalCriteria(), self.limits, Ledger(look))
            decided = follow(decide_search(inputs), worker.answer)
            p = decided.findings.p.get("search", p)
        self._known.setdefault(_ground(each), {}).update(worker.nulls)
        return float(p), decided

    def first(self, each: Asked, look: int) -> tuple[float, Decision | None]:
        """The same for edition 1, which knows the last search alone; p is 1 where a check before it failed."""
        limits = self.limits.of_look(look)
        if limits is None:
            return 1.0, None
        worker = self._worker(each)
        inputs = inputs_of_study(each.made.study, ApprovalCriteria(), self.limits, Ledger(look), edition=1)
        decided = follow(decide_search(inputs), worker.answer)
        return float(decided.findings.p.get("search", 1.0)), decided

    def alone(self, each: Asked) -> float:
        """p of the last search as edition 1 tests it, whatever its other checks say."""
        worker, limits = self._worker(each), self.limits
        real = statistic_of(worker.in_sample)
        request = WorkRequest(PERMUTATIONS.name, limits.n_permutations, limits.stop_at, real)
        return float(worker.answer(request)["p"])

    def _worker(self, each: Asked) -> LocalWorker:
        worker = worker_of_study(each.made.study, each.asked_book(), self.limits, seed=self.seed)
        worker.nulls = self._known.get(_ground(each), {})
        worker.elsewhere = each.elsewhere
        return worker

    def _early(self, each: Asked, worker: LocalWorker) -> float | None:
        """p where the first search alone settles that it is above the limit; None where it does not."""
        search, asked = each.book[0], each.made.counted
        point = worker.in_sample.point[np.newaxis]
        if search.seen or (search.draws_only_p and not _tried(search, asked, point)):
            return None
        t = float(draw(each.book, worker.ground, _worth(each, point)).series[0][0, 0])
        known, name = dict(worker.nulls), search.search_id
        for start in range(0, N_DRAWS, _AT_ONCE):
            numbers = tuple(range(start, start + _AT_ONCE))
            missing = tuple(number for number in numbers if not is_known(known.get(name), number))
            if missing:
                known = with_answer(known, draw(each.book, worker.ground, DrawRequest(missing, (name,))))
            worker.nulls = known
            hits = np.flatnonzero(known[name].finds.v[: numbers[-1] + 1] >= t - TIE)
            if len(hits) >= self.limits.stop_at:
                return float(self.limits.stop_at / (hits[self.limits.stop_at - 1] + 1))
        return None


def attack(names: Sequence[str], before: int, seed: int, i: int) -> Row:
    """One market: what each of the ways came to."""
    attacker = Attacker(seed, i)
    judge = Judge(int(attacker.rng.integers(2**48)))
    rows = {name: one_row(attacker, judge, name, before > 0 and i % before == 0) for name in names}
    return {"kind": attacker.kind, "family": attacker.family, "rows": rows}


def one_row(attacker: Attacker, judge: Judge, name: str, both: bool) -> dict[str, Any]:
    """What one way came to: the least p, whether it was approved, and where it ended, by edition.

    Nothing was found by the search: p is 1. Looks at the hold-out are counted as each edition counts them.
    """
    try:
        verdicts = ROWS[name].way(attacker)
    except Nothing:
        verdicts = []
    found = {"2": _came_to(judge.second, verdicts, _looks_if_looked)}
    if both:
        found["1"] = _came_to(judge.first, verdicts, lambda decided: 1)
    return found


def _came_to(decide: Decide, verdicts: Sequence[Asked], looks: Callable[[Decision | None], int]) -> dict[str, Any]:
    least, look, ended = 1.0, 1, "nothing to ask"
    for each in verdicts:
        p, decided = decide(each, look)
        least = min(least, p)
        if decided is not None and decided.approved:
            return {"p": least, "approved": True, "ended": ""}
        failed = "searches" if decided is None else next((c.name for c in decided.checks if not c.passed), "paper")
        ended = failed
        look += looks(decided)
    return {"p": least, "approved": False, "ended": ended}


def _looks_if_looked(decided: Decision | None) -> int:
    """1 where the second edition has looked at the hold-out, which is what it counts."""
    return int(decided is not None and any(check.segment == "holdout" for check in decided.checks))


def _ground(each: Asked) -> Ground:
    study = each.made.study
    return int(study.bars.timestamp[0]), study.split.boundary_ms


def _tried(search: CountedSearch, asked: CountedSearch, point: Floats) -> bool:
    """Whether another's search has tried the very point: then all that it finds counts."""
    points = search.points
    return search.family == asked.family and points is not None and bool((points == point).all(axis=1).any())


def _worth(each: Asked, point: Floats) -> DrawRequest:
    return DrawRequest((REAL,), series=((each.made.counted.search_id, point),))


def show(rows: list[Row], names: Sequence[str]) -> bool:
    """Print the table; whether each way that needs only the daemon is held."""
    n, kept = len(rows), True
    print(f"\n{'':62s}{'first edition':>34s}{'second edition':>36s}")
    heads = "".join(f"{'n':>6s}{'p <= .05':>10s}{'approved':>9s}{'at most':>9s}" for _ in range(2))
    print(f"{'way':62s}{heads}   where most ended")
    for name in names:
        of = [row["rows"][name] for row in rows]
        second = [each["2"] for each in of]
        first = [each["1"] for each in of if "1" in each]
        ended = Counter(each["ended"] for each in second if not each["approved"]).most_common(3)
        figures = _figures(first) + _figures(second)
        print(f"{name:62s}{figures}   {', '.join(f'{what} {count}' for what, count in ended)}")
        if ROWS[name].group != "outside":
            kept &= sum(each["approved"] for each in second) <= most_allowed(n)
    print(f"\nat most: the exact bound with 95 % confidence. {most_allowed(n)} of {n} would be allowed in a row.")
    seconds = [row["seconds"] for row in rows]
    print(f"seconds of a core a market: median {np.median(seconds):.1f}, mean {np.mean(seconds):.1f}")
    return kept


def _figures(found: Sequence[Mapping[str, Any]]) -> str:
    n = len(found)
    if not n:
        return f"{'':34s}"
    approved = sum(each["approved"] for each in found)
    below = sum(each["p"] <= LIMITS.search for each in found) / n
    return f"{n:6d}{below:10.1%}{approved:9d}{upper_bound(approved, n):9.2%}"


def chosen(asked_for: str) -> list[str]:
    """The rows of a group, or those whose name has the text in it. Raises `SystemExit` where there is none."""
    names = [name for name, row in ROWS.items() if asked_for in ("all", row.group)]
    names = names or [name for name in ROWS if asked_for in name]
    return names or sys.exit(f"no row is of the group {asked_for!r} or has it in its name")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--markets", type=int, default=60, metavar="N")
    parser.add_argument("--rows", default="core")
    parser.add_argument("--before", type=int, default=25, metavar="K")
    parser.add_argument("--state", type=Path)
    parser.add_argument("--seed", type=int)
    given = parser.parse_args()
    names = chosen(given.rows)
    label = re.sub(r"\W+", "-", f"attacks-{given.rows}")
    rows = run(label, functools.partial(attack, names, given.before), given.markets, given.state, given.seed)
    return 0 if show(rows, names) else 1


if __name__ == "__main__":
    sys.exit(main())
