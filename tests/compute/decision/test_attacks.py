"""Attacks on the decision in small, with fixed seeds; `benchmarks.attacks` makes all of them on fresh markets."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.attack_market import Asked, Attacker, asked
from benchmarks.attack_rows import ROWS
from benchmarks.attacks import Judge, chosen
from benchmarks.schedules import year
from tunesmith.compute.decision.checks.counted_searches import COUNTED, SEARCHES
from tunesmith.compute.decision.inputs import WorkRequest
from tunesmith.compute.decision.nulls.lineage import Lineage
from tunesmith.compute.decision.nulls.link_plan import link_foreign
from tunesmith.compute.decision.nulls.null_plan import run_inline
from tunesmith.compute.decision.nulls.null_vectors import USUAL_CUT
from tunesmith.compute.decision.statistics.permuted_markets import draw_order, permuted
from tunesmith.compute.search.search import Market
from tunesmith.domain.thresholds import Thresholds
from tunesmith.notebook.judging import worker_of_study

LIMITS = Thresholds(n_permutations=99)
MARKETS = (0, 1, 2)


def p_values(way: str, markets: tuple[int, ...] = MARKETS) -> tuple[list[float], list[float]]:
    """p of the last search alone, as the first edition tests it, and of all searches, as the second does."""
    alone, together = [], []
    for i in markets:
        attacker, judge = Attacker(5, i), Judge(i, LIMITS)
        for each in ROWS[way].way(attacker):
            alone.append(judge.alone(each))
            together.append(judge.second(each, 1)[0])
    return alone, together


@pytest.mark.parametrize(
    "way",
    [
        "wide, then its winner and one point beside it",
        "a whole grid, then every range = the winner, and one beside",
        "two keys: the other's winner and one point beside it",
    ],
)
def test_a_winner_that_is_handed_in_again_looks_like_an_edge_to_the_first_edition_alone(way: str) -> None:
    alone, together = p_values(way)
    assert len(alone) == len(MARKETS)
    assert any(p <= LIMITS.search for p in alone)
    assert max(alone) <= LIMITS.paper_search < min(together), (alone, together)


def test_a_search_that_leaves_the_others_out_of_its_book_would_be_believed() -> None:
    """What the second edition answers to the same attack if it is not told of the search before."""
    attacker, judge = Attacker(5, 1), Judge(1, LIMITS)
    (each,) = ROWS["wide, then its winner and one point beside it"].way(attacker)
    told, untold = judge.second(each, 1)[0], Judge(1, LIMITS).second(asked(each.made), 1)[0]
    assert untold <= LIMITS.search < told


@pytest.mark.parametrize("i", MARKETS)
def test_an_early_end_says_what_the_whole_test_says(i: int) -> None:
    each = asked(Attacker(5, i).wide)
    worker = worker_of_study(each.made.study, each.asked_book(), LIMITS, seed=i)
    t = worker.answer(WorkRequest(COUNTED.name))["t"]
    p = worker.answer(WorkRequest(SEARCHES.name, LIMITS.n_permutations, LIMITS.stop_at, t))["p"]
    assert p > LIMITS.search
    assert Judge(i, LIMITS).second(each, 1) == (pytest.approx(p), None)


def test_every_row_is_of_a_group_and_can_be_chosen() -> None:
    assert {row.group for row in ROWS.values()} == {"core", "slow", "outside"}
    assert chosen("all") == list(ROWS)
    assert chosen("start dates") == ["the same search from five start dates"]
    with pytest.raises(SystemExit):
        chosen("no such row")


def test_years_of_daily_schedules_hardly_ever_approve() -> None:
    rows = [year(11, i) for i in range(6)]
    assert sum(row[kind]["approved"] is not None for row in rows for kind in row) <= 1
    assert np.mean([row["new"]["tries"] for row in rows]) > 5.0
    assert sum(row[kind]["looks"] for row in rows for kind in row) > 0


def test_another_key_that_searched_longer_bars_has_a_say() -> None:
    """Draws of two timeframes are independent: only the real bars tell that both trade at the same times."""
    attacker = Attacker(77, 40)
    (each,) = ROWS["two keys: the other's winner on longer bars"].way(attacker)
    worker = worker_of_study(each.made.study, each.asked_book(), LIMITS, seed=1)
    worker.elsewhere = each.elsewhere
    asked_for = each.asked_book()
    plan = link_foreign(Lineage(each.book), asked_for.asked_id, asked_for.point, USUAL_CUT)
    links = run_inline(plan, each.book, worker.ground)
    assert links["longer"].rho[0] > 0.6
    assert not links["longer"].whole
    ground = replace(worker.ground, markets={**worker.ground.markets, **_moved_later(each)})
    plan = link_foreign(Lineage(each.book), asked_for.asked_id, asked_for.point, USUAL_CUT)
    assert not run_inline(plan, each.book, ground)


def _moved_later(each: Asked) -> dict[str, tuple[Market, ...]]:
    """The longer bars in another order: what is found there has nothing to do with the short ones."""
    found: dict[str, tuple[Market, ...]] = {}
    for timeframe, markets in each.elsewhere.items():
        bars = markets[0].bars
        found[timeframe] = (replace(markets[0], bars=permuted(bars, draw_order(len(bars), 1, 0))),)
    return found
