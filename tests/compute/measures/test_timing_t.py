"""The t statistic of timing returns from a walk's totals equals that of the account's path, on every walk."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from reference.cases import Case, cases, random_bars, slow_run
from reference.metrics import mean_exposure, slow_path_metrics
from stepped import anything
from tunesmith.compute.engines import tunesmith_engine
from tunesmith.compute.engines.evaluate import evaluate_points
from tunesmith.compute.measures.account_metrics import timing_t_of
from tunesmith.compute.measures.path_metrics import PathReader
from tunesmith.compute.rules.strategy import Strategy
from tunesmith.compute.search.selection import aggregate
from tunesmith.compute.simulation.arrays import (
    FINAL_EQUITY,
    N_TIMED_TOTALS,
    N_TOTALS,
    SUM_PRODUCTS,
    SUM_WEIGHTS,
    Results,
)
from tunesmith.compute.simulation.execution import Execution
from tunesmith.compute.simulation.run import empty_results, prepare, walk_signals
from tunesmith.compute.stepping import Sizing
from tunesmith.compute.strategies import BUILTIN_IDS, builtin
from tunesmith.compute.strategies.installed import as_strategy
from tunesmith.domain.market.bars import Bars
from tunesmith.domain.metrics import METRICS, TIMING_T, direction_of, metric_named
from tunesmith.domain.space import build_space, encode_points
from tunesmith.domain.trading import Costs
from tunesmith.errors import Invalid

WALKS = {
    "long": "",
    "long with stops": "stop_loss(0.02)\ntake_profit(0.05)\nmax_holding(30)\n",
    "long and short": "enter_short(crossed_above(close, upper))\n",
    "long and short with stops": "enter_short(crossed_above(close, upper))\nstop_loss(0.02)\ntake_profit(0.05)\n",
    "trailing stop": "enter_short(crossed_above(close, upper))\ntrailing_stop(0.03)\n",
}
BANDS = """
window = Int(20, 2, 60)
width = Float(1.0, 0.1, 3.0)
upper, middle, lower = bbands(close, window, width)
enter_long(crossed_below(close, lower))
exit_long(crossed_above(close, middle))
"""
COSTS = Costs(fee_rate=0.001, slippage_rate=0.0005, fixed_fee=2.0)


def drawn(strategy: Strategy, n: int) -> np.ndarray:
    space = build_space(strategy.parameters, {})
    points = space.sample(np.random.default_rng(3).random((4 * n, len(strategy.parameters))))
    return points[strategy.valid(points)][:n]


def of_path(found: dict[str, np.ndarray], bars: Bars, start: int = 0) -> np.ndarray:
    return found["timing_sharpe"] * math.sqrt((len(bars) - start) / bars.bars_per_year)


def walk(case: Case, n_totals: int, *, skips: bool, n_orders: int = 0) -> Results:
    out = empty_results(np.empty((case.signals.n_points, n_totals)), n_orders=n_orders)
    walk_signals(prepare(case.bars), case.signals, case.execution, case.start, out, skips=skips)
    return out


@pytest.mark.parametrize("plain", [True, False], ids=["long", "any"])
@given(data=st.data())
@settings(max_examples=80, deadline=None)
def test_the_sums_of_random_accounts_are_those_of_the_simulator(data: st.DataObject, plain: bool) -> None:
    case = data.draw(cases(plain=plain))
    fast = walk(case, N_TIMED_TOTALS, skips=True).totals
    logged = walk(case, N_TIMED_TOTALS, skips=True, n_orders=1).totals
    stepped = walk(case, N_TIMED_TOTALS, skips=False).totals
    assert_array_equal(fast[:, :N_TOTALS], walk(case, N_TOTALS, skips=True).totals)
    closes = case.bars.close[case.start :]
    market = np.concatenate([[0.0], closes[1:] / closes[:-1] - 1.0])
    found = timing_t_of(fast, closes)
    for i in range(case.signals.n_points):
        run = slow_run(case, i)
        before = np.array([case.execution.initial_cash, *run.equity[:-1]])
        returns = np.array([0.0 if b == 0 else e / b - 1.0 for b, e in zip(before, run.equity, strict=True)])
        exposure = mean_exposure(run.equity, run.position, closes.tolist())
        for totals in (fast, logged, stepped):
            assert totals[i, SUM_WEIGHTS] == pytest.approx(exposure * len(closes), rel=1e-9, abs=1e-9)
            assert totals[i, SUM_PRODUCTS] == pytest.approx(math.fsum(returns * market), rel=1e-9, abs=1e-12)
        timing = returns - exposure * market
        std = timing.std(ddof=1) if len(timing) > 1 else math.nan
        size = math.sqrt(np.mean(returns**2 + (exposure * market) ** 2))
        if not std > max(1e-12, 1e-9 * size):
            assert math.isnan(found[i])
        elif std > 1e-5 * max(1e-6, size):
            cash = case.execution.initial_cash
            slow = slow_path_metrics(run.equity, run.position, closes.tolist(), [], cash, bars_per_year=1.0)
            wanted = slow["timing_sharpe"] * math.sqrt(len(timing))
            assert found[i] == pytest.approx(wanted, rel=1e-12 + 1e-14 * (size / std) ** 2, abs=1e-11)


@pytest.mark.parametrize("fill", ["next_open", "close"])
@pytest.mark.parametrize("direction", ["long", "short", "both"])
@pytest.mark.parametrize("start", [0, 131])
def test_every_walk_of_a_rule_gives_the_t_of_its_path(direction: str, fill: str, start: int) -> None:
    bars = random_bars(np.random.default_rng(8), 900, 0.01)
    execution = Execution(COSTS, fill, direction)  # type: ignore[arg-type]
    for name, orders in WALKS.items():
        strategy = Strategy.parse(BANDS + orders)
        points = drawn(strategy, 40)
        found = evaluate_points(
            strategy, bars, points, execution, start=start, metrics=[TIMING_T, "n_trades", "timing_sharpe"]
        )
        assert_allclose(found[TIMING_T], of_path(found, bars, start), rtol=1e-9, atol=1e-12, err_msg=name)
        trades = direction != "short" or "enter_short" in orders
        assert np.isfinite(found[TIMING_T]).sum() > 20 if trades else np.isnan(found[TIMING_T]).all()


@pytest.mark.parametrize("strategy_id", BUILTIN_IDS)
def test_so_does_every_built_in_strategy(strategy_id: str) -> None:
    bars = random_bars(np.random.default_rng(2), 1200, 0.01)
    strategy = builtin(strategy_id)
    for direction in ("long", "both"):
        execution = Execution(COSTS, direction=direction)  # type: ignore[arg-type]
        found = evaluate_points(
            strategy, bars, drawn(strategy, 20), execution, start=200, metrics=[TIMING_T, "timing_sharpe"]
        )
        assert_allclose(found[TIMING_T], of_path(found, bars, 200), rtol=1e-9, atol=1e-12)


@given(
    seed=st.integers(0, 2**32 - 1), fraction=st.sampled_from([0.3, 1.5]), fill=st.sampled_from(["next_open", "close"])
)
@settings(max_examples=25, deadline=None)
def test_so_does_a_strategy_in_steps_that_holds_cash_beside_its_position(seed: int, fraction: float, fill: str) -> None:
    bars = random_bars(np.random.default_rng(seed), 300, 0.02)
    strategy = as_strategy(replace(anything.STRATEGY, sizing=Sizing("fraction", fraction), max_entries=3))
    execution = Execution(Costs(fee_rate=0.001), fill, "both", 1000.0)  # type: ignore[arg-type]
    points = np.array([[seed % 1_000_000, 0.3, 0.02], [seed % 999_983, 0.05, 0.3]], np.float64)
    found = evaluate_points(strategy, bars, points, execution, start=20, metrics=[TIMING_T, "timing_sharpe"])
    assert_allclose(found[TIMING_T], of_path(found, bars, 20), rtol=1e-9, atol=1e-11)


def with_one_price_a_bar(closes: np.ndarray) -> Bars:
    columns = dict.fromkeys(("open", "high", "low", "close"), closes) | {"volume": np.ones(len(closes))}
    return Bars.from_arrays(np.arange(len(closes)) * 3_600_000, columns, symbol="X/Y", timeframe="1h")


@pytest.mark.parametrize(
    ("code", "length", "costs"),
    [
        ("enter_long(close < 0)\n", 300, Costs()),
        ("enter_long(close > 0)\n", 300, Costs(fee_rate=0.0)),
        ("enter_long(close > 0)\n", 1, Costs()),
    ],
    ids=["no trade", "all held from the first close, free of costs", "one bar"],
)
def test_it_is_undefined_where_no_timing_return_varies(code: str, length: int, costs: Costs) -> None:
    bars = random_bars(np.random.default_rng(1), length)
    found = evaluate_points(
        Strategy.parse(code),
        bars,
        np.empty((1, 0)),
        Execution(costs, "close", "both"),
        metrics=[TIMING_T, "timing_sharpe"],
    )
    assert np.isnan(found["timing_sharpe"][0])
    assert np.isnan(found[TIMING_T][0])


@pytest.mark.parametrize("fill", ["next_open", "close"])
def test_an_account_that_loses_everything_has_the_t_of_its_path(fill: str) -> None:
    bars = with_one_price_a_bar(np.concatenate([np.full(30, 100.0), np.linspace(100.0, 400.0, 60), np.full(30, 90.0)]))
    strategy = Strategy.parse("enter_short(close == 100)\n")
    execution = Execution(COSTS, fill, "both")  # type: ignore[arg-type]
    names = [TIMING_T, "timing_sharpe", "total_return"]
    found = evaluate_points(strategy, bars, np.empty((1, 0)), execution, metrics=names)
    assert found["total_return"][0] == -1.0
    assert found[TIMING_T][0] < 0.0
    assert_allclose(found[TIMING_T], of_path(found, bars), rtol=1e-9)


def test_points_that_break_a_require_are_nan_and_none_are_no_points() -> None:
    bars = random_bars(np.random.default_rng(8), 300)
    strategy = builtin("ma_cross_v1.0")
    points = encode_points(strategy.parameters, {"fast_period": [5, 30], "slow_period": [20, 20]})
    found = evaluate_points(strategy, bars, points, Execution(), metrics=[TIMING_T])
    assert np.isfinite(found[TIMING_T]).tolist() == [True, False]
    assert len(evaluate_points(strategy, bars, points[:0], Execution(), metrics=[TIMING_T])[TIMING_T]) == 0


def test_it_needs_no_path_and_threads_and_blocks_change_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    bars = random_bars(np.random.default_rng(1), 700)
    strategy = Strategy.parse(BANDS + WALKS["long and short with stops"])
    points = drawn(strategy, 60)
    execution = Execution(COSTS, direction="both")
    account = evaluate_points(strategy, bars, points, execution)

    def refuse(*_: object) -> None:
        raise AssertionError("walked for nothing")

    monkeypatch.setattr(PathReader, "read", refuse)
    whole = evaluate_points(strategy, bars, points, execution, metrics=[*account, TIMING_T])
    monkeypatch.setattr(tunesmith_engine, "_SIGNAL_BUDGET", 1)
    cut = evaluate_points(strategy, bars, points, execution, metrics=[*account, TIMING_T], n_threads=3)
    for name, values in whole.items():
        assert_array_equal(cut[name], values, err_msg=name)
        if name in account:
            assert_array_equal(account[name], values, err_msg=name)


def test_several_symbols_are_put_together_as_any_metric_is() -> None:
    by_symbol = {"A/B": {TIMING_T: np.array([1.0, 3.0, np.nan])}, "C/D": {TIMING_T: np.array([2.0, -1.0, 4.0])}}
    assert_array_equal(aggregate(by_symbol, "mean")[TIMING_T], [1.5, 1.0, np.nan])
    assert_array_equal(aggregate(by_symbol, "minimum")[TIMING_T], [1.0, -1.0, np.nan])


def test_it_is_no_metric_that_a_request_can_name() -> None:
    assert TIMING_T not in METRICS
    assert direction_of(TIMING_T) == "maximize"
    with pytest.raises(Invalid, match="timing_sharpe"):
        metric_named(TIMING_T, "/data/target")


def test_totals_of_a_market_without_limits_stay_undefined() -> None:
    totals = np.zeros((1, N_TIMED_TOTALS))
    totals[0, FINAL_EQUITY] = totals[0, SUM_PRODUCTS] = np.inf
    assert np.isnan(timing_t_of(totals, np.array([1.0, 2.0, 1.0]))).all()
