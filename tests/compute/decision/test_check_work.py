"""The work behind a decision, against slow and obvious ways to do it."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from benchmarks.made_markets import FAMILIES, draws, moved, regimes, reverting, walk
from tunesmith.compute.decision.checks.data_gate import faults_of
from tunesmith.compute.decision.checks.held_out_bars import draw_holdouts
from tunesmith.compute.decision.checks.neighbours import neighbours_of
from tunesmith.compute.decision.checks.search_permutations import draw_searches
from tunesmith.compute.decision.checks.trial_bootstrap import bootstrap_trials
from tunesmith.compute.decision.permutation_test import ALL_MARKETS
from tunesmith.compute.decision.statistics.permuted_markets import draw_order, permuted
from tunesmith.compute.decision.winner import Winner, metrics_at_costs, metrics_of, statistic_of, trials_of
from tunesmith.compute.engines.evaluate import evaluate_points
from tunesmith.compute.rules.strategy import Strategy
from tunesmith.compute.search.search import Market, Outcome, Search, run_whole
from tunesmith.compute.simulation.execution import Execution
from tunesmith.domain.criteria import Bound
from tunesmith.domain.market.bars import Bars
from tunesmith.domain.market.calendars import COUNTED
from tunesmith.domain.metrics import METRICS
from tunesmith.domain.parameters import decode_point
from tunesmith.domain.search.methods import MethodOptions
from tunesmith.domain.search.search_plan import SearchPlan
from tunesmith.domain.search.stop_rules import StopRules
from tunesmith.domain.trading import Costs
from tunesmith.errors import Internal

RULE = FAMILIES["moving averages"].rule
FLOOR = [Bound("n_trades >= 10", "n_trades", 10.0, True)]
EXECUTION = Execution(Costs(fee_rate=0.001), direction="both")
BARS = regimes(np.random.default_rng(11), 700)
SEED = 20_240_611
METHODS: dict[str, dict[str, Any]] = {
    "grid": {"ranges": {"fast": {"min": 2, "max": 12, "step": 5}, "slow": [20, 40, 60]}, "n_trials": 9},
    "random": {"n_trials": 25},
    "genetic": {"n_trials": 40, "options": MethodOptions(population=10)},
    "tpe": {"n_trials": 30},
    "staged": {"n_trials": 30},
    "zoom": {"n_trials": 30, "ranges": {"fast": {"min": 2, "max": 30}, "slow": {"min": 31, "max": 90}}},
}


def plan_of(method: str, **more: Any) -> SearchPlan:
    return SearchPlan(**{"target": "sharpe", "method": method, "seed": 7, "bounds": FLOOR, **METHODS[method], **more})


def found(plan: SearchPlan, market: Market, **how: Any) -> tuple[Outcome, Winner]:
    outcome = run_whole(Search(RULE, plan), [market], **how)
    assert outcome.best is not None
    point = outcome.found.points[outcome.best]
    return outcome, Winner(RULE, plan, point, market, how.get("rules"))


def market_of(bars: Bars = BARS, first: int = 0) -> Market:
    return Market(bars.symbol, bars, EXECUTION, first)


def timing_sharpe(bars: Bars, point: Any, first: int = 0, execution: Execution = EXECUTION) -> float:
    metrics = evaluate_points(RULE, bars, point[np.newaxis], execution, start=first, metrics=["timing_sharpe"])
    return float(metrics["timing_sharpe"][0])


def by_hand(bars: Bars, order: np.ndarray) -> Bars:
    """The permuted market, a bar at a time."""
    prices = {name: np.empty(len(bars)) for name in ("open", "high", "low", "close")}
    before = bars.close[0]
    for place, source in enumerate(order):
        old = bars.close[max(0, source - 1)]
        for name, column in prices.items():
            column[place] = getattr(bars, name)[source] / old * before
        before = prices["close"][place]
    return Bars.from_arrays(
        bars.timestamp,
        {**prices, "volume": bars.volume[order]},
        symbol=bars.symbol,
        timeframe=bars.timeframe,
        bars_per_year=bars.bars_per_year,
    )


def searched_by_hand(plan: SearchPlan, bars: Bars) -> float:
    """The best eligible trial of a grid in a plain loop: the first of the largest target; its statistic."""
    search = Search(RULE, plan)
    best, chosen = -math.inf, None
    for point in search.sampler.ask(0, search.sampler.n_trials):
        metrics = evaluate_points(RULE, bars, point[np.newaxis], EXECUTION, metrics=["sharpe", "n_trades"])
        score = float(metrics["sharpe"][0])
        if metrics["n_trades"][0] >= 10 and not math.isnan(score) and score > best:
            best, chosen = score, point
    return math.nan if chosen is None else timing_sharpe(bars, chosen)


def test_the_search_on_permuted_markets_is_the_obvious_loop() -> None:
    plan = plan_of("grid")
    _, subject = found(plan, market_of())
    again = draw_searches(subject, draws(SEED, 3, 9))[ALL_MARKETS]
    slow = [searched_by_hand(plan, by_hand(BARS, draw_order(len(BARS), SEED, i))) for i in range(3, 9)]
    np.testing.assert_allclose(again, slow, rtol=1e-9)
    assert len(set(again)) == 6


@pytest.mark.parametrize("method", METHODS)
def test_every_method_is_run_again_as_it_is_and_in_any_parts(method: str) -> None:
    plan = plan_of(method)
    outcome, subject = found(plan, market_of())
    whole = draw_searches(subject, draws(SEED, 0, 6))[ALL_MARKETS]
    parts = [draw_searches(subject, draws(SEED, start, start + 2))[ALL_MARKETS] for start in (4, 0, 2)]
    assert whole == [*parts[1], *parts[2], *parts[0]]
    bars = permuted(BARS, draw_order(len(BARS), SEED, 5))
    other = run_whole(Search(RULE, plan), [market_of(bars)], n_threads=2)
    assert other.best is not None
    assert whole[5] == timing_sharpe(bars, other.found.points[other.best])
    if method in ("genetic", "tpe", "staged", "zoom"):
        assert not np.array_equal(other.found.points, outcome.found.points)


@pytest.mark.parametrize("method", METHODS)
def test_the_real_winner_is_found_again(method: str) -> None:
    outcome, subject = found(plan_of(method), market_of())
    trials = trials_of(subject)
    assert len(trials) == len(np.unique(outcome.found.points, axis=0))
    assert subject.point.tolist() in trials.tolist()
    assert statistic_of(subject) == timing_sharpe(BARS, subject.point)


def test_another_winner_than_that_of_the_search_is_refused() -> None:
    outcome, subject = found(plan_of("grid"), market_of())
    second = next(point for point in outcome.found.points if not np.array_equal(point, subject.point))
    for judged in (replace(subject, point=second), replace(subject, plan=plan_of("random"))):
        with pytest.raises(Internal, match="finds another winner"):
            bootstrap_trials(judged, 8, 19, SEED)


def test_a_search_that_stopped_early_stops_by_the_same_rules_again() -> None:
    rules = StopRules(batch=5, patience=1)
    plan = plan_of("random", n_trials=200)
    outcome, subject = found(plan, market_of(), rules=rules)
    assert outcome.stopped_by == "no_improvement"
    assert len(trials_of(subject)) == len(outcome.found.points) < 200
    again = draw_searches(subject, draws(SEED, 0, 4))[ALL_MARKETS]
    lengths = []
    for i, value in enumerate(again):
        bars = permuted(BARS, draw_order(len(BARS), SEED, i))
        other = run_whole(Search(RULE, plan), [market_of(bars)], rules=rules)
        assert other.best is not None
        assert value == timing_sharpe(bars, other.found.points[other.best])
        lengths.append(len(other.found.points))
    assert max(lengths) < 200
    assert again != draw_searches(replace(subject, stop=None), draws(SEED, 0, 4))[ALL_MARKETS]


def test_a_search_that_time_ended_makes_as_many_trials_again() -> None:
    rules = StopRules(batch=5, time_budget_s=1e-9)
    plan = plan_of("random", n_trials=60)
    first = run_whole(Search(RULE, plan), [market_of()], rules=rules, frozen_at=20)
    assert (first.stopped_by, len(first.found.points)) == ("time_budget", 20)
    assert first.best is not None
    subject = Winner(RULE, plan, first.found.points[first.best], market_of(), rules, frozen_at=20)
    assert len(trials_of(subject)) == 20
    for i, value in enumerate(draw_searches(subject, draws(SEED, 0, 3))[ALL_MARKETS]):
        bars = permuted(BARS, draw_order(len(BARS), SEED, i))
        twenty = run_whole(Search(RULE, plan_of("random", n_trials=60)), [market_of(bars)]).found.first(20)
        best = int(np.nanargmax(np.where(twenty.eligible, twenty.scores[:, 0], -np.inf)))
        assert value == timing_sharpe(bars, twenty.points[best])


def test_a_permuted_market_on_which_nothing_is_eligible_reaches_nothing() -> None:
    plan = plan_of("grid")
    _, subject = found(plan, market_of())
    bounds = [Bound("n_trades >= 1000", "n_trades", 1e6, True)]
    none = replace(subject, plan=plan_of("grid", bounds=bounds))
    assert np.isnan(draw_searches(none, draws(SEED, 0, 2))[ALL_MARKETS]).all()


def test_higher_costs_are_those_costs() -> None:
    costs = Costs(fee_rate=0.001, slippage_rate=0.0005, fixed_fee=2.0)
    execution = Execution(costs, direction="both")
    _, subject = found(plan_of("grid"), Market(BARS.symbol, BARS, execution))
    thrice = Execution(Costs(fee_rate=0.003, slippage_rate=0.0015, fixed_fee=6.0), direction="both")
    dear = evaluate_points(RULE, BARS, subject.point[np.newaxis], thrice, metrics=METRICS)
    assert metrics_at_costs(subject, 3.0) == pytest.approx({name: v[0] for name, v in dear.items()}, nan_ok=True)
    assert metrics_at_costs(subject, 1.0) == pytest.approx(metrics_of(subject), nan_ok=True)
    assert metrics_at_costs(subject, 3.0)["total_return"] < metrics_of(subject)["total_return"]


def test_neighbours_are_one_step_beside_the_winner() -> None:
    plan = plan_of("grid")
    _, subject = found(plan, market_of())
    at = decode_point(RULE.parameters, subject.point)
    beside = []
    for fast, slow in ((f, s) for f in (2, 7, 12) for s in (20, 40, 60)):
        steps = abs(fast - int(at["fast"])) / 5 + abs(slow - int(at["slow"])) / 20
        if steps == 1:
            beside.append(timing_sharpe(BARS, np.array([fast, slow], float)))
    told = neighbours_of(subject)
    assert told["n"] == len(beside) >= 2
    assert told["median"] == pytest.approx(float(np.median(beside)))


def test_a_winner_alone_in_its_space_has_no_neighbours() -> None:
    plan = plan_of("grid", ranges={"fast": 7, "slow": [40]})
    _, subject = found(plan, market_of())
    assert neighbours_of(subject) == {"n": 0, "median": None}


def test_permuted_holdouts_keep_the_bars_before_and_the_parameters() -> None:
    _, in_sample = found(plan_of("grid"), market_of(BARS.slice(0, 490)))
    subject = replace(in_sample, market=market_of(BARS, first=490))
    again = draw_holdouts(subject, draws(SEED, 2, 6))[ALL_MARKETS]
    for i, value in zip(range(2, 6), again, strict=True):
        order = draw_order(len(BARS), SEED, i, start=490)
        assert order[:490].tolist() == list(range(490))
        bars = by_hand(BARS, order)
        np.testing.assert_allclose(bars.close[:490], BARS.close[:490], rtol=1e-12)
        assert bars.close[-1] == pytest.approx(BARS.close[-1])
        assert value == pytest.approx(timing_sharpe(bars, subject.point, first=490), rel=1e-9)
    parts = [draw_holdouts(subject, draws(SEED, i, i + 1))[ALL_MARKETS][0] for i in (5, 3, 2, 4)]
    assert again == [parts[2], parts[1], parts[3], parts[0]]


def test_warm_up_bars_before_the_holdout_decide_the_first_trades_in_it() -> None:
    rule = Strategy.parse("n = Int(50, 2, 200)\nenter_long(close > sma(close, n))\nexit_long(close < sma(close, n))\n")
    bars = moved(np.random.default_rng(2), np.full(300, 0.001), 0.0)
    plan = SearchPlan(target="sharpe", method="grid", n_trials=1, ranges={"n": [100]})
    subject = Winner(rule, plan, np.array([100.0]), Market(bars.symbol, bars, EXECUTION, 200))
    cold = replace(subject, market=Market(bars.symbol, bars.slice(200, 300), EXECUTION, 0))
    assert metrics_of(subject)["exposure"] > 0.95
    assert metrics_of(cold)["exposure"] < 0.05


def test_the_reality_check_tells_an_edge_from_noise() -> None:
    plan = plan_of("grid")
    _, edge = found(plan, market_of(regimes(np.random.default_rng(3), 1400, drift=0.4)))
    assert bootstrap_trials(edge, 32, 400, SEED)["p"] < 0.05
    p = []
    for i in range(4):
        _, noise = found(plan, market_of(walk(np.random.default_rng(i), 1400)))
        told = bootstrap_trials(noise, 32, 400, SEED)
        p.append(told["p"])
        assert (told["n_trials"], told["n_blocks"], told["n_draws"]) == (9, 32, 400)
    assert np.mean(p) > 0.2
    assert bootstrap_trials(edge, 32, 400, SEED) == bootstrap_trials(edge, 32, 400, SEED)


def test_before_there_were_calendars_gaps_were_a_fault_only_of_a_market_around_the_clock() -> None:
    bars = reverting(np.random.default_rng(1), 400, 8.0, 5.0).by(COUNTED)
    assert faults_of(bars, 0) == []
    stamps = bars.timestamp.copy()
    stamps[300:] += 5 * 86_400_000
    holed = replace(bars, timestamp=stamps)
    assert faults_of(holed, 0) == ["1 gaps of more than 3 bars in a market that trades around the clock: fill them"]
    assert faults_of(holed, 300) == []
    assert faults_of(holed, len(holed)) == []
    weekdays = bars.timestamp[0] + 86_400_000 * np.array([7 * (i // 5) + i % 5 for i in range(400)])
    assert faults_of(replace(bars, timestamp=weekdays), 0) == []
