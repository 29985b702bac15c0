"""vectorbt as the engine of a search: our numbers, to 1e-9, wherever both mean the same; refused elsewhere."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tunesmith as ts
from reference.cases import random_bars
from stepped import colours
from tunesmith.compute.engines.engine_table import ENGINES, check_engine
from tunesmith.compute.engines.evaluate import evaluate_points
from tunesmith.compute.engines.vectorbt_engine import share_left
from tunesmith.compute.rules.strategy import Strategy
from tunesmith.compute.search.search import Market, Search
from tunesmith.compute.simulation.execution import Execution
from tunesmith.compute.strategies import builtin
from tunesmith.compute.strategies.installed import as_strategy
from tunesmith.domain.market.bars import Bars
from tunesmith.domain.metrics import METRICS, TIMING_T
from tunesmith.domain.search.search_plan import SearchPlan
from tunesmith.domain.space import build_space
from tunesmith.domain.trading import Costs
from tunesmith.errors import Invalid

pytest.importorskip("vectorbt")

PARAMETERS = "fast = Int(5, 2, 30)\nslow = Int(30, 10, 120)\nlevel = Float(0.01, 0.0, 0.03)\n"
CONDITIONS = [
    "sma(close, fast) > sma(close, slow)",
    "crossed_above(ema(close, fast), ema(close, slow))",
    "crossed_below(close, sma(close, slow))",
    "rsi(close, fast) < 30",
    "rsi(close, fast) > 70",
    "close > highest(shift(high, 1), slow)",
    "close < lowest(shift(low, 1), fast)",
    "roc(close, fast) > level * 100",
    "close < open * (1 - level)",
    "volume > sma(volume, slow)",
]


def random_rule(rng: np.random.Generator) -> Strategy:
    """A rule of two orders or four, each of one condition or two."""
    lines = []
    sides = (("long",), ("short",), ("long", "short"))[rng.integers(3)]
    for side in sides:
        for order in (f"enter_{side}", f"exit_{side}"):
            first, second = rng.choice(CONDITIONS, 2, replace=False)
            joined = rng.choice([first, f"{first} and {second}", f"{first} or {second}"])
            lines.append(f"{order}({joined})")
    return Strategy.parse(PARAMETERS + "\n".join(lines) + "\n")


def compared(rule: Strategy, bars: Bars, points: np.ndarray, execution: Execution, start: int) -> int:
    """Compare all metrics of all points; how many of them vectorbt gave."""
    wanted = (*METRICS, TIMING_T)
    ours = evaluate_points(rule, bars, points, execution, start=start, metrics=wanted)
    theirs = evaluate_points(rule, bars, points, replace(execution, engine="vectorbt"), start=start, metrics=wanted)
    given = ~np.isnan(theirs["total_return"])
    for name, values in ours.items():
        np.testing.assert_allclose(theirs[name][given], values[given], rtol=1e-9, atol=1e-9, err_msg=name)
    return int(given.sum())


@pytest.mark.parametrize("fill", ["next_open", "close"])
@pytest.mark.parametrize("direction", ["long", "short", "both"])
def test_random_rules_on_real_candles_give_the_same_numbers(shared_data: Path, direction: str, fill: str) -> None:
    whole = Bars.read(shared_data / "spot" / "ETH_USDT-1h.parquet", symbol="ETH/USDT", timeframe="1h")
    rng = np.random.default_rng(len(direction) * 10 + len(fill))
    n_given = n_traded = 0
    for costs in (Costs(fee_rate=0.0), Costs(fee_rate=0.001, slippage_rate=0.0005), Costs(fixed_fee=2.0)):
        if direction == "both" and costs.fixed_fee:
            continue
        for _ in range(3):
            rule = random_rule(rng)
            points = build_space(rule.parameters, {}).sample(rng.random((20, len(rule.parameters))))
            execution = Execution(costs, fill, direction)  # type: ignore[arg-type]
            at = int(rng.integers(0, len(whole) - 1500))
            bars = whole.slice(at, at + 1500)
            n_given += compared(rule, bars, points, execution, int(rng.choice([0, 300])))
            n_traded += 1
    assert n_given > 8 * n_traded


@pytest.mark.parametrize("strategy_id", ["ma_cross_v1.0", "bollinger_breakout", "macd", "supertrend"])
def test_built_in_strategies_give_the_same_numbers(shared_data: Path, strategy_id: str) -> None:
    bars = Bars.read(shared_data / "spot" / "BTC_USDT-1h.parquet", symbol="BTC/USDT", timeframe="1h").slice(0, 3000)
    strategy = builtin(strategy_id)
    sampled = build_space(strategy.parameters, {}).sample(
        np.random.default_rng(1).random((30, 6))[:, : len(strategy.parameters)]
    )
    points = sampled[strategy.valid(sampled)]
    execution = Execution(Costs(fee_rate=0.0007, slippage_rate=0.0002), direction="both")
    assert compared(strategy, bars, points, execution, 200) == len(points)


def test_chunks_are_bounded_and_one_point_is_a_chunk_too(monkeypatch: pytest.MonkeyPatch) -> None:
    bars = random_bars(np.random.default_rng(2), 400)
    rule = builtin("ma_cross_v1.0")
    points = np.array(list(itertools.product([2.0, 3.0, 5.0], [8.0, 13.0, 21.0], [0.0])))
    assert compared(rule, bars, points, Execution(), 0) == 9
    monkeypatch.setattr("tunesmith.compute.engines.vectorbt_engine._BUDGET", 1)
    assert compared(rule, bars, points, Execution(), 50) == 9


def test_points_that_break_a_require_stay_nan() -> None:
    bars = random_bars(np.random.default_rng(2), 200)
    points = np.array([[20.0, 5.0, 0.0], [5.0, 20.0, 0.0]])
    found = evaluate_points(builtin("ma_cross_v1.0"), bars, points, Execution(engine="vectorbt"))
    assert np.isnan(found["total_return"]).tolist() == [True, False]


RISEN = "enter_short(close == 100)\nexit_short(close > 259)\n"


def risen() -> Bars:
    """A market that a short at 100 does not survive."""
    close = np.concatenate([np.full(5, 100.0), np.linspace(100.0, 260.0, 20)])
    columns = {"open": close, "high": close * 1.001, "low": close * 0.999, "close": close, "volume": close}
    return Bars.from_arrays(np.arange(25, dtype=np.int64) * 3_600_000, columns, symbol="X/Y", timeframe="1h")


def test_a_short_that_comes_to_its_end_is_not_given() -> None:
    bars, rule = risen(), Strategy.parse(RISEN)
    execution = Execution(direction="short", engine="vectorbt")
    assert np.isnan(evaluate_points(rule, bars, np.zeros((1, 0)), execution)["total_return"][0])
    calm = evaluate_points(rule, bars.slice(0, 8), np.zeros((1, 0)), execution)
    assert calm["total_return"][0] < 0


def test_an_account_that_fixed_fees_have_worn_down_is_not_given() -> None:
    bars = random_bars(np.random.default_rng(2), 200)
    rule = Strategy.parse("enter_long(close > open)\nexit_long(close < open)\n")
    for fixed_fee, given in ((1.0, True), (2000.0, False)):
        execution = Execution(Costs(fixed_fee=fixed_fee), engine="vectorbt")
        found = evaluate_points(rule, bars, np.zeros((1, 0)), execution)
        assert np.isnan(found["total_return"][0]) != given


@pytest.mark.parametrize(
    ("code", "costs", "direction", "path", "says"),
    [
        ("enter_long(close > open)\nstop_loss(0.1)\n", Costs(), "long", "/data/engine", "the rule has stop_loss"),
        ("enter_long(close > open)\ntake_profit(0.1)\n", Costs(), "long", "/data/engine", "has take_profit"),
        ("enter_long(close > open)\ntrailing_stop(0.1)\n", Costs(), "long", "/data/engine", "has trailing_stop"),
        ("enter_long(close > open)\nmax_holding(9)\n", Costs(), "long", "/data/engine", "has max_holding"),
        (
            "enter_long(close > open)\nenter_short(close < open)\n",
            Costs(fixed_fee=1.0),
            "both",
            "/data/costs/fixed_fee",
            "one fixed fee for a reversal",
        ),
        ("enter_short(close < open)\n", Costs(slippage_rate=0.45), "short", "/data/costs", "could not be closed"),
    ],
)
def test_what_vectorbt_means_otherwise_is_refused_with_the_reason(
    code: str, costs: Costs, direction: str, path: str, says: str
) -> None:
    rule = Strategy.parse(code)
    check_engine(rule, "tunesmith", costs, direction, "/data")  # type: ignore[arg-type]
    with pytest.raises(Invalid, match=says) as refused:
        check_engine(rule, "vectorbt", costs, direction, "/data")  # type: ignore[arg-type]
    assert refused.value.path == path


def test_path_dependent_strategies_are_refused() -> None:
    bars = random_bars(np.random.default_rng(2), 50)
    for strategy in (builtin("grid_v1.2"), as_strategy(colours.STRATEGY)):
        points = np.ones((1, len(strategy.parameters)))
        with pytest.raises(Invalid, match="path-dependent") as refused:
            evaluate_points(strategy, bars, points, Execution(engine="vectorbt"))
        assert refused.value.path == "/engine"


def test_the_share_left_is_that_of_a_round_trip() -> None:
    costs = Costs(fee_rate=0.01, slippage_rate=0.02)
    assert share_left(costs, short=False) == pytest.approx(0.99 * 0.98 / (1.01 * 1.02))
    sold = 1 / (0.98 * 1.01)
    assert share_left(costs, short=True) == pytest.approx(1 + sold * 0.98 * 0.99 - sold * 1.02 * 1.01)


def test_the_library_searches_with_either_engine() -> None:
    bars = random_bars(np.random.default_rng(9), 900)
    asked = {"fast_period": [2, 5, 8], "slow_period": [12, 20, 30], "signal_threshold": 0.0}
    studies = [
        ts.optimize(ts.strategy("ma_cross_v1.0"), bars, asked, engine=engine) for engine in ("tunesmith", "vectorbt")
    ]  # type: ignore[arg-type]
    ours, theirs = (study.table.metrics for study in studies)
    for name, values in ours.items():
        np.testing.assert_allclose(theirs[name], values, rtol=1e-9, atol=1e-9, err_msg=name)
    assert studies[0].best_params == studies[1].best_params
    verdicts = [ts.judge(study) for study in studies]
    assert verdicts[0] == verdicts[1]
    for refused in (ts.evaluate, ts.optimize):
        with pytest.raises(Invalid) as error:
            refused(ts.strategy("rsi_reversion"), bars, engine="vectorbt")  # type: ignore[operator]
        assert error.value.path == "/engine"


@pytest.mark.parametrize("fill", ["next_open", "close"])
def test_losses_are_scored_from_its_own_trades(fill: Any) -> None:
    rule = builtin("macd")
    bars = random_bars(np.random.default_rng(21), 700)
    points = build_space(rule.parameters, {"fast": [8, 12, 20], "slow": [16, 26], "with_trend": False}).grid(0, 6)
    execution = Execution(Costs(), fill, "both", engine="vectorbt")
    theirs = ENGINES["vectorbt"].closed_trades(rule, bars, points, execution, start=50)
    ours = ENGINES["tunesmith"].closed_trades(rule, bars, points, execution, start=50)
    assert [trades is None for trades in theirs] == [False, False, False, False, True, False]  # 20 < 16 is required
    assert [trades is None for trades in ours] == [trades is None for trades in theirs]
    for a, b in zip(theirs, ours, strict=True):
        if a is not None and b is not None:
            assert len(a) == len(b) > 5
            np.testing.assert_allclose(a.profit_abs, b.profit_abs, rtol=1e-9, atol=1e-6)
            np.testing.assert_allclose(a.profit_ratio, b.profit_ratio, rtol=1e-9, atol=1e-12)
            assert a.closed_ms.tolist() == b.closed_ms.tolist()


def test_a_point_that_it_has_no_numbers_for_has_no_loss_either() -> None:
    rule = Strategy.parse(RISEN)
    plan = SearchPlan(target="freqtrade:OnlyProfitHyperOptLoss", method="grid", n_trials=1, first_loss_counts=True)
    for engine, has_a_score in (("tunesmith", True), ("vectorbt", False)):
        market = Market("X/Y", risen(), Execution(direction="short", engine=engine))
        found = Search(rule, plan).evaluate([market], 0, 1)
        assert np.isfinite(found.values[0, 0]) == has_a_score == np.isfinite(found.metrics["total_return"][0])
