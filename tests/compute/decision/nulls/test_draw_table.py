"""One draw: the order of its bars, points that are evaluated once, and draws that end early."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compute.decision.nulls.books import CHEAP, WIDE, counted, ground, searched, tried
from tunesmith.compute.decision.nulls.counted_search import REAL, Ground
from tunesmith.compute.decision.nulls.draw_table import DrawRequest, draw
from tunesmith.compute.decision.nulls.links import LINKED_WHOLE, betas, correlations, correlations_of_pairs, to_link
from tunesmith.compute.decision.nulls.null_vectors import nothing_known, with_answer
from tunesmith.compute.decision.nulls.point_table import PointTable, keys_of
from tunesmith.compute.decision.nulls.shuffled_ground import Statistics, shuffled_markets
from tunesmith.errors import Internal


def closes(on: Ground, number: int) -> list[list[float]]:
    return [np.diff(np.log(market.bars.close)).round(9).tolist() for market in shuffled_markets(on, "1d", number)]


class TestOrder:
    """The order of the bars in a draw follows from the key, the timeframe, the boundary and the draw's number."""

    def test_it_is_another_for_every_draw_key_and_boundary_and_the_same_again(self) -> None:
        on = ground(120)
        orders = [
            closes(on, 0),
            closes(on, 1),
            closes(replace(on, key=b"another"), 0),
            closes(replace(on, boundary_ms=on.boundary_ms + 1), 0),
            closes(on, REAL),
        ]
        assert len({str(order) for order in orders}) == 5
        assert closes(on, 0) == orders[0]
        assert [sorted(steps) for steps in orders[0]] == [sorted(steps) for steps in orders[4]]

    def test_markets_move_together_and_bars_before_the_first_stay(self) -> None:
        on = ground(120, n_markets=2, first=30)
        real, moved = closes(on, REAL), closes(on, 3)
        assert moved[0][:29] == pytest.approx(real[0][:29])
        places = [[real[i].index(min(real[i], key=lambda x: abs(x - step))) for step in moved[i]] for i in (0, 1)]
        assert places[0] == places[1] != list(range(119))

    def test_a_timeframe_without_bars_is_refused(self) -> None:
        with pytest.raises(Internal, match="no bars of 4h"):
            shuffled_markets(ground(120), "4h", 0)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.integers(-3, 3), min_size=0, max_size=12), max_size=5))
def test_a_table_evaluates_every_point_once(asked: list[list[int]]) -> None:
    made: list[tuple[float, ...]] = []

    def evaluate(points: np.ndarray) -> Statistics:
        made.extend(map(tuple, points.tolist()))
        return Statistics(points @ [10.0, 1.0], points[:, 0] > 0)

    table = PointTable(2, evaluate)
    everything = np.empty((0, 2))
    for numbers in asked:
        points = np.array([[n, -n % 2] for n in numbers], np.float64).reshape(-1, 2)
        table.make([points, points[:1]])
        everything = np.concatenate([everything, points])
        found = table.look(everything)
        np.testing.assert_array_equal(found.t, everything @ [10.0, 1.0])
        np.testing.assert_array_equal(found.counts, everything[:, 0] > 0)
    assert sorted(made) == sorted({tuple(point) for point in everything.tolist()})


def test_a_point_that_was_not_evaluated_is_no_result() -> None:
    table = PointTable(1, lambda points: Statistics(points[:, 0], points[:, 0] > 0))
    table.make([np.array([[1.0]])])
    with pytest.raises(Internal):
        table.look(np.array([[2.0]]))
    assert len(set(keys_of(np.array([[0.0, 1.0], [1.0, 0.0], [-0.0, 1.0], [1.0, 1.0]])).tolist())) == 3


def test_a_rule_without_parameters_has_one_point() -> None:
    table = PointTable(0, lambda points: Statistics(np.full(len(points), 1.5), np.ones(len(points), np.bool_)))
    table.make([np.empty((2, 0)), np.empty((1, 0))])
    assert table.look(np.empty((3, 0))).t.tolist() == [1.5] * 3


