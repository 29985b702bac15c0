"""Points in, metrics out: the same numbers as one slow pass, whatever the chunks, blocks and threads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from reference.cases import Case, random_bars, slow_run
from reference.metrics import slow_metrics
from tunesmith.compute.engines import evaluate, tunesmith_engine
from tunesmith.compute.engines.evaluate import evaluate_points
from tunesmith.compute.engines.trace import trace
from tunesmith.compute.rules.binding import bind
from tunesmith.compute.rules.strategy import Strategy
from tunesmith.compute.simulation.account_path import walk_nb
from tunesmith.compute.simulation.execution import Execution
from tunesmith.compute.strategies import BUILTIN_IDS, builtin
from tunesmith.domain.market.bars import Bars
from tunesmith.domain.metrics import ACCOUNT_METRICS
from tunesmith.domain.space import encode_points
from tunesmith.domain.trading import Costs
from tunesmith.errors import Invalid

STOPPED = """
window = Int(20, 2, 200)
width = Float(2.0, 0.1, 5.0)
upper, middle, lower = bbands(close, window, width)
enter_long(crossed_below(close, lower))
exit_long(crossed_above(close, middle))
enter_short(crossed_above(close, upper))
exit_short(crossed_below(close, middle))
stop_loss(0.03)
max_holding(50)
"""


def ma_points(n: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    fast = rng.integers(2, 40, n)
    params = {"fast_period": fast, "slow_period": fast + rng.integers(5, 60, n), "signal_threshold": np.zeros(n)}
    return encode_points(builtin("ma_cross_v1.0").parameters, params)


def grids(n: int) -> np.ndarray:
    rng = np.random.default_rng(4)
    params = {"grid_num": rng.integers(2, 12, n), "profit_ratio": rng.uniform(0.002, 0.03, n)}
    return encode_points(builtin("grid_v1.2").parameters, params)


@pytest.mark.parametrize("fill", ["next_open", "close"])
@pytest.mark.parametrize("start", [0, 333])
def test_a_rule_equals_the_slow_simulator_on_its_own_signals(fill: str, start: int) -> None:
    bars = random_bars(np.random.default_rng(9), 600)
    strategy = Strategy.parse(STOPPED)
    points = encode_points(strategy.parameters, {"window": [5, 20, 60], "width": [1.0, 1.5, 2.0]})
    execution = Execution(Costs(fee_rate=0.001), fill, "both")  # type: ignore[arg-type]
    metrics = evaluate_points(strategy, bars, points, execution, start=start)
    case = Case(bars, bind(strategy, bars, points).signals(0, 3), execution, start)
    for i in range(3):
        run = slow_run(case, i)
        profits = [t.profit for t in run.trades]
        assert len(profits) > 3
        slow = slow_metrics(run.equity, run.position, profits, 10_000.0, bars.bars_per_year)
        for name, wanted in slow.items():
            assert metrics[name][i] == pytest.approx(wanted, rel=1e-9, abs=1e-9, nan_ok=True), name


RULES = [strategy_id for strategy_id in BUILTIN_IDS if builtin(strategy_id).kind == "rule"]


@pytest.mark.parametrize("strategy_id", RULES)
@pytest.mark.parametrize(("fill", "direction"), [("next_open", "both"), ("close", "both"), ("next_open", "long")])
def test_traced_orders_on_real_candles_are_the_simulators(
    shared_data: Path, strategy_id: str, fill: str, direction: str
) -> None:
    bars = Bars.read(shared_data / "spot" / "SOL_USDT-1h.parquet", symbol="SOL/USDT", timeframe="1h").slice(0, 1500)
    strategy = builtin(strategy_id)
    points = encode_points(strategy.parameters, {})
    execution = Execution(Costs(fee_rate=0.001, slippage_rate=0.0003, fixed_fee=1.0), fill, direction)  # type: ignore[arg-type]
    case = Case(bars, bind(strategy, bars, points).signals(0, 1), execution, 100)
    expected = slow_run(case, 0)
    traced = trace(strategy, bars, points[0], execution, start=100)
    assert [(o.bar, o.side, o.reason) for o in traced.orders] == [(o.bar, o.side, o.reason) for o in expected.orders]
    assert [t.profit for t in traced.trades] == pytest.approx([t.profit for t in expected.trades], rel=1e-9, abs=1e-6)
    assert [(t.entry_bar, t.exit_bar) for t in traced.trades] == [(t.entry_bar, t.exit_bar) for t in expected.trades]
    assert traced.equity == pytest.approx(expected.equity, rel=1e-9)
    assert traced.ambiguous_bars.tolist() == expected.ambiguous_bars


@pytest.mark.parametrize("strategy_id", BUILTIN_IDS)
def test_every_built_in_strategy_gives_every_account_metric_and_its_trace_the_same(strategy_id: str) -> None:
    bars = random_bars(np.random.default_rng(3), 700)
    strategy = builtin(strategy_id)
    points = encode_points(strategy.parameters, {})
    execution = Execution(Costs(fee_rate=0.001, slippage_rate=0.001))
    metrics = evaluate_points(strategy, bars, points, execution, start=50)
    assert list(metrics) == list(ACCOUNT_METRICS)
    traced = trace(strategy, bars, points[0], execution, start=50)
    profits = [t.profit for t in traced.trades]
    slow = slow_metrics(traced.equity.tolist(), traced.position.tolist(), profits, 10_000.0, bars.bars_per_year)
    for name, wanted in slow.items():
        assert metrics[name][0] == pytest.approx(wanted, rel=1e-9, abs=1e-9, nan_ok=True), name
    returns = np.diff(np.concatenate([[10_000.0], traced.equity])) / np.concatenate([[10_000.0], traced.equity[:-1]])
    assert traced.returns == pytest.approx(returns, abs=1e-14)


@pytest.mark.parametrize(("strategy_id", "points"), [("ma_cross_v1.0", ma_points(300)), ("grid_v1.2", grids(100))])
def test_chunks_blocks_and_threads_do_not_change_a_bit(
    strategy_id: str, points: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    bars = random_bars(np.random.default_rng(1), 501)
    strategy = builtin(strategy_id)
    whole = evaluate_points(strategy, bars, points, Execution())
    monkeypatch.setattr(evaluate, "_MAX_CHUNK", 77)
    monkeypatch.setattr(tunesmith_engine, "_BLOCKS", 3)
    monkeypatch.setattr(tunesmith_engine, "_SIGNAL_BUDGET", 12 * 2 * 501)
    cut = evaluate_points(strategy, bars, points, Execution(), n_threads=3)
    alone = evaluate_points(strategy, bars, points[41:42], Execution())
    for name, values in whole.items():
        np.testing.assert_array_equal(cut[name], values)
        np.testing.assert_array_equal(alone[name], values[41:42])


def test_rows_are_bound_in_parts_when_they_exceed_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    bars = random_bars(np.random.default_rng(1), 300)
    strategy, points = builtin("ma_cross_v1.0"), ma_points(400)
    whole = evaluate_points(strategy, bars, points, Execution())
    monkeypatch.setattr(tunesmith_engine, "_ROW_BUDGET", 20 * 8 * 300)
    bound: list[int] = []
    real_bind = tunesmith_engine.bind

    def counting(strategy: Strategy, bars: Bars, points: np.ndarray, **options: int) -> object:
        bound.append(len(points))
        return real_bind(strategy, bars, points, **options)

    monkeypatch.setattr(tunesmith_engine, "bind", counting)
    parts = evaluate_points(strategy, bars, points, Execution())
    assert len(bound) > 3
    assert sum(bound) == 400
    np.testing.assert_array_equal(parts["sharpe"], whole["sharpe"])


def test_points_that_break_a_require_are_rows_of_nan() -> None:
    bars = random_bars(np.random.default_rng(1), 300)
    strategy = builtin("ma_cross_v1.0")
    params = {"fast_period": [5, 30, 7], "slow_period": [20, 20, 9]}
    metrics = evaluate_points(strategy, bars, encode_points(strategy.parameters, params), Execution())
    for values in metrics.values():
        assert np.isnan(values[1])
    assert not np.isnan(metrics["total_return"][[0, 2]]).any()
    with pytest.raises(Invalid):
        trace(strategy, bars, encode_points(strategy.parameters, params)[1], Execution())


def test_no_points_give_empty_metrics() -> None:
    bars = random_bars(np.random.default_rng(1), 50)
    for strategy_id in BUILTIN_IDS:
        strategy = builtin(strategy_id)
        metrics = evaluate_points(strategy, bars, np.empty((0, len(strategy.parameters))), Execution())
        assert all(values.shape == (0,) for values in metrics.values())


def test_undefined_is_nan_and_never_zero_or_infinite() -> None:
    bars = random_bars(np.random.default_rng(1), 60)
    strategy = builtin("ma_cross_v1.0")
    points = encode_points(strategy.parameters, {"fast_period": 5, "slow_period": 200})
    metrics = {name: float(values[0]) for name, values in evaluate_points(strategy, bars, points, Execution()).items()}
    undefined = {"sharpe", "sortino", "calmar", "win_rate", "profit_factor", "expectancy", "recovery_factor"}
    assert {name for name, value in metrics.items() if np.isnan(value)} == undefined
    assert {value for name, value in metrics.items() if name not in undefined} == {0.0}


def test_a_start_outside_the_bars_is_refused() -> None:
    bars = random_bars(np.random.default_rng(1), 60)
    strategy = builtin("ma_cross_v1.0")
    points = encode_points(strategy.parameters, {})
    for start in (-1, 60):
        with pytest.raises(Invalid):
            evaluate_points(strategy, bars, points, Execution(), start=start)
        with pytest.raises(Invalid):
            trace(strategy, bars, points[0], Execution(), start=start)


def test_bars_before_the_start_only_warm_up() -> None:
    bars = random_bars(np.random.default_rng(6), 800)
    strategy, points = builtin("ma_cross_v1.0"), ma_points(20)
    warmed = evaluate_points(strategy, bars, points, Execution(), start=500)
    cold = evaluate_points(strategy, bars.slice(500, 800), points, Execution())
    assert not np.array_equal(warmed["total_return"], cold["total_return"])
    warmed_later = evaluate_points(strategy, bars.slice(300, 800), points, Execution(), start=200)
    np.testing.assert_allclose(warmed["total_return"], warmed_later["total_return"], rtol=1e-9)
    assert trace(strategy, bars, points[0], Execution(), start=500).orders[0].bar > 500


def test_prefix_sums_keep_the_digits_of_two_passes_on_long_real_candles(shared_data: Path) -> None:
    bars = Bars.read(shared_data / "spot" / "BTC_USDT-5m.parquet", symbol="BTC/USDT", timeframe="5m")
    assert len(bars) == 71_769
    strategy = builtin("ma_cross_v1.0")
    params = {"fast_period": [2, 5, 30, 50], "slow_period": [6, 400, 60, 200], "signal_threshold": np.zeros(4)}
    points = encode_points(strategy.parameters, params)
    for fill in ("next_open", "close"):
        execution = Execution(Costs(fee_rate=0.0002), fill)  # type: ignore[arg-type]
        metrics = evaluate_points(strategy, bars, points, execution)
        for i, point in enumerate(points):
            returns = trace(strategy, bars, point, execution).returns
            scale = np.sqrt(bars.bars_per_year)
            assert metrics["sharpe"][i] == pytest.approx(returns.mean() / returns.std(ddof=1) * scale, rel=1e-9)
            assert metrics["volatility"][i] == pytest.approx(returns.std(ddof=1) * scale, rel=1e-9)
            downside = np.sqrt((np.minimum(returns, 0.0) ** 2).mean())
            assert metrics["sortino"][i] == pytest.approx(returns.mean() / downside * scale, rel=1e-9)
            equity = np.concatenate([[1.0], np.cumprod(1.0 + returns)])
            drawdown = (1.0 - equity / np.maximum.accumulate(equity)).max()
            assert metrics["max_drawdown"][i] == pytest.approx(drawdown, rel=1e-9)


def test_all_of_this_compiled_the_walk_once() -> None:
    bars = random_bars(np.random.default_rng(1), 60)
    for strategy in (builtin("ma_cross_v1.0"), Strategy.parse(STOPPED)):
        evaluate_points(strategy, bars, encode_points(strategy.parameters, {}), Execution())
    assert len(walk_nb.signatures) == 1  # type: ignore[attr-defined]
