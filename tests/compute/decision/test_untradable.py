"""The gates against evidence that nobody can trade: the spread's, a bar's delay, and fills at the close."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest

from benchmarks.untradable import FIRST, PLAN, Cell, gates, make_market, one_market, winner_on
from compute.decision.test_decision_plan import ANSWERS, GOOD, INPUTS, changed, judge, works
from tunesmith.compute.decision.checks import late_fills, spread_costs
from tunesmith.compute.decision.checks.check_declaration import DecisionCheck
from tunesmith.compute.decision.checks.check_registry import registered
from tunesmith.compute.decision.checks.spread_costs import with_spreads
from tunesmith.compute.decision.inputs import Findings, WorkInputs
from tunesmith.compute.decision.statistics.bid_ask_spread import spread_of
from tunesmith.compute.decision.winner import Winner, metrics_of, metrics_one_bar_later, statistic_of
from tunesmith.compute.engines.evaluate import evaluate_points
from tunesmith.compute.rules.strategy import Strategy
from tunesmith.compute.search.search import Market
from tunesmith.compute.simulation.execution import Execution
from tunesmith.domain.approval import Check
from tunesmith.domain.market.bars import Bars
from tunesmith.domain.space import encode_points
from tunesmith.domain.thresholds import Thresholds
from tunesmith.domain.trading import Costs

BOUNCE = Cell("walk", 0.004, 0.003, 0.0002)
NO_INPUTS = WorkInputs(thresholds=Thresholds(), seed=0)


REVERSAL = "enter_long(close < shift(close))\nexit_long(close > shift(close))\n"
"""It buys where the price lies at the bid and sells where it lies at the ask, as limit orders would."""


def won(code: str, *bars: Bars, fee: float = 0.0002) -> Winner:
    """The rule's only point as if a search had chosen it, on each of the markets."""
    rule = Strategy.parse(code)
    point = encode_points(rule.parameters, {})[0]
    markets = [Market(each.symbol, each, Execution(Costs(fee_rate=fee)), FIRST) for each in bars]
    return Winner(rule, PLAN, point, markets[0], others=tuple(markets[1:]))


def test_a_rule_that_only_earns_the_bounce_fails_both_gates() -> None:
    bars = make_market(np.random.default_rng(21), BOUNCE)
    subject = won(REVERSAL, bars)
    on_paper = metrics_of(subject)
    assert on_paper["total_return"] > 1.0
    assert statistic_of(subject) > 5.0
    told = gates(subject)
    assert (told["spread"], told["delay"]) == (False, False)
    assert told["used"] == pytest.approx(0.006, rel=0.1)


def test_what_is_bought_once_and_held_passes_and_pays_for_one_order() -> None:
    bars = make_market(np.random.default_rng(22), BOUNCE)
    trend = np.exp(0.0005 * np.abs(np.arange(len(bars)) - 1500))
    before = np.concatenate([trend[:1], trend[:-1]])
    opens, closes = bars.open * before, bars.close * trend
    high, low = np.maximum(bars.high * trend, opens), np.minimum(bars.low * trend, opens)
    prices = {"open": opens, "high": high, "low": low, "close": closes}
    bars = replace(bars, **prices, volume=np.where(np.arange(len(bars)) == 1500, 2.0, 1.0))
    subject = won("enter_long(volume > 1)\n", bars)
    in_time, late, dearer = metrics_of(subject), metrics_one_bar_later(subject), with_spreads(subject, NO_INPUTS)
    gap = bars.open[1502] / bars.open[1501]
    assert (1 + late["total_return"]) * gap == pytest.approx(1 + in_time["total_return"], rel=1e-9)
    used = dearer["estimates"][bars.symbol]["used"]
    assert used == pytest.approx(0.006, rel=0.1)
    paid = (1 + dearer["total_return"]) / (1 + in_time["total_return"])
    assert paid == pytest.approx(1.0002 / (1.0002 + used / 2), rel=1e-9)
    told = gates(subject)
    assert (told["spread"], told["delay"]) == (True, True)


def test_real_edges_pass_and_false_closes_fail_at_the_delay() -> None:
    for seed, kind in enumerate(["drift", "ou8", "ou4"]):
        subject = winner_on(make_market(np.random.default_rng(seed), Cell(kind, 0.01, 0.0002, 0.0005)), 0.0005)
        assert subject is not None
        told = gates(subject)
        assert (told["spread"], told["delay"]) == (True, True), kind
    wrong = winner_on(make_market(np.random.default_rng(5), Cell("false closes", 0.006, 0.0, 0.001)), 0.001)
    assert wrong is not None
    assert statistic_of(wrong) > 3.0
    assert not gates(wrong)["delay"]


