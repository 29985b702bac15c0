"""Methods that learn: every point of their ranges stands for them, or they are made again as they were."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from compute.decision.nulls.books import EXECUTION, NARROW, OTHER, RULE, WIDE, counted, ground, searched, tried
from tunesmith.compute.decision.nulls import counted_search
from tunesmith.compute.decision.nulls.counted_search import CountedSearch, Ground
from tunesmith.compute.decision.nulls.draw_table import DrawRequest, draw
from tunesmith.compute.decision.nulls.remade_search import around_point, remake
from tunesmith.compute.decision.nulls.shuffled_ground import shuffled_markets, statistics_of_points
from tunesmith.compute.rules.strategy import Strategy
from tunesmith.compute.search.search import Market, Search, run_whole
from tunesmith.domain.array_types import Floats

FINE = {"fast": {"min": 2, "max": 12, "step": 1}, "slow": {"min": 5, "max": 40, "step": 1}}
DISTANCE = """
n = Int(10, 2, 100)
width = Float(0.01, 0.001, 0.2)
enter_long(close < sma(close, n) * (1 - width))
exit_long(close > sma(close, n))
"""
REMADE = ("genetic", "zoom", "staged", "nsga2")


def unlisted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every method that learns be made again, however small its ranges are."""
    monkeypatch.setattr(counted_search, "REACH", 0)
    monkeypatch.setattr(counted_search, "_FAR_REACH", 0)


def test_all_points_are_listed_where_that_costs_less_than_to_make_the_trials_again() -> None:
    cells = {"fast": {"min": 2, "max": 60}, "slow": {"min": 61, "max": 200}}  # 8,260 points
    for most, n_made, listed in ((0, 400, False), (0, 413, True), (8_260, 1, True)):
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(counted_search, "REACH", most)
            assert (searched("a", cells, method="tpe", n_made=n_made).points is not None) == listed


@pytest.fixture(scope="module")
def on() -> Ground:
    return ground()


def best_of(points: Floats, markets: tuple[Market, ...]) -> float:
    found = statistics_of_points(RULE, markets, EXECUTION, points, "mean")
    return float(np.max(found.t, where=found.counts, initial=-np.inf))


def found_on(book: list[CountedSearch], on: Ground, name: str, draws: tuple[int, ...]) -> Any:
    real = counted_real(book, on)
    return draw(book, on, DrawRequest(draws, tuple(search.search_id for search in book), best=real)).finds[name]


def counted_real(book: list[CountedSearch], on: Ground) -> dict[str, tuple[float, Floats]]:
    answer = draw(book, on, DrawRequest((-1,), tuple(search.search_id for search in book)))
    return {name: (float(finds.v[0]), finds.places[0]) for name, finds in answer.finds.items()}


@pytest.mark.parametrize("method", [*REMADE, "tpe", "gaussian_process"])
@pytest.mark.parametrize("target", ["sharpe", "n_trades"])
def test_every_point_of_the_ranges_finds_at_least_what_the_method_finds(on: Ground, method: str, target: str) -> None:
    warm = [{"fast": 7, "slow": 30}]
    search = searched("a", FINE, method=method, n_trials=40, target=target, warm=warm, seed=len(method))
    assert search.plan is not None
    assert search.points is not None
    assert len(search.points) == Search(RULE, search.plan).region.size.n
    again = run_whole(Search(RULE, search.plan), shuffled_markets(on, "1d", 4))
    made = best_of(again.found.points, shuffled_markets(on, "1d", 4))
    assert found_on([search], on, "a", (4,)).v[0] >= made > -np.inf