def test_a_draw_ends_with_the_first_search_that_reaches() -> None:
    on = ground()
    book = [searched("wide", WIDE), tried("point", [[4.0, 9.0]], execution=CHEAP)]
    whole = draw(book, on, DrawRequest((0, 1, 2, 3), ("wide", "point")))
    limit = float(np.median(whole.finds["point"].v))
    early = draw(book, on, DrawRequest((0, 1, 2, 3), ("wide", "point"), reaches=limit))
    reached = whole.finds["point"].v >= limit
    assert reached.any()
    assert not reached.all()
    np.testing.assert_array_equal(early.finds["point"].v, whole.finds["point"].v)
    np.testing.assert_array_equal(np.isnan(early.finds["wide"].v), reached)
    np.testing.assert_array_equal(early.finds["wide"].v[~reached], whole.finds["wide"].v[~reached])
    np.testing.assert_array_equal(np.isnan(early.foreign), reached | (early.finds["wide"].v >= limit))


def test_answers_come_in_any_order_and_places() -> None:
    on = ground()
    book = [searched("wide", WIDE)]
    parts = [draw(book, on, DrawRequest(numbers, ("wide",))) for numbers in ((5, 2), (0,), (-1, 9))]
    nulls: dict = {"wide": nothing_known(2)}
    for part in parts:
        nulls = with_answer(nulls, part)
    whole = counted(book, on).nulls["wide"]
    known = [0, 2, 5, 9]
    np.testing.assert_array_equal(nulls["wide"].finds.v[known], whole.finds.v[known])
    np.testing.assert_array_equal(nulls["wide"].finds.places[known], whole.finds.places[known])
    assert np.isnan(np.delete(nulls["wide"].finds.v, known)).all()
    assert nulls["wide"].best == whole.best


class TestLinks:
    """Betas and correlations are numpy's own."""

    def test_they_are_those_of_numpy(self) -> None:
        rng = np.random.default_rng(4)
        holder = rng.normal(size=99)
        trials = np.outer([2.0, 1.0, 0.4, 0.0, -1.0], holder) + rng.normal(size=(5, 99))
        trials[3] = 0.0
        found = betas(trials, holder)
        for row, beta in zip(trials[:3], found, strict=False):
            if np.corrcoef(row, holder)[0, 1] >= 0.35:
                assert beta == pytest.approx(min(1.5, np.cov(row, holder)[0, 1] / np.var(holder, ddof=1)))
            else:
                assert beta == 0.0
        assert found[3:].tolist() == [0.0, 0.0]
        assert found[0] == 1.5
        assert betas(trials, np.zeros(99)).tolist() == [0.0] * 5
        between = correlations(trials[[0, 1, 4]], np.stack([holder, trials[2]]))
        expected = np.corrcoef(np.concatenate([trials[[0, 1, 4]], holder[np.newaxis], trials[2:3]]))
        np.testing.assert_allclose(between, expected[:3, 3:], atol=1e-12)
        assert (correlations(trials[3:4], trials) == 0.0).all()
        pairs = correlations_of_pairs(trials, trials[[1, 2, 4, 0, 3]])
        for i, j in enumerate([1, 2, 4]):
            assert pairs[i] == pytest.approx(np.corrcoef(trials[i], trials[j])[0, 1])
        assert pairs[3:].tolist() == [0.0, 0.0]

    def test_of_many_trials_the_best_are_linked_and_some_others(self) -> None:
        real = np.random.default_rng(1).normal(size=LINKED_WHOLE + 1)
        real[:10] = np.nan
        chosen = to_link(real, 3)
        assert len(np.unique(chosen)) == 1000
        assert set(np.argsort(-np.nan_to_num(real, nan=-9.0))[:500]) <= set(chosen)
        assert set(chosen) != set(to_link(real, 4))
        assert to_link(real[:-1], 3).tolist() == list(range(LINKED_WHOLE))
