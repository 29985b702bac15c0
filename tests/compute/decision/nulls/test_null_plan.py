"""Nulls of whole books and the p-values from them, against making every search alone, draw by draw."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest

from compute.decision.nulls.books import (
    CHEAP,
    NARROW,
    OTHER,
    WIDE,
    counted,
    ground,
    p_value_of,
    searched,
    tried,
)
from compute.decision.nulls.slow_nulls import SlowNulls
from tunesmith.compute.decision.nulls.counted_search import REAL, CountedSearch, Ground
from tunesmith.compute.decision.nulls.draw_table import draw
from tunesmith.compute.decision.nulls.links import N_CONFIRMED
from tunesmith.compute.decision.nulls.null_plan import Counted, count_searches, cut_for, search_p_value
from tunesmith.compute.decision.nulls.null_vectors import USUAL_CUT, Cut
from tunesmith.compute.decision.statistics.record_clock import TRY

WIDE_VALUES = [[2.0, 4.0, 6.0, 8.0], [5.0, 9.0, 13.0, 17.0]]
NARROW_VALUES = [[2.0, 4.0], [7.0, 9.0, 11.0]]
FILTER = {
    "fast": {"min": 2, "max": 4, "step": 2},
    "slow": {"min": 7, "max": 9, "step": 2},
    "strength": {"min": 10, "max": 50, "step": 20},
}
FILTER_VALUES = [[2.0, 4.0], [7.0, 9.0], [10.0, 30.0, 50.0]]


def several_texts() -> list[CountedSearch]:
    """A wide search, one around it, its winner's neighbour at other costs, another text, and one around that."""
    return [
        searched("wide", WIDE),
        searched("narrow", NARROW, ["wide"]),
        tried("cheap", [[4.0, 11.0]], ["wide", "narrow"], execution=CHEAP),
        searched("filtered", FILTER, ["wide", "narrow", "cheap"], rule=OTHER),
        tried("by hand", [[4.0, 7.0, 20.0]], ["wide", "narrow", "cheap", "filtered"], rule=OTHER),
    ]


RANGES = {
    "wide": WIDE_VALUES,
    "narrow": NARROW_VALUES,
    "cheap": [[4.0], [11.0]],
    "filtered": FILTER_VALUES,
    "by hand": [[4.0], [7.0], [20.0]],
}


@pytest.mark.parametrize(("n_markets", "first", "aggregate"), [(1, 0, "mean"), (2, 20, "minimum")])
def test_nulls_are_those_of_every_search_made_alone(n_markets: int, first: int, aggregate: str) -> None:
    on = ground(n_markets=n_markets, first=first, aggregate=aggregate)
    book = several_texts()
    made, slow = counted(book, on), SlowNulls(book, on, RANGES)
    for name in RANGES:
        best = slow.best(name, REAL)
        assert made.nulls[name].best == pytest.approx(best.v, abs=1e-9)
        np.testing.assert_array_equal(made.nulls[name].best_point, np.nan if best.place is None else best.place)
        np.testing.assert_allclose(made.nulls[name].finds.v[:20], slow.null(name, 20), atol=1e-7)
    betas = made.nulls["filtered"].beta
    assert betas is not None
    assert betas.any()
    moved = [tuple(place) for place in made.nulls["narrow"].finds.places if not np.isnan(place).any()]
    assert set(moved) - {tuple(p) for p in book[1].points}


@pytest.fixture(scope="module")
def on() -> Ground:
    return ground()


@pytest.fixture(scope="module")
def made(on: Ground) -> Counted:
    return counted(several_texts(), on)


def test_the_p_value_counts_the_draws_on_which_any_search_reaches_the_winner(on: Ground, made: Counted) -> None:
    book = several_texts()
    plain = p_value_of(book, on, made, "narrow", t=99.0, n_draws=130)
    most = np.max([null.finds.v for null in plain.nulls.values()], axis=0)
    assert (plain.n, plain.n_reached, plain.p) == (130, 0, 1 / 131)
    slow = SlowNulls(book, on, RANGES)
    assert most[128] == pytest.approx(max(slow.best(name, 128).v for name in RANGES), abs=1e-7)
    for t in (1.0, 2.2, 2.8):
        hits = most >= t
        whole = p_value_of(book, on, made, "narrow", t=t, n_draws=130)
        assert (whole.n, whole.n_reached) == (130, hits.sum())
        assert whole.p == (1 + hits.sum()) / 131
        early = p_value_of(book, on, made, "narrow", t=t, n_draws=130, stop_at=5)
        if hits.sum() >= 5:
            at = int(np.flatnonzero(hits)[4]) + 1
            assert (early.p, early.n, early.n_reached) == (5 / at, at, 5)


