"""The compiled walk equals the reference simulator, trade by trade, stepped and skipping."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings

from reference.cases import Case, cases, random_bars, random_signals, slow_run
from reference.metrics import slow_metrics
from reference.simulator import Run
from tunesmith.compute.measures.account_metrics import metrics_of
from tunesmith.compute.simulation.account_path import walk_nb
from tunesmith.compute.simulation.arrays import (
    N_AMBIGUOUS,
    N_ORDERS,
    N_TOTALS,
    N_TRADES,
    N_WINS,
    ORDER_BAR,
    ORDER_FEE,
    REASONS,
    Results,
)
from tunesmith.compute.simulation.execution import Execution
from tunesmith.compute.simulation.run import empty_results, prepare, walk_signals
from tunesmith.compute.simulation.signals import Level, Signals
from tunesmith.domain.trading import Costs, Fill


def walk(case: Case, *, skips: bool) -> Results:
    n_bars = len(case.bars) - case.start
    room = 4 * n_bars * case.signals.n_points
    out = empty_results(np.empty((case.signals.n_points, N_TOTALS)), n_orders=room, n_marks=n_bars, n_ambiguous=n_bars)
    walk_signals(prepare(case.bars), case.signals, case.execution, case.start, out, skips=skips)
    return out


def close_to(value: float, expected: float, scale: float = 1.0, relative: float = 1e-9) -> bool:
    return abs(value - expected) <= relative * max(abs(expected), scale)


def assert_same_orders(logged: np.ndarray, expected: Run, cash: float) -> None:
    assert [(int(row[ORDER_BAR]), REASONS[int(row[-1])]) for row in logged] == [
        (o.bar, o.reason) for o in expected.orders
    ]
    for row, order in zip(logged, expected.orders, strict=True):
        assert row[1] == (1 if order.side == "buy" else -1)
        assert row[2:ORDER_FEE] == pytest.approx([order.size, order.price], rel=1e-9)
        assert close_to(row[ORDER_FEE], order.fee, cash)


def assert_same_metrics(values: dict[str, float], expected: dict[str, float], cash: float, per_year: float) -> None:
    # A return is known to a rounding of the equity, some 1e-16: where all are nearly alike, so is their deviation.
    deviation = expected["volatility"] / np.sqrt(per_year)
    ratio = max(1e-9, 16.0 * np.finfo(np.float64).eps / deviation) if deviation > 0.0 else 1e-9
    for name, wanted in expected.items():
        scale = cash if name == "expectancy" else 1.0
        if np.isnan(wanted) or np.isnan(values[name]):
            assert np.isnan(wanted), (name, values[name], wanted)
            assert np.isnan(values[name]), (name, values[name], wanted)
        else:
            relative = ratio if name == "sharpe" else 1e-9
            assert close_to(values[name], wanted, scale, relative), (name, values[name], wanted)


@pytest.mark.parametrize("skips", [False, True], ids=["stepped", "skipping"])
@given(case=cases())
@settings(max_examples=150, deadline=None)
def test_every_order_and_metric_equals_the_simulator(case: Case, skips: bool) -> None:
    out = walk(case, skips=skips)
    n_bars = len(case.bars) - case.start
    cash = case.execution.initial_cash
    metrics = metrics_of(out.totals, n_bars, case.bars.bars_per_year, cash)
    row = 0
    for i in range(case.signals.n_points):
        expected = slow_run(case, i)
        n_orders = int(out.totals[i, N_ORDERS])
        assert_same_orders(out.orders[row : row + n_orders], expected, cash)
        row += n_orders
        assert out.totals[i, N_AMBIGUOUS] == len(expected.ambiguous_bars)
        slow = slow_metrics(
            expected.equity, expected.position, [t.profit for t in expected.trades], cash, case.bars.bars_per_year
        )
        found = {name: float(v[i]) for name, v in metrics.items()}
        assert_same_metrics(found, slow, cash, case.bars.bars_per_year)
    # Marks and ambiguous bars are those of the last point.
    assert out.ambiguous[0, : len(expected.ambiguous_bars)].tolist() == expected.ambiguous_bars
    assert out.marks[0] == pytest.approx(expected.equity, rel=1e-9, abs=1e-9 * cash)
    assert out.marks[1] == pytest.approx(expected.position, rel=1e-9)


@given(case=cases(plain=True))
@settings(max_examples=300, deadline=None)
def test_the_common_case_by_itself_equals_stepping(case: Case) -> None:
    totals = np.empty((case.signals.n_points, N_TOTALS))
    walk_signals(prepare(case.bars), case.signals, case.execution, case.start, empty_results(totals))
    stepped = walk(case, skips=False).totals
    np.testing.assert_allclose(totals, stepped, rtol=1e-9, atol=1e-11 * case.execution.initial_cash)
    np.testing.assert_array_equal(totals[:, [N_TRADES, N_WINS, N_ORDERS]], stepped[:, [N_TRADES, N_WINS, N_ORDERS]])


LIMITS = {
    "stop_loss": {"stop_loss": Level(fraction=np.array([0.003]))},
    "take_profit": {"take_profit": Level(fraction=np.array([0.004]))},
    "both, and time": {
        "stop_loss": Level(price=np.full((1, 400), 99.0)),
        "take_profit": Level(fraction=np.array([0.01])),
        "max_holding": np.array([2]),
    },
    "max_holding 1": {"max_holding": np.array([1])},
    "max_holding 300": {"max_holding": np.array([300])},
    "nothing": {},
}


@pytest.mark.parametrize("fixed_fee", [0.0, 1.0])
@pytest.mark.parametrize("fill", ["next_open", "close"])
@pytest.mark.parametrize("limits", LIMITS)
def test_who_would_enter_on_every_bar_equals_the_simulator(limits: str, fill: Fill, fixed_fee: float) -> None:
    bars = random_bars(np.random.default_rng(4), 400, 0.005)
    enter = np.ones((1, 400), np.uint8)
    execution = Execution(Costs(fee_rate=0.0001, fixed_fee=fixed_fee), fill)
    case = Case(bars, Signals(1, 400, enter_long=enter, **LIMITS[limits]), execution, 3)
    expected = slow_run(case, 0)
    again = [sold.exit_bar for sold, bought in pairwise(expected.trades) if sold.exit_bar == bought.entry_bar]
    assert (len(again) > 10) == (fill == "close" and limits in ("stop_loss", "take_profit", "both, and time"))
    totals = np.empty((1, N_TOTALS))
    walk_signals(prepare(bars), case.signals, execution, 3, empty_results(totals))
    profits = [trade.profit for trade in expected.trades]
    slow = slow_metrics(expected.equity, expected.position, profits, 10_000.0, bars.bars_per_year)
    found = metrics_of(totals, 397, bars.bars_per_year, 10_000.0)
    assert_same_metrics({name: float(values[0]) for name, values in found.items()}, slow, 10_000.0, bars.bars_per_year)


@pytest.mark.parametrize("fill", ["next_open", "close"])
@pytest.mark.parametrize("direction", ["long", "short", "both"])
def test_skipping_equals_stepping_on_long_sparse_signals(fill: str, direction: str) -> None:
    rng = np.random.default_rng(7)
    bars = random_bars(rng, 3000, 0.004)
    names = {"enter_long", "exit_long", "enter_short", "exit_short"}
    for forms in ({}, {"stop_loss": "fraction", "take_profit": "fraction"}, {"trailing_stop": "fraction"}):
        signals = random_signals(rng, bars, 16, names, forms)
        case = Case(bars, signals, Execution(Costs(fee_rate=0.0005), fill, direction), 5)  # type: ignore[arg-type]
        stepped, skipping = walk(case, skips=False), walk(case, skips=True)
        np.testing.assert_allclose(skipping.totals, stepped.totals, rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(skipping.marks, stepped.marks, rtol=1e-12)


def test_one_compiled_kernel_serves_every_kind_of_input() -> None:
    rng = np.random.default_rng(1)
    bars = random_bars(rng, 40)
    for name in ("open", "high", "low", "close"):
        getattr(bars, name).flags.writeable = False
    enter = np.asfortranarray((rng.random((3, 40)) < 0.2).astype(np.uint8))
    enter.flags.writeable = False
    case = Case(bars, Signals(3, 40, enter_long=enter), Execution(), 0)
    assert walk(case, skips=True).totals[:, N_ORDERS].sum() > 0
    assert len(walk_nb.signatures) == 1  # type: ignore[attr-defined]
