"""One work, four ways, the same numbers: the library, the daemon, the reference simulator, vectorbt."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tunesmith as ts
from journeys.conftest import SAMPLE
from journeys.daemon import Dealer
from reference.cases import candles_of, slow_terms
from reference.metrics import slow_metrics
from reference.rules import read
from reference.simulator import Level, Run, Signal, simulate
from tunesmith.compute.search.split import default_boundary, split_at
from tunesmith.compute.simulation.execution import Execution

PARAMS = {
    "ma_cross_v1.0": [
        {"fast_period": 12, "slow_period": 60, "signal_threshold": 0.0},
        {"fast_period": 20, "slow_period": 150, "signal_threshold": 0.01},
    ],
    "rsi_reversion": [{}],
    "grid_v1.2": [{}, {"grid_num": 5, "profit_ratio": 0.02, "stop_loss": 0.1}],
}
COSTS = ts.Costs(fee_rate=0.0007, slippage_rate=0.0003, fixed_fee=0.5)


def assert_close(values: dict[str, float | None], expected: dict[str, float]) -> None:
    for name, wanted in expected.items():
        value = values[name]
        if value is None or math.isnan(value):
            assert math.isnan(wanted), (name, value, wanted)
        else:
            assert value == pytest.approx(wanted, rel=1e-9, abs=1e-9), name


def slow_run(rule: ts.Strategy, bars: ts.Bars, params: dict[str, Any], execution: Execution) -> Run:
    """The rule read by the slow interpreter and traded by the reference simulator."""
    reading = read(rule.code, bars, {**rule.defaults, **params})
    signals = []
    for t in range(len(bars)):
        levels = {name: level_at(level, t) for name, level in reading.levels.items()}
        signals.append(Signal(**{name: values[t] for name, values in reading.conditions.items()}, **levels))
    holding = int(reading.max_holding or 0)
    return simulate(candles_of(bars), signals, slow_terms(execution, 0, holding))


def level_at(level: Any, t: int) -> Level:
    """A price where the rule gives a series, else a fraction."""
    return Level(price=level[t]) if isinstance(level, list) else Level(fraction=float(level))


@pytest.fixture(scope="module")
def bars() -> ts.Bars:
    return ts.Bars.read(SAMPLE, symbol="BTC/USDT", timeframe="1h", venue="demo")


@pytest.mark.parametrize(
    ("strategy_id", "params"), [(name, params) for name, many in PARAMS.items() for params in many]
)
def test_library_daemon_and_vectorbt_agree(
    dealer: Dealer, bars: ts.Bars, strategy_id: str, params: dict[str, Any]
) -> None:
    in_sample = bars.slice(0, split_at(bars, default_boundary(bars, 0.3)).in_stop)
    rule = ts.strategy(strategy_id)
    report = ts.backtest(rule, bars, params, costs=COSTS)
    assert report.disagreements == []
    table = ts.evaluate(rule, in_sample, params, costs=COSTS, metrics=list(report.metrics))
    np.testing.assert_array_equal([table.metrics[name][0] for name in report.metrics], list(report.metrics.values()))

    started = dealer.data(
        "backtest.start",
        {
            "symbol": "BTC/USDT",
            "strategy_id": strategy_id,
            "params": params,
            "costs": {"fee_rate": 0.0007, "slippage_rate": 0.0003, "fixed_fee": 0.5},
        },
    )
    done = dealer.until_done("backtest.status", {"task_id": started["task_id"]})
    assert done["status"] == "completed", done
    assert done["metrics"] == {k: None if math.isnan(v) else v for k, v in report.metrics.items()}
    stored = dealer.data("report.get", {"report_id": done["report_id"]})
    assert len(stored["trades"]) == len(report.trades)
    assert stored["equity"][-1][1] == report.equity[-1]


@pytest.mark.parametrize("fill", ["next_open", "close"])
@pytest.mark.parametrize("direction", ["long", "both"])
@pytest.mark.parametrize("strategy_id", ["ma_cross_v1.0", "rsi_reversion"])
def test_the_reference_simulator_agrees_on_real_candles(
    bars: ts.Bars, strategy_id: str, direction: Any, fill: Any
) -> None:
    rule = ts.strategy(strategy_id)
    execution = Execution(COSTS, fill, direction)
    for params in PARAMS[strategy_id]:
        expected = slow_run(rule, bars, params, execution)
        table = ts.evaluate(rule, bars, params, costs=COSTS, fill=fill, direction=direction)
        profits = [trade.profit for trade in expected.trades]
        slow = slow_metrics(expected.equity, expected.position, profits, execution.initial_cash, bars.bars_per_year)
        assert_close({name: float(values[0]) for name, values in table.metrics.items()}, slow)
        report = ts.backtest(rule, bars, params, costs=COSTS, fill=fill, direction=direction, use_holdout=True)
        np.testing.assert_allclose(report.equity, expected.equity, rtol=1e-9)
        assert len(profits) > 5


def test_a_search_through_the_daemon_is_the_librarys_search(dealer: Dealer, bars: ts.Bars) -> None:
    ranges = {
        "fast_period": {"min": 2, "max": 100},
        "slow_period": {"min": 5, "max": 300},
        "signal_threshold": {"min": 0.0, "max": 0.02},
    }
    study = ts.optimize(ts.strategy("ma_cross_v1.0"), bars, ranges, method="random", max_iterations=300, seed=11)
    started = dealer.data(
        "optimization.start",
        {
            "symbol": "BTC/USDT",
            "strategy_id": "ma_cross_v1.0",
            "param_ranges": ranges,
            "method": "random",
            "max_iterations": 300,
            "seed": 11,
        },
    )
    done = dealer.until_done("optimization.status", {"optimization_id": started["optimization_id"]})
    assert (done["best_params"], done["best_score"]) == (study.best_params, study.best_score)
    page = dealer.data(
        "optimization.results", {"optimization_id": started["optimization_id"], "sort": "index", "limit": 1000}
    )
    frame = study.trials
    assert [trial["params"] for trial in page["trials"]] == frame[list(ranges)].to_dict("records")
    assert [trial["eligible"] for trial in page["trials"]] == frame["eligible"].tolist()
    for name in study.table.metrics:
        stored = [np.nan if t["metrics"][name] is None else t["metrics"][name] for t in page["trials"]]
        np.testing.assert_array_equal(stored, frame[name])


def test_a_resampled_timeframe_is_the_same_in_both(dealer: Dealer, bars: ts.Bars, tmp_path: Path) -> None:
    started = dealer.data(
        "backtest.start", {"symbol": "BTC/USDT", "strategy_id": "ma_cross_v1.0", "timeframe": "4h", "use_holdout": True}
    )
    done = dealer.until_done("backtest.status", {"task_id": started["task_id"]})
    four_hourly = ts.Bars.from_frame(
        _frame(bars).resample("4h").agg(
            {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum", "n": "sum"}
        ).query("n == 4"),
        symbol="BTC/USDT",
        timeframe="4h",
    )  # fmt: skip
    expected = ts.backtest(ts.strategy("ma_cross_v1.0"), four_hourly, use_holdout=True)
    assert_close(done["metrics"], expected.metrics)


def _frame(bars: ts.Bars) -> Any:
    import pandas as pd

    columns = {name: getattr(bars, name) for name in ("open", "high", "low", "close", "volume")}
    return pd.DataFrame({**columns, "n": 1}, index=pd.to_datetime(bars.timestamp, unit="ms", utc=True))