def test_a_request_of_a_large_book_takes_few_draws_so_that_it_is_soon_told_how_far_it_is() -> None:
    large = {"fast": {"min": 2, "max": 60}, "slow": {"min": 61, "max": 200}}
    assert cut_for(several_texts()) == USUAL_CUT
    assert cut_for([searched("all", large)] * 4).draws == 7
    assert cut_for([searched("all", large)] * 60).draws == 1


def test_nothing_depends_on_how_the_work_is_cut_or_on_what_is_known(on: Ground, made: Counted) -> None:
    book = several_texts()
    plain = p_value_of(book, on, made, "filtered", t=2.4, n_draws=140, stop_at=30)
    for cut in (Cut(7, 1), Cut(99, 3)):
        again = counted(book, on, cut=cut)
        assert (again.ticks, again.added) == (made.ticks, made.added)
        for name, null in again.nulls.items():
            np.testing.assert_array_equal(null.finds.v, made.nulls[name].finds.v)
            np.testing.assert_array_equal(null.finds.places, made.nulls[name].finds.places)
        test = p_value_of(book, on, again, "filtered", t=2.4, n_draws=140, stop_at=30)
        assert (test.p, test.n, test.n_reached) == (plain.p, plain.n, plain.n_reached)
        kept = counted(book, on, test.nulls)
        assert kept.ticks == made.ticks
        test = p_value_of(book, on, kept, "filtered", t=2.4, n_draws=140, stop_at=30)
        assert (test.p, test.n, test.n_reached) == (plain.p, plain.n, plain.n_reached)
    partly = {name: null for name, null in made.nulls.items() if name != "narrow"}
    np.testing.assert_array_equal(counted(book, on, partly).nulls["narrow"].finds.v, made.nulls["narrow"].finds.v)


def test_what_is_known_is_not_asked_for_again(on: Ground, made: Counted) -> None:
    plan = count_searches(several_texts(), made.nulls)
    with pytest.raises(StopIteration):
        next(plan)


def test_requests_and_answers_travel(on: Ground, made: Counted) -> None:
    book = several_texts()
    plan = search_p_value(book, made, made.nulls["wide"].best_point, "wide", 2.6, 100, 1000)
    requests = next(plan)
    answers = [draw(book, on, pickle.loads(pickle.dumps(request))) for request in requests]
    with pytest.raises(StopIteration) as stop:
        plan.send(pickle.loads(pickle.dumps(answers)))
    assert stop.value.value.p == p_value_of(book, on, made, "wide", t=2.6, n_draws=100).p


