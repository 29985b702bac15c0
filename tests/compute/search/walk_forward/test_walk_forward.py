"""Walk-forward against a loop that does the same by hand: each winner chosen on the past, each part traded flat."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import pytest

import tunesmith as ts
from reference.cases import random_bars
from tunesmith.compute.engines.trace import Order, trace
from tunesmith.compute.search.search import Market
from tunesmith.compute.search.walk_forward.walk_forward import stitch, walk_part
from tunesmith.compute.search.walk_forward.walk_windows import Part, parts_of
from tunesmith.compute.simulation.execution import Execution
from tunesmith.domain.criteria import Bound
from tunesmith.domain.search.search_plan import SearchPlan
from tunesmith.domain.space import encode_points
from tunesmith.errors import Invalid

RULE = ts.strategy("ma_cross_v1.0")
BARS = random_bars(np.random.default_rng(4), 900)
RANGES = {
    "fast_period": {"min": 2, "max": 8},
    "slow_period": {"min": 10, "max": 40, "step": 5},
    "signal_threshold": 0.0,
}
PLAN = SearchPlan(target="sharpe", method="grid", n_trials=10**6, ranges=RANGES)
EXECUTION = Execution(ts.Costs(), "next_open", "long")
MARKET = Market("A/B", BARS, EXECUTION)


def test_anchored_windows_grow_and_rolling_ones_move() -> None:
    assert parts_of(10, 4, 3, anchored=True) == [Part(0, 4, 7), Part(0, 7, 10)]
    assert parts_of(11, 4, 3, anchored=False) == [Part(0, 4, 7), Part(3, 7, 10), Part(6, 10, 11)]
    assert parts_of(12, 4, 3, anchored=True, first=2) == [Part(2, 6, 9), Part(2, 9, 12)]
    with pytest.raises(Invalid, match="4 bars leave nothing to trade after 4") as refused:
        parts_of(4, 4, 3, anchored=True)
    assert refused.value.path == "/data/train_bars"


@pytest.mark.parametrize("anchored", [True, False])
def test_each_winner_is_chosen_on_the_past_and_trades_the_next_part(anchored: bool) -> None:
    points = [(f, s) for f in range(2, 9) for s in range(10, 41, 5)]
    params = {"fast_period": [p[0] for p in points], "slow_period": [p[1] for p in points], "signal_threshold": 0.0}
    returns, efficiencies = [], []
    for part in parts_of(len(BARS), 400, 150, anchored=anchored):
        found = walk_part(RULE, PLAN, MARKET, part)
        past = ts.evaluate(RULE, BARS.slice(0, part.stop), params, start=part.start)
        best = int(np.nanargmax(past.metrics["sharpe"]))
        assert (found.params["fast_period"], found.params["slow_period"]) == points[best]
        assert found.score == past.metrics["sharpe"][best]
        growth, n_trades, _ = by_hand(RULE, found.params, part, MARKET)
        assert np.prod(1.0 + found.returns) == pytest.approx(growth, rel=1e-9)
        assert (found.n_trades, len(found.returns)) == (n_trades, part.end - part.stop)
        returns.append(found)
        efficiencies.append(math.log1p(past.metrics["total_return"][best]) / (part.stop - part.start))
    account = stitch(returns, BARS.bars_per_year, 10_000.0)
    whole = np.concatenate([each.returns for each in returns])
    assert len(account.equity) == len(BARS) - 400
    assert account.metrics["total_return"] == pytest.approx(np.prod(1.0 + whole) - 1.0)
    assert account.metrics["sharpe"] == pytest.approx(whole.mean() / whole.std(ddof=1) * math.sqrt(BARS.bars_per_year))
    inside = float(np.mean(efficiencies))
    outside = math.log1p(account.metrics["total_return"]) / len(whole)
    assert account.efficiency == pytest.approx(outside / inside) or (inside <= 0 and math.isnan(account.efficiency))


@pytest.mark.parametrize("fill", ["next_open", "close"])
@pytest.mark.parametrize("strategy_id", ["macd", "grid_v1.2"])
def test_the_first_open_is_traded_and_what_is_open_at_the_end_pays_its_exit(strategy_id: str, fill: Any) -> None:
    rule = ts.strategy(strategy_id)
    costs = ts.Costs(fee_rate=0.002, slippage_rate=0.001, fixed_fee=3.0)
    market = Market("A/B", BARS, Execution(costs, fill, rule.direction("auto")))
    params = {"with_trend": False} if strategy_id == "macd" else {}
    plan = SearchPlan(target="sharpe", method="grid", n_trials=1, ranges={name: [v] for name, v in params.items()})
    plan = msgspec.structs.replace(plan, ranges={**rule.defaults, **params})
    first, open_at_end = 0, 0
    for stop in range(300, 420, 3):
        part = Part(0, stop, stop + 40)
        found = walk_part(rule, plan, market, part)
        growth, n_trades, orders = by_hand(rule, {**rule.defaults, **params}, part, market)
        assert np.prod(1.0 + found.returns) == pytest.approx(growth, rel=1e-9)
        assert found.n_trades == n_trades
        first += bool(orders) and orders[0].bar == stop
        open_at_end += len(orders) % 2
    assert open_at_end > 5
    assert first >= 2


def test_ten_bars_by_hand() -> None:
    """Long from the first open of the part to its last close, each with a fee of 1 %; and the same where it ends."""
    rule = ts.Strategy.parse("enter_long(close > open)\nexit_long(close < open)\n")
    opens = np.array([100.0, 101, 102, 101, 100, 100, 110, 105, 108, 115])
    closes = np.array([101.0, 102, 101, 100, 101, 110, 112, 108, 115, 121])
    columns = {"open": opens, "high": np.maximum(opens, closes), "low": np.minimum(opens, closes), "close": closes}
    stamps = np.arange(10, dtype=np.int64) * 3_600_000 + 1_704_067_200_000
    bars = ts.Bars.from_arrays(stamps, {**columns, "volume": np.ones(10)}, symbol="A/B", timeframe="1h")
    market = Market("A/B", bars, Execution(ts.Costs(fee_rate=0.01), "next_open", rule.direction("auto")))
    plan = SearchPlan(target="return", method="grid", n_trials=1, ranges={})
    held, cut = (walk_part(rule, plan, market, Part(0, 5, end)) for end in (10, 7))
    assert (held.n_trades, cut.n_trades) == (1, 1)
    assert np.prod(1.0 + held.returns) == pytest.approx(121 * 0.99 / (100 * 1.01))
    assert np.prod(1.0 + cut.returns) == pytest.approx(112 * 0.99 / (100 * 1.01))
    assert held.returns[:2] == pytest.approx([110 / 101 - 1, 112 / 110 - 1])
    joined = [walk_part(rule, plan, market, part) for part in (Part(0, 5, 7), Part(0, 7, 10))]
    account = stitch(joined, bars.bars_per_year, 1_000.0)
    second = 121 * 0.99 / (105 * 1.01)
    assert account.equity[-1] == pytest.approx(1_000.0 * 112 * 0.99 / (100 * 1.01) * second)
    assert (account.metrics["n_trades"], len(account.equity)) == (2.0, 5)


def by_hand(
    rule: ts.Strategy, params: dict[str, Any], part: Part, market: Market
) -> tuple[float, int, Sequence[Order]]:
    """What an account makes of its orders from the part's first open on, sold out at its last close; and its trades."""
    known, costs = market.bars.slice(0, part.end), market.execution.costs
    start = part.stop - (market.execution.fill == "next_open")
    point = encode_points(rule.parameters, params)[0]
    orders = trace(rule, known, point, market.execution, start=start).orders
    cash, held, n_trades = market.execution.initial_cash, 0.0, 0
    for order in orders:
        sign = 1.0 if order.side == "buy" else -1.0
        cash -= sign * order.size * order.price + order.fee
        held += sign * order.size
        if abs(held) < 1e-9 * order.size:
            held, n_trades = 0.0, n_trades + 1
    if held:
        paid = known.close[-1] * (1.0 - np.sign(held) * costs.slippage_rate)
        cash += held * paid - abs(held) * paid * costs.fee_rate - costs.fixed_fee
        n_trades += 1
    return cash / market.execution.initial_cash, n_trades, orders


def test_a_window_whose_search_finds_nothing_trades_nothing() -> None:
    strict = SearchPlan(
        target="sharpe", method="grid", n_trials=10**6, ranges=RANGES, bounds=[Bound("b", "n_trades", 1e6, True)]
    )
    found = walk_part(RULE, strict, MARKET, Part(0, 400, 500))
    assert (found.params, found.score, found.n_trades) == (None, None, 0)
    account = stitch([found], BARS.bars_per_year, 10_000.0)
    assert account.metrics["total_return"] == 0.0
    assert math.isnan(account.metrics["sharpe"])
    assert math.isnan(account.efficiency)
