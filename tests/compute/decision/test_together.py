"""A winner over several markets, against slow and obvious ways to judge it."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from benchmarks.made_markets import FAMILIES, draws, regimes
from tunesmith.compute.decision.checks.held_out_bars import draw_holdouts
from tunesmith.compute.decision.checks.neighbours import neighbours_of
from tunesmith.compute.decision.checks.search_permutations import draw_searches
from tunesmith.compute.decision.checks.trial_bootstrap import bootstrap_trials
from tunesmith.compute.decision.permutation_test import ALL_MARKETS
from tunesmith.compute.decision.reported_statistics import report_of
from tunesmith.compute.decision.statistics.permuted_markets import draw_order, draw_orders
from tunesmith.compute.decision.winner import (
    Winner,
    metrics_at_costs,
    metrics_by_symbol,
    metrics_of,
    statistic_of,
    trials_of,
)
from tunesmith.compute.engines.evaluate import evaluate_points
from tunesmith.compute.search.search import Market, Search, run_whole
from tunesmith.compute.simulation.execution import Execution
from tunesmith.domain.criteria import Bound
from tunesmith.domain.market.bars import COLUMNS, Bars
from tunesmith.domain.search.search_plan import SearchPlan
from tunesmith.domain.trading import Costs

RULE = FAMILIES["moving averages"].rule
EXECUTION = Execution(Costs(fee_rate=0.001), direction="both")
FLOOR = [Bound("n_trades >= 10", "n_trades", 10.0, True)]
SEED = 20_250_301
DAY = 86_400_000
HOW = {"mean": np.mean, "median": np.median, "minimum": np.min}


def some(bars: Bars, chosen: Any, symbol: str) -> Bars:
    columns = {name: getattr(bars, name)[chosen] for name in COLUMNS}
    return Bars.from_arrays(bars.timestamp[chosen], columns, symbol=symbol, timeframe="1d", bars_per_year=365.0)


def markets() -> list[Market]:
    """Three markets: one begins late, one has holes, and none ends where another does."""
    rng = np.random.default_rng(8)
    days = np.arange(560)
    made = {"A": days >= 0, "B": days >= 60, "C": (days % 17 != 3) & (days < 540)}
    return [Market(name, some(regimes(rng, 560), chosen, name), EXECUTION) for name, chosen in made.items()]


def plan_of(aggregate: str) -> SearchPlan:
    ranges = {"fast": [2, 7, 12], "slow": [20, 40]}
    return SearchPlan(target="sharpe", method="grid", n_trials=6, ranges=ranges, bounds=FLOOR, aggregate=aggregate)  # type: ignore[arg-type]


def winner(aggregate: str = "mean") -> Winner:
    found, plan = markets(), plan_of(aggregate)
    outcome = run_whole(Search(RULE, plan), found)
    assert outcome.best is not None
    return Winner(RULE, plan, outcome.found.points[outcome.best], found[0], others=tuple(found[1:]))


def one_number(each: list[Bars], point: Any, metric: str, aggregate: str, starts: tuple[int, ...] = (0, 0, 0)) -> float:
    values = [
        evaluate_points(RULE, bars, point[np.newaxis], EXECUTION, start=start, metrics=[metric])[metric][0]
        for bars, start in zip(each, starts, strict=True)
    ]
    return float(HOW[aggregate](values))


def moved(bars: Bars, source_of: dict[int, int]) -> Bars:
    """The bars with that of the time source_of[t] at time t, each relative to the close before it, one at a time."""
    at = {int(t): i for i, t in enumerate(bars.timestamp)}
    columns: dict[str, list[float]] = {name: [] for name in COLUMNS}
    before = float(bars.close[0])
    for stamp in bars.timestamp.tolist():
        i = at[source_of[stamp]]
        old = float(bars.close[max(0, i - 1)])
        for name in ("open", "high", "low", "close"):
            columns[name].append(float(getattr(bars, name)[i]) / old * before)
        columns["volume"].append(float(bars.volume[i]))
        before = columns["close"][-1]
    return replace(bars, **{name: np.array(values) for name, values in columns.items()})


def sources(each: list[Bars], index: int, starts: tuple[int, ...] = (1, 1, 1)) -> list[dict[int, int]]:
    orders = draw_orders([bars.timestamp for bars in each], SEED, index, starts)
    return [
        {int(t): int(bars.timestamp[i]) for t, i in zip(bars.timestamp, order, strict=True)}
        for bars, order in zip(each, orders, strict=True)
    ]


def test_what_markets_have_in_common_moves_together_and_the_rest_among_itself() -> None:
    each = [market.bars for market in markets()]
    shared = set.intersection(*(set(bars.timestamp[1:].tolist()) for bars in each))
    for index in (0, 7):
        of = sources(each, index)
        for bars, source_of in zip(each, of, strict=True):
            assert sorted(source_of.values()) == bars.timestamp.tolist()
            assert source_of[int(bars.timestamp[0])] == bars.timestamp[0]
        for stamp in shared:
            assert of[0][stamp] == of[1][stamp] == of[2][stamp]
            assert of[0][stamp] in shared
        assert sum(source_of[stamp] != stamp for stamp in shared for source_of in of[:1]) > 0.9 * len(shared)
        own = [stamp for stamp in of[0] if stamp not in shared][1:]
        assert sum(of[0][stamp] != stamp for stamp in own) > 0.9 * len(own)
    assert sources(each, 0) != sources(each, 7)


@pytest.mark.parametrize("start", [1, 300])
def test_one_market_moves_as_it_does_alone(start: int) -> None:
    bars = markets()[2].bars
    for index in range(3):
        [order] = draw_orders([bars.timestamp], SEED, index, [start])
        assert order.tolist() == draw_order(len(bars), SEED, index, start=start).tolist()


@pytest.mark.parametrize("aggregate", HOW)
def test_the_search_on_markets_permuted_together_is_the_obvious_loop(aggregate: str) -> None:
    subject, each = winner(aggregate), [market.bars for market in markets()]
    again = draw_searches(subject, draws(SEED, 2, 5))[ALL_MARKETS]
    for index, value in zip(range(2, 5), again, strict=True):
        shuffled = [moved(bars, of) for bars, of in zip(each, sources(each, index), strict=True)]
        best, chosen = -math.inf, np.empty(0)
        for fast in (2.0, 7.0, 12.0):
            for slow in (20.0, 40.0):
                point = np.array([fast, slow])
                score = one_number(shuffled, point, "sharpe", aggregate)
                if one_number(shuffled, point, "n_trades", aggregate) >= 10 and score > best + 1e-12:
                    best, chosen = score, point
        assert value == pytest.approx(one_number(shuffled, chosen, "timing_sharpe", aggregate), rel=1e-9)
        told = draw_searches(subject, draws(SEED, index, index + 1))
        assert list(told) == [ALL_MARKETS, "A", "B", "C"]
        for market, bars in zip(subject.markets, shuffled, strict=True):
            alone = evaluate_points(RULE, bars, chosen[np.newaxis], EXECUTION, metrics=["timing_sharpe"])
            assert told[market.symbol] == pytest.approx(alone["timing_sharpe"].tolist(), rel=1e-9)
    parts = [draw_searches(subject, draws(SEED, i, i + 1))[ALL_MARKETS][0] for i in (4, 2, 3)]
    assert again == [parts[1], parts[2], parts[0]]


def test_holdouts_are_permuted_together_with_what_came_before_in_place() -> None:
    subject, starts = replace(winner(), point=np.array([2.0, 20.0])), (300, 240, 290)
    held = subject.on([replace(market, first=first) for market, first in zip(subject.markets, starts, strict=True)])
    each = [market.bars for market in held.markets]
    for index, value in enumerate(draw_holdouts(held, draws(SEED, 0, 3))[ALL_MARKETS]):
        of = sources(each, index, starts)
        for bars, source_of, first in zip(each, of, starts, strict=True):
            assert all(source_of[stamp] == stamp for stamp in bars.timestamp[:first].tolist())
        shuffled = [moved(bars, source_of) for bars, source_of in zip(each, of, strict=True)]
        slow = one_number(shuffled, subject.point, "timing_sharpe", "mean", starts)
        assert value == pytest.approx(slow, rel=1e-9)


@pytest.mark.parametrize("aggregate", HOW)
def test_the_winner_is_judged_as_the_search_judged_it(aggregate: str) -> None:
    subject = winner(aggregate)
    each = [market.bars for market in subject.markets]
    assert statistic_of(subject) == pytest.approx(one_number(each, subject.point, "timing_sharpe", aggregate))
    told = metrics_of(subject)
    assert told["sharpe"] == pytest.approx(one_number(each, subject.point, "sharpe", aggregate))
    apart = metrics_by_symbol(subject)
    assert list(apart) == ["A", "B", "C"]
    for market in subject.markets:
        alone = evaluate_points(RULE, market.bars, subject.point[np.newaxis], EXECUTION, metrics=["sharpe"])
        assert apart[market.symbol]["sharpe"] == alone["sharpe"][0]
    assert metrics_at_costs(subject, 3.0)["total_return"] < told["total_return"]
    assert neighbours_of(subject)["n"] >= 2
    trials = trials_of(subject)
    assert subject.point.tolist() in trials.tolist()


def test_the_reality_check_hears_every_market() -> None:
    subject = winner()
    together = bootstrap_trials(subject, 16, 200, SEED)["p"]
    assert together == bootstrap_trials(subject, 16, 200, SEED)["p"]
    alone = [
        bootstrap_trials(replace(winner_on(market), plan=subject.plan), 16, 200, SEED)["p"]
        for market in subject.markets
    ]
    assert together < 0.1
    assert together <= max(alone)
    backwards = subject.on([replace(market, bars=mirrored(market.bars)) for market in subject.markets])
    lost = run_whole(Search(RULE, subject.plan), backwards.markets)
    assert lost.best is not None
    assert bootstrap_trials(replace(backwards, point=lost.found.points[lost.best]), 16, 200, SEED)["p"] > together


def winner_on(market: Market) -> Winner:
    outcome = run_whole(Search(RULE, plan_of("mean")), [market])
    assert outcome.best is not None
    return Winner(RULE, plan_of("mean"), outcome.found.points[outcome.best], market)


def mirrored(bars: Bars) -> Bars:
    """The same bars in a random order: no edge is left."""
    order = draw_order(len(bars), 1, 1)
    return moved(bars, {int(t): int(bars.timestamp[i]) for t, i in zip(bars.timestamp, order, strict=True)})


def test_the_report_tells_of_each_market() -> None:
    subject = winner()
    told = report_of(subject)["symbols"]
    assert list(told) == ["A", "B", "C"]
    assert told["B"]["holding"]["sharpe"] == pytest.approx(metrics_by_symbol(subject)["B"]["sharpe"])
    assert told["A"]["dsr"]["n_trials"] == 6