class TestWhatWasTriedBefore:
    """Asking again for what was found adds nothing: neither to the clock nor to the p-value."""

    @pytest.mark.parametrize("again", ["the same search", "its winner", "another of its points", "a part of it"])
    def test_it_costs_nothing(self, on: Ground, again: str) -> None:
        wide = searched("wide", WIDE)
        before = counted([wide], on)
        point = before.nulls["wide"].best_point
        later = {
            "the same search": searched("later", WIDE, ["wide"], seed=9),
            "its winner": tried("later", [point], ["wide"]),
            "another of its points": tried("later", [wide.points[3]], ["wide"]),
            "a part of it": searched("later", {"fast": [4, 6], "slow": [9, 13]}, ["wide"], method="random"),
        }[again]
        after = counted([wide, later], on)
        assert after.ticks == before.ticks == TRY
        test = p_value_of([wide, later], on, after, "wide", point=point, n_draws=120)
        assert test.p == p_value_of([wide], on, before, "wide", n_draws=120).p

    def test_the_winner_at_other_costs_is_worth_what_the_best_point_of_every_draw_is(self, on: Ground) -> None:
        wide = searched("wide", WIDE)
        point = counted([wide], on).nulls["wide"].best_point
        book = [wide, tried("later", [point], ["wide"], execution=replace(wide.execution, initial_cash=9_000.0))]
        made = counted(book, on)
        found = ~np.isnan(made.nulls["wide"].finds.places).any(axis=1)
        np.testing.assert_array_equal(made.nulls["later"].finds.places[found], made.nulls["wide"].finds.places[found])
        np.testing.assert_allclose(made.nulls["later"].finds.v, made.nulls["wide"].finds.v, rtol=1e-9)
        assert made.added["later"] <= 1 + 20

    def test_a_search_that_its_owner_had_not_seen_does_not_move_the_later_one(self, on: Ground) -> None:
        book = [searched("wide", WIDE), searched("narrow", NARROW)]
        alone = counted(book[1:], on).nulls["narrow"]
        np.testing.assert_array_equal(counted(book, on).nulls["narrow"].finds.v, alone.finds.v)

    def test_what_another_search_tried_unseen_makes_no_difference_to_what_is_kept(self, on: Ground) -> None:
        book = [searched("wide", WIDE), searched("wide too", WIDE)]
        whole, alone = counted(book, on), counted(book[1:], on)
        np.testing.assert_array_equal(whole.nulls["wide too"].finds.v, alone.nulls["wide too"].finds.v)
        assert whole.added == {"wide": TRY, "wide too": 1}


class TestForeign:
    """Searches of other users raise the p-value of what they found, and of nothing else."""

    def test_the_winner_of_a_hidden_search_has_the_p_value_that_its_owner_would_get(self, on: Ground) -> None:
        wide = searched("wide", WIDE)
        owner = counted([wide], on)
        point = owner.nulls["wide"].best_point
        book = [searched("hidden", WIDE, draws_only_p=True), tried("asked", [point])]
        made = counted(book, on)
        assert made.ticks == TRY
        assert np.isnan(made.nulls["hidden"].best)
        test = p_value_of(book, on, made, "asked", n_draws=150)
        assert test.foreign == ("hidden",)
        assert test.p == p_value_of([wide], on, owner, "wide", n_draws=150).p
        assert test.p > p_value_of(book[1:], on, counted(book[1:], on), "asked", n_draws=150).p

    def test_an_unrelated_one_changes_nothing(self, on: Ground) -> None:
        book = [searched("asked", WIDE)]
        far = tried("other", [[55.0, 61.0, 90.0]], rule=OTHER, draws_only_p=True)
        made = counted(book, on)
        test = p_value_of([far, *book], on, counted([far, *book], on), "asked", n_draws=120)
        alone = p_value_of(book, on, made, "asked", n_draws=120)
        assert test.foreign == ()
        assert (test.p, test.n, test.n_reached) == (alone.p, alone.n, alone.n_reached)

    def test_a_related_one_counts_as_far_as_it_is_related(self, on: Ground) -> None:
        hidden = searched("hidden", WIDE, draws_only_p=True)
        book = [hidden, tried("asked", [[4.0, 10.0]])]
        slow = SlowNulls(book, on, {"hidden": WIDE_VALUES, "asked": [[4.0], [10.0]]})
        x, (asked, trials) = (4.0, 10.0), (book[1], slow.points(hidden))
        mine = slow.series(asked, x)
        rho, z = max((np.corrcoef(mine, slow.series(hidden, each))[0, 1], each) for each in trials)
        rho = np.corrcoef(slow.series(asked, x, N_CONFIRMED), slow.series(hidden, z, N_CONFIRMED))[0, 1]
        assert 0.35 < rho < 0.999
        hits, n = 0, 30
        t = float(np.quantile(mine[:n], 0.8))
        for b in range(n):
            value, counts = slow.t(asked, b, x)
            theirs = np.nan_to_num(slow.t(hidden, b, z)[0])
            raised = value + rho * max(0.0, slow.best("hidden", b).v - theirs)
            hits += counts and max(value, raised) >= t
        test = p_value_of(book, on, counted(book, on), "asked", point=np.array(x), t=t, n_draws=n)
        assert test.n_reached == hits
