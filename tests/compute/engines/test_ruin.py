"""A ruined account opens no position any more: searches and traces agree on it, and vectorbt confirms its numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from reference.cases import random_bars
from tunesmith.compute.engines.evaluate import evaluate_points
from tunesmith.compute.engines.point_report import report_point
from tunesmith.compute.engines.trace import trace
from tunesmith.compute.engines.vectorbt_replay import replay
from tunesmith.compute.engines.vectorbt_report import full_report
from tunesmith.compute.rules.strategy import Strategy
from tunesmith.compute.simulation.execution import Execution
from tunesmith.compute.strategies import builtin
from tunesmith.domain.array_types import Floats
from tunesmith.domain.market.bars import Bars
from tunesmith.domain.metrics import METRICS
from tunesmith.domain.space import encode_points
from tunesmith.domain.trading import RUIN, Costs, is_ruined

pytest.importorskip("vectorbt")

AVERAGES = {"fast_period": 2, "slow_period": 5, "signal_threshold": 0.0}
DEAR = Costs(fee_rate=0.05, slippage_rate=0.05)
BOTH_SIDES = (
    "n = Int(2, 2, 20)\nfast = ema(close, n)\n"
    "enter_long(close > fast)\nexit_long(close < fast)\nenter_short(close < fast)\nexit_short(close > fast)\n"
)


def averages() -> tuple[Strategy, Floats]:
    rule = builtin("ma_cross_v1.0")
    return rule, encode_points(rule.parameters, AVERAGES)[0]


def market(n: int = 1500) -> Bars:
    return random_bars(np.random.default_rng(3), n, 0.003)


@pytest.mark.parametrize("fill", ["next_open", "close"])
@pytest.mark.parametrize("cash", [1.0, 10_000.0, 1e12])
def test_the_report_of_a_ruined_account_is_confirmed(fill: str, cash: float) -> None:
    rule, point = averages()
    execution = Execution(DEAR, fill, initial_cash=cash)  # type: ignore[arg-type]
    report = report_point(rule, market(), point, execution, 0)
    assert report.disagreements == []
    assert is_ruined(report.metrics["total_return"])
    assert report.metrics["total_return"] == pytest.approx(-1.0, abs=RUIN)
    assert report.metrics["max_drawdown"] == pytest.approx(1.0, abs=RUIN)
    assert report.metrics["n_trades"] == len(report.trades) == report.stats["Total Trades"]
    assert report.stats["Start Value"] == cash
    assert report.stats["End Value"] == pytest.approx(report.equity[-1], abs=1e-12 * cash)
    assert report.stats["Expectancy"] == pytest.approx(report.metrics["expectancy"], rel=1e-9)
    assert sum(trade["profit"] for trade in report.trades) == pytest.approx(report.equity[-1] - cash, rel=1e-9)
    assert 0.0 < report.equity[-1] <= RUIN * cash
    assert sum(trade["fees"] for trade in report.trades) == pytest.approx(report.stats["Total Fees Paid"], rel=1e-9)


def test_after_its_ruin_nothing_is_ordered_and_every_return_is_zero() -> None:
    rule, point = averages()
    traced = trace(rule, market(), point, Execution(DEAR))
    last = traced.orders[-1].bar
    assert last < 1000
    assert traced.trades[-2].exit_bar < traced.trades[-1].entry_bar
    before = [traced.equity[trade.entry_bar - 1] for trade in traced.trades]
    assert min(before) > RUIN * 10_000.0 >= traced.equity[-1]
    assert not traced.returns[last + 1 :].any()
    assert not traced.position[last:].any()
    unending = trace(rule, market(), point, Execution(DEAR, ruin=0.0))
    assert len(unending.trades) > len(traced.trades)
    assert unending.orders[: len(traced.orders)] == traced.orders


def test_a_search_and_a_trace_agree_on_ruin_on_either_side() -> None:
    """Trials are evaluated by the quick paths, the report by stepping every bar."""
    bars = market(600)
    for code, direction in ((BOTH_SIDES, "both"), (BOTH_SIDES, "short"), (BOTH_SIDES, "long")):
        rule = Strategy.parse(code, id="sides", version="1")
        points = encode_points(rule.parameters, {"n": np.arange(2, 21)})
        execution = Execution(DEAR, direction=direction)  # type: ignore[arg-type]
        found = evaluate_points(rule, bars, points, execution, metrics=METRICS)
        assert is_ruined(found["total_return"][0])
        for i in (0, 1, 7):
            report = report_point(rule, bars, points[i], execution, 0)
            assert report.disagreements == []
            for name, value in report.metrics.items():
                assert found[name][i] == pytest.approx(value, rel=1e-9, abs=1e-9, nan_ok=True), name


def test_larger_units_for_vectorbt_change_no_digit() -> None:
    """A small account and one 2^30 times its size: the same numbers, though vectorbt would fill no order of the one."""
    rule, point = averages()
    small, large = (Execution(Costs(fee_rate=0.001, slippage_rate=0.001), initial_cash=cash) for cash in (1.0, 2.0**30))
    bars = market(400)
    columns = {name: getattr(bars, name) * 2.0**16 for name in ("open", "high", "low", "close", "volume")}
    bars = Bars.from_arrays(bars.timestamp, columns, symbol="DEAR/USDT", timeframe="1h")
    of_small, of_large = (replay(trace(rule, bars, point, each), bars, each, 0) for each in (small, large))
    assert of_small.scale > 1.0 == of_large.scale
    assert {k: v for k, v in of_small.metrics.items() if k != "expectancy"} == {
        k: v for k, v in of_large.metrics.items() if k != "expectancy"
    }
    np.testing.assert_array_equal(of_small.equity * 2.0**30, of_large.equity)
    np.testing.assert_array_equal(of_small.profits * 2.0**30, of_large.profits)
    traced = trace(rule, bars, point, small)
    assert full_report(of_small, traced, bars) == full_report(of_small, traced, bars)


@pytest.mark.parametrize("fill", ["next_open", "close"])
def test_five_minute_bars_of_bitcoin_by_quick_averages(shared_data: Path, fill: str) -> None:
    """8,252 trades at .4 % each: vectorbt used to fill half of them, and the backtest ended as an internal error."""
    bars = Bars.read(shared_data / "spot" / "BTC_USDT-5m.parquet", symbol="BTC/USDT", timeframe="5m")
    rule, point = averages()
    report = report_point(rule, bars, point, Execution(Costs(fee_rate=0.001, slippage_rate=0.001), fill), 0)  # type: ignore[arg-type]
    assert report.disagreements == []
    assert report.metrics["total_return"] == pytest.approx(-1.0, abs=RUIN)
    assert report.metrics["n_trades"] == 4041
    assert report.metrics["average_trade_return"] == pytest.approx(-0.004, abs=0.0002)


def test_who_is_ruined() -> None:
    assert is_ruined(-1.0)
    assert is_ruined(RUIN - 1.0)
    assert not is_ruined(-0.99999)
    assert not is_ruined(None)
    assert not is_ruined(float("nan"))
