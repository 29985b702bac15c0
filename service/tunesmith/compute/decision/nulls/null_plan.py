"""The nulls of all searches that count on a market, and the p-value of a winner among them, as plans of work.

Plans are generators that yield lists of requests and are sent the answers in the same order, so that tasks can run the
requests on workers in parallel, while what comes of it depends on the searches alone: neither on the number of workers,
nor on how draws are cut into requests, nor on what was known before.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tunesmith.compute.decision.nulls.counted_search import REAL, CountedSearch, Ground
from tunesmith.compute.decision.nulls.draw_table import DrawRequest, draw
from tunesmith.compute.decision.nulls.lineage import Lineage
from tunesmith.compute.decision.nulls.link_plan import link_foreign, link_searches
from tunesmith.compute.decision.nulls.null_vectors import (
    USUAL_CUT,
    Cut,
    Null,
    Nulls,
    T,
    Work,
    best_trials,
    finds_on,
    is_known,
    links_of,
    nothing_known,
    with_answer,
)
from tunesmith.compute.decision.statistics.permuted_markets import TIE, Sequential
from tunesmith.compute.decision.statistics.record_clock import N_DRAWS, count_search, new_clock
from tunesmith.domain.array_types import Floats

_MOST_POINTS = 250_000
"""Points that one request evaluates, about: some seconds on bars of a year of hours."""


@dataclass(frozen=True, eq=False)
class Counted:
    """The searches of a book, counted: their nulls on the real bars and the draws 0 to 98, and the record clock.

    `ticks` are those of the clock after all own searches, `added` those that each of them added.
    """

    nulls: Nulls
    ticks: int
    added: dict[str, int]
    cut: Cut = USUAL_CUT


@dataclass(frozen=True, eq=False)
class SearchTest:
    """The p-value of a winner among all searches: on `n_reached` of `n` draws one of them found something as good.

    `foreign` are the searches of other users that had a say. `nulls` are what is known now, to be kept for the next.
    """

    p: float
    n: int
    n_reached: int
    foreign: tuple[str, ...]
    nulls: Nulls


def count_searches(book: Sequence[CountedSearch], known: Nulls, cut: Cut = USUAL_CUT) -> Work[Counted]:
    """Make what is not `known` of every own search's null, on the real bars and the draws 0 to 98, and count them.

    `book` holds all searches in the order in which they began to count.
    """
    lineage = Lineage(book)
    own = lineage.own
    nulls: Nulls = {
        name: known.get(name) or nothing_known(len(search.rule.parameters)) for name, search in lineage.searches.items()
    }
    requests = [DrawRequest((REAL,), names) for names in _by_family(lineage, nulls, own)]
    nulls = yield from _made(nulls, requests)
    nulls = yield from link_searches(lineage, nulls, cut)
    missing = [number for number in range(N_DRAWS) if not all(is_known(nulls[name], number) for name in own)]
    for block in cut.blocks(missing):
        nulls = yield from _made(nulls, [_request(nulls, draws, own) for draws in cut.parts(block)])
    clock, added = new_clock(), {}
    for name in own:
        before = clock.ticks
        adds_nothing = lineage.adds_nothing(name)
        clock = count_search(clock, nulls[name].finds.v, lineage[name].era_ms, adds_nothing=adds_nothing)
        added[name] = clock.ticks - before
    return Counted(nulls, clock.ticks, added, cut)


def cut_for(searches: Sequence[CountedSearch]) -> Cut:
    """The usual cut, or one of fewer draws a request where these take so many points that they would take minutes."""
    price = sum(search.price for search in searches)
    return USUAL_CUT._replace(draws=max(1, min(USUAL_CUT.draws, int(_MOST_POINTS / max(price, 1.0)))))


def search_p_value(
    book: Sequence[CountedSearch], counted: Counted, point: Floats, asked_id: str, t: float, n_draws: int, stop_at: int
) -> Work[SearchTest]:
    """The p-value of `t`, the statistic of the `point` that is to be approved, among what all searches find.

    It is sequential (Besag & Clifford 1991): over with the `stop_at`-th of at most `n_draws` draws on which a search
    reaches t. Searches of other users take part as far as the point of search `asked_id` depends on what they found.
    """
    lineage, cut = Lineage(book), counted.cut
    nulls = counted.nulls
    foreign = yield from link_foreign(lineage, asked_id, point, cut)
    test = Sequential(t, n_draws, stop_at)
    at = 0
    while not test.tally.over:
        block = range(at, min(n_draws, at + cut.draws * cut.requests))
        hits = {number: _reached(lineage, nulls, number, t) for number in block}
        open_draws = [number for number in block if hits[number] is None or (foreign and not hits[number])]
        requests = [
            replace(_request(nulls, draws, (*lineage.own, *foreign)), reaches=t, foreign=foreign)
            for draws in cut.parts(open_draws)
        ]
        if requests:
            answers = yield requests
            for answer in answers:
                nulls = with_answer(nulls, answer)
                for number, value in zip(answer.draws, answer.foreign, strict=True):
                    hits[number] = bool(_reached(lineage, nulls, number, t)) or bool(value >= t - TIE)
        test.add(at, [math.inf if hits[number] else -math.inf for number in block])
        at = block.stop
    tally = test.tally
    return SearchTest(tally.p, tally.n, tally.n_reached, tuple(foreign), nulls)


def run_inline(plan: Work[T], book: Sequence[CountedSearch], ground: Ground) -> T:
    """Follow a plan to its end in this thread."""
    lineage = Lineage(book)
    try:
        requests = next(plan)
        while True:
            requests = plan.send([draw(lineage, ground, request) for request in requests])
    except StopIteration as stop:
        found: T = stop.value
        return found


def _reached(lineage: Lineage, nulls: Nulls, number: int, t: float) -> bool | None:
    """Whether an own search is known to reach `t` on a draw; None where none is, and not all are known."""
    own = [nulls[name] for name in lineage.own]
    known = [null.finds.v[number] for null in own if is_known(null, number)]
    if any(v >= t - TIE for v in known):
        return True
    return False if len(known) == len(own) else None


def _made(nulls: Nulls, requests: list[DrawRequest]) -> Work[dict[str, Null]]:
    """`nulls` with the answers to `requests`; nobody is asked where there are none."""
    found = dict(nulls)
    if requests:
        answers = yield requests
        for answer in answers:
            found = with_answer(found, answer)
    return found


def _by_family(lineage: Lineage, nulls: Nulls, own: Sequence[str]) -> list[tuple[str, ...]]:
    """The searches whose best trial on the real bars is not known, by family."""
    families: dict[object, list[str]] = {}
    for name in own:
        if not is_known(nulls[name], REAL):
            families.setdefault(lineage[name].family, []).append(name)
    return [tuple(names) for names in families.values()]


def _request(nulls: Nulls, draws: tuple[int, ...], searches: tuple[str, ...]) -> DrawRequest:
    return DrawRequest(draws, searches, finds_on(nulls, draws), best_trials(nulls), links_of(nulls))
