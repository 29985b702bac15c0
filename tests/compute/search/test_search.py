"""A search bound to its markets: the same trials however it is cut, several symbols made one, ends that are early."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notebook.test_backtesting import BARS, FREE, RANGES, RULE, wave
from tunesmith.compute.engines.evaluate import Execution
from tunesmith.compute.search.search import Found, Market, Outcome, Search, joined, run_whole
from tunesmith.compute.search.stopping import Watch
from tunesmith.domain.criteria import parse_constraints
from tunesmith.domain.search.methods import MethodOptions
from tunesmith.domain.search.search_plan import SearchPlan
from tunesmith.domain.search.stop_rules import StopRules
from tunesmith.errors import Invalid

EXECUTION = Execution(FREE, "next_open", "long")
ONE = [Market("A/B", BARS, EXECUTION)]
TWO = [*ONE, Market("C/D", wave(900), EXECUTION, first=100)]
FREE_RANGES = {
    "n": {"min": 2, "max": 40},
    "width": 0.01,
    "mode": ["level", "cross"],
    "scale": 1.5,
    "patient": [True, False],
}
METHODS = ("grid", "random", "latin_hypercube", "sobol", "genetic", "nsga2", "zoom", "tpe")


def plan_of(method: str, n_trials: int = 40, **more: Any) -> SearchPlan:
    options = MethodOptions(population=8) if method in ("genetic", "nsga2") else MethodOptions()
    if method == "tpe":
        options = MethodOptions(batch=6, n_initial=10)
    values = {"target": "sharpe", "ranges": FREE_RANGES, "seed": 3, "options": options, **more}
    return SearchPlan(method=method, n_trials=n_trials, **values)


def in_pieces(plan: SearchPlan, markets: list[Market], cuts: list[int]) -> Found:
    """The trials up to each of `cuts` by a search of its own, told those before: as workers that take turns do it."""
    parts: list[Found] = []
    n = Search(RULE, plan).sampler.n_trials
    at = 0
    for stop in sorted({min(cut, n) for cut in cuts} | {n}):
        search = Search(RULE, plan)
        if parts and search.learns:
            before = joined(parts)
            search.tell(before.points, np.where(before.eligible[:, np.newaxis], before.scores, np.nan))
        while at < stop:
            part = search.evaluate(markets, at, stop)
            if search.learns:
                search.tell(part.points, np.where(part.eligible[:, np.newaxis], part.scores, np.nan))
            parts.append(part)
            at += len(part.points)
    return joined(parts)


def assert_same(one: Found, other: Found) -> None:
    np.testing.assert_array_equal(one.points, other.points)
    np.testing.assert_array_equal(one.values, other.values)
    np.testing.assert_array_equal(one.eligible, other.eligible)
    assert one.metrics.keys() == other.metrics.keys()
    for name, values in one.metrics.items():
        np.testing.assert_array_equal(values, other.metrics[name], name)


@pytest.mark.parametrize("method", METHODS)
def test_the_trials_are_the_same_however_they_are_cut(method: str) -> None:
    target = ["sharpe", "drawdown"] if method == "nsga2" else "sharpe"
    plan = plan_of(method, target=target)
    whole = run_whole(Search(RULE, plan), ONE)
    assert len(whole.found.points) == Search(RULE, plan).sampler.n_trials
    for cuts in ([1, 2, 3], [17], [8, 16, 31]):
        assert_same(in_pieces(plan, ONE, cuts), whole.found)


@settings(max_examples=10, deadline=None)
@given(st.sampled_from(["grid", "genetic"]), st.lists(st.integers(1, 60), max_size=4))
def test_the_trials_are_the_same_cut_anywhere(method: str, cuts: list[int]) -> None:
    plan = plan_of(method)
    assert_same(in_pieces(plan, ONE, cuts), run_whole(Search(RULE, plan), ONE).found)


@pytest.mark.parametrize(("how", "of"), [("mean", np.mean), ("median", np.median), ("minimum", np.min)])
def test_several_symbols_are_made_one_and_kept_apart(how: Any, of: Any) -> None:
    plan = plan_of("grid", ranges=RANGES, aggregate=how)
    found = run_whole(Search(RULE, plan), TWO).found
    alone = [run_whole(Search(RULE, plan), [market]).found for market in TWO]
    assert found.by_symbol is not None
    assert [part.by_symbol for part in alone] == [None, None]
    for market, part in zip(TWO, alone, strict=True):
        for name, values in part.metrics.items():
            np.testing.assert_array_equal(found.by_symbol[market.symbol][name], values)
    both = np.stack([part.values[:, 0] for part in alone])
    defined = ~np.isnan(both).any(axis=0)
    np.testing.assert_allclose(found.values[defined, 0], of(both, axis=0)[defined], rtol=1e-12)
    assert defined.sum() > 10
    first = found.first(5)
    assert first.by_symbol is not None
    assert len(first.points) == len(first.by_symbol["C/D"]["sharpe"]) == 5


def test_only_what_keeps_every_bound_is_eligible_and_can_be_the_best() -> None:
    bounds = list(parse_constraints(["n_trades >= 20", "max_drawdown <= 0.3"]))
    outcome = run_whole(Search(RULE, plan_of("grid", ranges=RANGES, bounds=bounds)), ONE)
    found = outcome.found
    keeps = (found.metrics["n_trades"] >= 20) & (found.metrics["max_drawdown"] <= 0.3)
    np.testing.assert_array_equal(found.eligible, keeps & ~np.isnan(found.scores[:, 0]))
    assert 0 < keeps.sum() < len(keeps)
    assert outcome.best is not None
    assert found.scores[outcome.best, 0] == found.scores[found.eligible, 0].max()
    none = list(parse_constraints(["n_trades >= 1000000"]))
    assert run_whole(Search(RULE, plan_of("grid", ranges=RANGES, bounds=none)), ONE).best is None


@pytest.mark.parametrize("method", ["grid", "genetic"])
def test_rules_end_a_whole_search_and_time_does_where_it_did_before(method: str) -> None:
    plan = plan_of(method, n_trials=60)

    def outcome(rules: StopRules | None, frozen_at: int | None = None, elapsed_s: float = 0.0) -> Outcome:
        return run_whole(Search(RULE, plan), ONE, rules=rules, frozen_at=frozen_at, elapsed_s=lambda: elapsed_s)

    whole = outcome(None)
    n = len(whole.found.points)
    patient = outcome(StopRules(batch=5, patience=2))
    assert (patient.stopped_by, len(patient.found.points) % 5) == ("no_improvement", 0)
    assert_same(patient.found, whole.found.first(len(patient.found.points)))
    hasty = outcome(StopRules(batch=5, time_budget_s=3.0), elapsed_s=3.0)
    assert (hasty.stopped_by, len(hasty.found.points)) == ("time_budget", 5)
    again = run_whole(Search(RULE, plan), ONE, rules=StopRules(batch=5, time_budget_s=1e-9))
    assert (again.stopped_by, len(again.found.points)) == (None, n), "a search made again looked at the clock"
    frozen = outcome(StopRules(batch=5, time_budget_s=1e-9), frozen_at=20)
    assert (frozen.stopped_by, len(frozen.found.points)) == ("time_budget", 20)
    assert outcome(StopRules(batch=5, target=1e9)).stopped_by is None
    assert n > 25


def test_progress_is_told_after_every_part() -> None:
    told: list[tuple[int, int]] = []
    plan = plan_of("genetic")
    run_whole(Search(RULE, plan), ONE, progress=lambda done, total: told.append((done, total)))
    assert [done for done, _ in told] == sorted({done for done, _ in told})
    assert told[-1] == (40, 40)
    assert len(told) > 3


def test_what_cannot_be_searched_names_the_place() -> None:
    for more, path in (
        ({"ranges": {"m": [1]}}, "/data/param_ranges/m"),
        ({"conditions": ["n <"]}, "/data/conditions/0"),
        ({"options": MethodOptions(every=3)}, "/data/options/every"),
    ):
        with pytest.raises(Invalid) as refused:
            Search(RULE, plan_of("random", **more))
        assert refused.value.path == path


def test_a_plan_survives_the_way_to_a_worker() -> None:
    plan = plan_of("grid", bounds=list(parse_constraints(["n_trades >= 20"])), aggregate="median")
    assert msgspec.json.decode(msgspec.json.encode(plan), type=SearchPlan) == plan
    assert json.loads(msgspec.json.encode(plan))["aggregate"] == "median"


def test_methods_that_learn_are_the_ones_that_must_be_told() -> None:
    for method in METHODS:
        target = ["sharpe", "drawdown"] if method == "nsga2" else "sharpe"
        search = Search(RULE, plan_of(method, target=target))
        assert search.learns == (search.sampler.ready < search.sampler.n_trials)


@settings(max_examples=100, deadline=None)
@given(
    st.integers(1, 60),
    st.integers(1, 9),
    st.integers(1, 4),
    st.lists(st.integers(-3, 3), min_size=60, max_size=60),
    st.randoms(use_true_random=False),
)
def test_rules_see_trials_in_their_order_however_they_come(
    n: int, batch: int, patience: int, scores: list[int], luck: Any
) -> None:
    rules = StopRules(batch=batch, patience=patience, target=3.0)
    values = np.array(scores[:n], float)[:, np.newaxis]
    in_order = Watch(rules, n, 1)
    expected = None
    for at in range(n):
        in_order.take(at, values[at : at + 1])
        expected = expected or in_order.look()
    pieces = [(at, min(at + 4, n)) for at in range(0, n, 4)]
    luck.shuffle(pieces)
    watch = Watch(rules, n, 1)
    found = None
    for start, stop in pieces:
        watch.take(start, values[start:stop])
        found = found or watch.look()
    assert found == expected


def test_time_keeps_every_batch_that_is_complete_by_then() -> None:
    watch = Watch(StopRules(batch=10, time_budget_s=5.0), 100, 1)
    watch.take(10, np.zeros((60, 1)))
    assert watch.look(9.0) is None
    watch.take(0, np.zeros((10, 1)))
    stop = watch.look(9.0)
    assert stop is not None
    assert (stop.n_trials, stop.reason) == (70, "time_budget")
