"""vectorbt, given our orders, keeps the same books; and where its signals mean the same, it makes the same orders."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference.cases import Case, cases, random_bars, random_signals
from tunesmith.compute.engines.evaluate import evaluate_points
from tunesmith.compute.engines.trace import Trace, read_trace, trace
from tunesmith.compute.engines.vectorbt_replay import confirm, replay
from tunesmith.compute.engines.vectorbt_report import full_report
from tunesmith.compute.measures.account_metrics import metrics_of
from tunesmith.compute.measures.path_metrics import path_metrics
from tunesmith.compute.simulation.arrays import N_TOTALS
from tunesmith.compute.simulation.execution import Execution
from tunesmith.compute.simulation.run import empty_results, prepare, walk_signals
from tunesmith.compute.strategies import builtin
from tunesmith.domain.market.bars import Bars
from tunesmith.domain.metrics import METRICS
from tunesmith.domain.space import encode_points
from tunesmith.domain.trading import Costs

vbt = pytest.importorskip("vectorbt")


def engines() -> list[str]:
    from vectorbt._engine import is_rust_available

    return ["numba", "rust"] if is_rust_available() else ["numba"]


def walked(case: Case, i: int) -> tuple[Trace, dict[str, float]]:
    """The trace of point i, and its metrics."""
    signals = case.signals
    for name in ("enter_long", "exit_long", "enter_short", "exit_short"):
        values = getattr(signals, name)
        setattr(signals, name, None if values is None else values[i : i + 1])
    for name in ("stop_loss", "take_profit", "trailing_stop"):
        level = getattr(signals, name)
        if level is not None and level.fraction is not None:
            level.fraction = level.fraction[i : i + 1]
        elif level is not None:
            level.price = level.price[i : i + 1]
    if signals.max_holding is not None:
        signals.max_holding = signals.max_holding[i : i + 1]
    signals.n_points = 1
    n_bars = len(case.bars) - case.start
    out = empty_results(np.empty((1, N_TOTALS)), n_orders=4 * n_bars, n_marks=n_bars, n_ambiguous=n_bars)
    prepared = prepare(case.bars)
    walk_signals(prepared, signals, case.execution, case.start, out)
    metrics = metrics_of(out.totals, n_bars, case.bars.bars_per_year, case.execution.initial_cash)
    metrics |= path_metrics(prepared, case.execution, case.start, out)
    return read_trace(out, case.execution, case.start), {name: float(values[0]) for name, values in metrics.items()}


@given(case=cases())
@settings(max_examples=30, deadline=None)
def test_vectorbt_confirms_random_orders(case: Case) -> None:
    traced, metrics = walked(case, 0)
    for engine in engines():
        assert confirm(traced, metrics, case.bars, case.execution, case.start, backend=engine) == []  # type: ignore[arg-type]


@pytest.mark.parametrize("strategy_id", ["ma_cross_v1.0", "rsi_reversion", "grid_v1.2"])
@pytest.mark.parametrize("fill", ["next_open", "close"])
def test_vectorbt_confirms_built_in_strategies_on_real_candles(shared_data: Path, strategy_id: str, fill: str) -> None:
    bars = Bars.read(shared_data / "spot" / "ETH_USDT-1h.parquet", symbol="ETH/USDT", timeframe="1h")
    strategy = builtin(strategy_id)
    points = encode_points(strategy.parameters, {})
    execution = Execution(Costs(fee_rate=0.001, slippage_rate=0.0005, fixed_fee=0.5), fill)  # type: ignore[arg-type]
    metrics = evaluate_points(strategy, bars, points, execution, start=700, metrics=METRICS)
    numbers = {name: float(values[0]) for name, values in metrics.items()}
    traced = trace(strategy, bars, points[0], execution, start=700)
    assert len(traced.trades) > 10
    for engine in engines():
        assert confirm(traced, numbers, bars, execution, 700, backend=engine) == []  # type: ignore[arg-type]


def test_a_wrong_number_or_order_is_not_confirmed() -> None:
    bars = random_bars(np.random.default_rng(5), 400)
    strategy = builtin("ma_cross_v1.0")
    points = encode_points(strategy.parameters, {"signal_threshold": 0.0})
    execution = Execution(Costs(fee_rate=0.001))
    traced = trace(strategy, bars, points[0], execution)
    metrics = dict(traced.metrics)
    for name in METRICS:
        lines = confirm(traced, {**metrics, name: metrics[name] * (1 + 1e-6)}, bars, execution, 0)
        assert [line.partition(":")[0] for line in lines] == [name]
    first, *rest = traced.orders
    cheaper = Trace(**{**traced.__dict__, "orders": (first._replace(price=first.price * 0.9), *rest)})
    found = confirm(cheaper, metrics, bars, execution, 0)
    assert any("outside the bar" in line for line in found)
    assert any(line.startswith("equity") for line in found)


@pytest.mark.parametrize("fill", ["next_open", "close"])
@pytest.mark.parametrize("direction", ["long", "short", "both"])
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=5, deadline=None)
def test_from_signals_makes_the_same_orders_where_it_means_the_same(fill: str, direction: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    bars = random_bars(rng, 300, 0.01)
    names = {"enter_long", "exit_long", "enter_short", "exit_short"}
    signals = random_signals(rng, bars, 1, names, {})
    signals.max_holding = None
    case = Case(bars, signals, Execution(Costs(fee_rate=0.001, slippage_rate=0.0005), fill, direction), 0)  # type: ignore[arg-type]
    rows = {name: getattr(signals, name)[0] != 0 for name in names}
    traced, metrics = walked(case, 0)

    # Said in vectorbt's way: an exit wins over an entry, opposing entries cancel, and orders are one bar late.
    enter_long = rows["enter_long"] & ~rows["exit_long"] & (direction != "short")
    enter_short = rows["enter_short"] & ~rows["exit_short"] & (direction != "long")
    both = enter_long & enter_short
    late = 1 if fill == "next_open" else 0

    def asked(values: np.ndarray) -> pd.Series:
        return pd.Series(np.concatenate([np.zeros(late, bool), values[: len(values) - late]]))

    portfolio = vbt.Portfolio.from_signals(
        pd.Series(bars.close),
        entries=asked(enter_long & ~both),
        exits=asked(rows["exit_long"]),
        short_entries=asked(enter_short & ~both),
        short_exits=asked(rows["exit_short"]),
        price=bars.open if fill == "next_open" else bars.close,
        fees=0.001,
        slippage=0.0005,
        init_cash=10_000.0,
        upon_opposite_entry="Reverse",
    )
    assert traced.equity == pytest.approx(portfolio.value().to_numpy(), rel=1e-9)
    closed = portfolio.exit_trades.closed.pnl.values
    assert [t.profit for t in traced.trades] == pytest.approx(closed, rel=1e-9, abs=1e-6)
    assert metrics["n_trades"] == len(closed)


def test_annualization_is_the_bars_own_and_settings_stay_untouched() -> None:
    bars = random_bars(np.random.default_rng(2), 300)
    odd = Bars.from_arrays(
        bars.timestamp,
        {name: getattr(bars, name) for name in ("open", "high", "low", "close", "volume")},
        symbol="X/Y",
        timeframe="1h",
        bars_per_year=1234.5,
    )
    strategy = builtin("ma_cross_v1.0")
    points = encode_points(strategy.parameters, {"signal_threshold": 0.0})
    execution = Execution()
    before = json.dumps(vbt.settings.to_dict(), default=str)
    numbers = {n: float(v[0]) for n, v in evaluate_points(strategy, odd, points, execution).items()}
    traced = trace(strategy, odd, points[0], execution)
    theirs = replay(traced, odd, execution, 0)
    report = full_report(theirs, traced, odd)
    assert theirs.metrics["sharpe"] == pytest.approx(numbers["sharpe"], rel=1e-9)
    assert report.stats["Sharpe Ratio"] == pytest.approx(numbers["sharpe"], rel=1e-9)
    assert json.dumps(vbt.settings.to_dict(), default=str) == before


def test_the_full_report_is_json_and_agrees_with_the_trace() -> None:
    bars = random_bars(np.random.default_rng(11), 500)
    strategy = builtin("ma_cross_v1.0")
    points = encode_points(strategy.parameters, {"signal_threshold": 0.0})
    execution = Execution(Costs(fee_rate=0.001))
    traced = trace(strategy, bars, points[0], execution)
    report = full_report(replay(traced, bars, execution, 0), traced, bars)
    json.dumps([report.stats, report.trades], allow_nan=False)
    closed = [t for t in report.trades if t["status"] == "closed"]
    assert [t["profit"] for t in closed] == pytest.approx([t.profit for t in traced.trades])
    assert [t["reason"] for t in closed] == [t.reason for t in traced.trades]
    assert report.stats["Total Closed Trades"] == len(traced.trades)


def test_a_trace_without_orders_is_reported_too() -> None:
    bars = random_bars(np.random.default_rng(1), 3)
    strategy = builtin("ma_cross_v1.0")
    points = encode_points(strategy.parameters, {})
    traced = trace(strategy, bars, points[0], Execution())
    report = full_report(replay(traced, bars, Execution(), 0), traced, bars)
    assert traced.orders == ()
    assert report.trades == []
    assert report.stats["Sharpe Ratio"] is None