@pytest.mark.parametrize("method", ["random", "latin_hypercube", "sobol", "grid", "genetic"])
def test_a_search_that_ended_early_is_that_of_the_trials_it_made(
    on: Ground, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlisted(monkeypatch)
    search = searched("a", FINE, method=method, n_trials=90, n_made=30, seed=5)
    assert search.plan is not None
    markets = shuffled_markets(on, "1d", 2)
    whole = Search(RULE, search.plan)
    if method == "genetic":
        first = run_whole(Search(RULE, search.plan), markets).found.points[:30]
    else:
        first = whole.sampler.ask(0, 30)
    assert len(first) == 30
    assert found_on([search], on, "a", (2,)).v[0] == pytest.approx(best_of(first, markets), abs=1e-12)
    if method != "genetic":
        same = counted([tried("a", first)], on).nulls["a"]
        np.testing.assert_array_equal(counted([search], on).nulls["a"].finds.v, same.finds.v)


@pytest.mark.parametrize("method", REMADE)
def test_a_method_that_follows_is_made_in_the_ranges_that_lie_around_the_found_point(
    on: Ground, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlisted(monkeypatch)
    narrow = {"fast": {"min": 5, "max": 8, "step": 1}, "slow": {"min": 14, "max": 20, "step": 1}}
    book = [
        searched("wide", FINE),
        searched("narrow", narrow, ["wide"], method=method, n_trials=20, warm=[{"fast": 6, "slow": 15}]),
    ]
    real = counted_real(book, on)["wide"][1]
    draws = tuple(range(12))
    wide, found = found_on(book, on, "wide", draws), found_on(book, on, "narrow", draws)
    n_moved = 0
    for number in draws:
        fast = int(np.clip(wide.places[number][0] - real[0], 2 - 5, 12 - 8))
        slow = int(np.clip(wide.places[number][1] - real[1], 5 - 14, 40 - 20))
        if 5 + fast + 3 >= 14 + slow:  # the ranges would be cut by fast < slow, and trials be put back one by one
            continue
        moved = {
            "fast": {"min": 5 + fast, "max": 8 + fast, "step": 1},
            "slow": {"min": 14 + slow, "max": 20 + slow, "step": 1},
        }
        warm = [{"fast": 6 + fast, "slow": 15 + slow}]
        there = searched("there", moved, method=method, n_trials=20, warm=warm)
        if method != "staged":  # it begins at the defaults too, which do not move
            assert found.v[number] == found_on([there], on, "there", (number,)).v[0]
        n_moved += (fast, slow) != (0, 0)
        inside = [(5 + fast, 8 + fast), (14 + slow, 20 + slow)]
        if found.v[number] > -np.inf:
            assert all(low <= x <= high for x, (low, high) in zip(found.places[number], inside, strict=True))
    assert n_moved >= 3


class TestStandIn:
    """What takes the place of tpe and gaussian_process where their ranges cannot be listed."""

    def test_it_is_the_better_of_a_genetic_search_and_a_climb(
        self, on: Ground, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        unlisted(monkeypatch)
        slow, bred = (searched("a", FINE, method=method, n_trials=30, seed=3) for method in ("tpe", "genetic"))
        markets = shuffled_markets(on, "1d", 6)
        tried_slow, tried_bred = (remake(search, markets, on, None) for search in (slow, bred))
        assert set(map(tuple, tried_bred)) <= set(map(tuple, tried_slow))
        assert len(tried_slow) > len(tried_bred)
        assert slow.region is not None
        assert slow.region.valid(tried_slow).all()
        top = best_of(tried_slow, markets)
        listed = slow.region.points_at(np.arange(slow.region.n_cells))
        assert found_on([slow], on, "a", (6,)).v[0] == top <= best_of(listed, markets)
        winner = tried_slow[[best_of(point[np.newaxis], markets) for point in tried_slow].index(top)]
        beside = around_point(slow.region, winner)
        assert best_of(beside, markets) <= top

    def test_several_targets_and_nothing_made(self, on: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
        unlisted(monkeypatch)
        both = searched("a", NARROW, method="tpe", n_trials=8, target=["sharpe", "max_drawdown"])
        assert np.isfinite(found_on([both], on, "a", (1, 2, 3)).v).any()
        none = searched("a", NARROW, method="tpe", n_trials=8, n_made=0)
        assert found_on([none], on, "a", (1,)).v.tolist() == [-np.inf]

    def test_all_trials_move_with_the_best_trial_before_as_that_which_moves_most(
        self, on: Ground, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        unlisted(monkeypatch)
        filtered = {"fast": [2, 4], "slow": [9, 13], "strength": {"min": 0, "max": 40, "step": 10}}
        wide = searched("wide", WIDE)
        bred = searched("bred", filtered, ["wide"], rule=OTHER, method="genetic", n_trials=12)
        made, alone = counted([wide, bred], on).nulls["bred"], counted([bred], on).nulls["bred"]
        assert made.holder == "wide"
        assert made.beta is not None
        assert made.beta.shape == (1,)
        assert made.beta[0] > 0.35
        assert (made.finds.v >= alone.finds.v).all()
        assert (made.finds.v > alone.finds.v).any()
        np.testing.assert_allclose(made.finds.v - made.finds.lift, alone.finds.v, atol=1e-12)

    def test_continuous_ranges_are_not_listed(self, on: Ground) -> None:
        rule = Strategy.parse(DISTANCE, id="distance")
        ranges = {"n": {"min": 4, "max": 30, "step": 1}, "width": {"min": 0.002, "max": 0.05, "log": True}}
        narrow = {"n": {"min": 10, "max": 12, "step": 1}, "width": {"min": 0.01, "max": 0.012}}
        book = [
            searched("slow", ranges, rule=rule, method="gaussian_process", n_trials=20),
            searched("bred", narrow, ["slow"], rule=rule, method="genetic", n_trials=20),
        ]
        assert [search.points for search in book] == [None, None]
        real, draws = counted_real(book, on), (0, 1, 2, 3)
        slow, bred = (found_on(book, on, name, draws) for name in ("slow", "bred"))
        assert np.isfinite(slow.v).all()
        assert (slow.places >= [4, 0.002]).all()
        assert (slow.places <= [30, 0.05]).all()
        n_by = np.clip(slow.places[:, 0] - real["slow"][1][0], 4 - 10, 30 - 12)
        found = np.isfinite(bred.v)
        assert found.any()
        moved = bred.places[found, 0] - n_by[found]
        assert ((moved >= 10) & (moved <= 12)).all()


def test_the_points_around_one_are_those_one_step_away() -> None:
    region = searched("a", FINE).region
    assert region is not None
    point = np.array([4.0, 5.0])
    expected = {(f, s) for f in (3.0, 4.0, 5.0) for s in (4.0, 5.0, 6.0) if f < s and s >= 5.0} - {(4.0, 5.0)}
    assert set(map(tuple, around_point(region, point))) == expected