@pytest.mark.parametrize(("how", "one_of"), [("mean", np.mean), ("minimum", np.min)])
def test_of_several_symbols_each_pays_its_own_spread_and_the_aggregate_is_judged(how: str, one_of: Any) -> None:
    bars = [
        replace(make_market(np.random.default_rng(30 + i), BOUNCE._replace(half=half)), symbol=symbol)
        for i, (symbol, half) in enumerate([("A", 0.001), ("B", 0.003)])
    ]
    subject = won(REVERSAL, *bars)
    subject = replace(subject, plan=msgspec.structs.replace(subject.plan, aggregate=how))
    found, late = with_spreads(subject, NO_INPUTS), metrics_one_bar_later(subject)
    for name in ("total_return", "timing_sharpe"):
        alone = []
        for each in bars:
            used = spread_of(each, FIRST).used
            assert found["estimates"][each.symbol]["used"] == used > 0.0
            dearer = Execution(Costs(fee_rate=0.0002 + used / 2))
            told = evaluate_points(subject.rule, each, subject.point[np.newaxis], dearer, start=FIRST, metrics=[name])
            alone.append(float(told[name][0]))
        assert found[name] == pytest.approx(one_of(alone))
        each_late = [metrics_one_bar_later(subject.on([market]))[name] for market in subject.markets]
        assert late[name] == pytest.approx(one_of(each_late))


def test_a_spread_beyond_what_a_fee_may_be_leaves_nothing_instead_of_an_error() -> None:
    bars = make_market(np.random.default_rng(40), Cell("walk", 0.004, 0.45, 0.0))
    subject = won(REVERSAL, bars)
    found = with_spreads(subject, NO_INPUTS)
    assert found["estimates"][bars.symbol]["used"] > 0.5
    assert found["total_return"] == pytest.approx(-1.0, abs=1e-6)


def test_the_gates_stand_between_neighbours_and_the_first_test_and_only_in_the_second_edition() -> None:
    names = [check.name for check in registered(2)]
    at = names.index("neighbours")
    assert names[at + 1 : at + 3] == ["spread", "delay"]
    assert names.index("delay") < min(names.index(name) for name in ("searches", "holdout"))
    assert {"spread", "delay", "fill"} & {check.name for check in registered(1)} == set()


@pytest.mark.parametrize(
    ("answers", "last", "failed", "words"),
    [
        (
            {"spread": {**ANSWERS["spread"], "total_return": -0.031}},
            "spread",
            "spread_total_return",
            "with half of the estimated spread of 0.21% added to each order the net return is -3.1%",
        ),
        (
            {"spread": {**ANSWERS["spread"], "timing_sharpe": None}},
            "spread",
            "spread_timing_sharpe",
            "the timing Sharpe ratio is undefined",
        ),
        ({"delay": {"total_return": 0.0, "timing_sharpe": 0.9}}, "delay", "delay_total_return", "it is 0.0%"),
        (
            {"delay": {"total_return": 0.2, "timing_sharpe": 0.43}},
            "delay",
            "delay_timing_sharpe",
            "one bar later the timing Sharpe ratio is 0.43; at least 0.44 is asked, 40% of 1.10",
        ),
        (
            {"delay": {"total_return": 0.2, "timing_sharpe": math.nan}},
            "delay",
            "delay_timing_sharpe",
            "the timing Sharpe ratio is undefined",
        ),
    ],
)
def test_a_gate_that_fails_refuses_before_anything_is_spent(
    answers: dict[str, Any], last: str, failed: str, words: str
) -> None:
    decision, asked = judge(**answers)
    assert (decision.status, works(asked)[-1]) == ("rejected", last)
    assert [check.name for check in decision.checks if not check.passed] == [failed]
    assert words in decision.reason


def lines_of(check: DecisionCheck, answer: Any) -> dict[str, Check]:
    """The lines of a check that asks for one work."""
    asking = check.judge(INPUTS, Findings(metrics={"in_sample": GOOD}))
    assert not isinstance(asking, list)
    next(asking)
    with pytest.raises(StopIteration) as stop:
        asking.send(answer)
    return {made.name: made for made in stop.value.value}


def test_at_the_limit_a_gate_passes_and_without_a_spread_the_line_says_so() -> None:
    told = lines_of(late_fills.CHECK, {"total_return": 0.2, "timing_sharpe": 0.4 * 1.1})
    assert all(each.passed for each in told.values())
    assert told["delay_timing_sharpe"].threshold == pytest.approx(0.44)
    none = {"A": {"used": 0.0}, "B": {"used": 0.0}}
    told = lines_of(spread_costs.CHECK, {**ANSWERS["spread"], "estimates": none})
    assert all(each.passed for each in told.values())
    assert told["spread_total_return"].reason.startswith("these bars show no spread, so nothing is added: the net")
    two = {"A": {"used": 0.002}, "B": {"used": 0.0}}
    told = lines_of(spread_costs.CHECK, {**ANSWERS["spread"], "estimates": two})
    assert "half of the estimated spread (A 0.20%, B 0.00%) added" in told["spread_total_return"].reason


def test_fills_at_the_close_are_refused_before_any_work_and_told_what_to_do() -> None:
    decision, asked = judge(replace(INPUTS, fill="close"))
    assert (decision.status, asked) == ("rejected", [])
    assert "search again with fill: next_open, or ask for approval by criteria" in decision.reason
    old, asked = judge(replace(INPUTS, fill="close", edition=1), **changed("holdout"))
    assert old.approved
    assert not {"spread", "delay"} & set(works(asked))


def test_the_benchmark_finds_a_bounce_that_no_gate_lets_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.untradable.N_DRAWS", 5)
    row = one_market(7, 0)
    assert row["row"].startswith("bounce")
    assert (row["found"], row["spread"], row["delay"], row["approved"]) == (True, False, False, False)
