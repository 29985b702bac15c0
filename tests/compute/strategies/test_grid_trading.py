"""The grid's kernel equals its reference, order by order."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference.cases import candles_of, random_bars, slow_terms
from reference.grid import simulate_grid
from reference.metrics import slow_metrics
from tunesmith.compute.measures.account_metrics import metrics_of
from tunesmith.compute.simulation.arrays import N_AMBIGUOUS, N_ORDERS, N_TOTALS, REASONS
from tunesmith.compute.simulation.execution import Execution
from tunesmith.compute.simulation.run import empty_results, prepare, terms_of
from tunesmith.compute.strategies.grid_trading import walk_grids
from tunesmith.domain.trading import Costs


@given(
    seed=st.integers(0, 2**32 - 1),
    n_bars=st.integers(2, 150),
    volatility=st.sampled_from([0.003, 0.02, 0.1]),
    grid_num=st.integers(1, 12),
    profit_ratio=st.sampled_from([0.001, 0.01, 0.03, 0.2]),
    stop_loss=st.sampled_from([0.0, 0.02, 0.3]),
    fee_rate=st.sampled_from([0.0, 0.001, 0.05]),
    slippage_rate=st.sampled_from([0.0, 0.002]),
    fixed_fee=st.sampled_from([0.0, 1.0, 400.0]),
    fill=st.sampled_from(["next_open", "close"]),
    ticks=st.booleans(),
)
@settings(max_examples=300, deadline=None)
def test_every_order_and_metric_equals_the_reference(
    seed: int,
    n_bars: int,
    volatility: float,
    grid_num: int,
    profit_ratio: float,
    stop_loss: float,
    fee_rate: float,
    slippage_rate: float,
    fixed_fee: float,
    fill: str,
    ticks: bool,
) -> None:
    rng = np.random.default_rng(seed)
    bars = random_bars(rng, n_bars, volatility, ticks)
    start = int(rng.integers(0, n_bars))
    costs = Costs(fee_rate=fee_rate, slippage_rate=slippage_rate, fixed_fee=fixed_fee)
    execution = Execution(costs, fill, "long", 1000.0)  # type: ignore[arg-type]
    expected = simulate_grid(candles_of(bars), grid_num, profit_ratio, stop_loss, slow_terms(execution, start))

    out = empty_results(np.empty((1, N_TOTALS)), n_orders=len(expected.orders) + 1, n_marks=n_bars - start)
    points = np.array([[grid_num, profit_ratio, stop_loss]])
    walk_grids(prepare(bars).market, points, terms_of(execution, start, has_long=True, has_short=False), out)

    logged = out.orders[: int(out.totals[0, N_ORDERS])]
    assert [(int(row[0]), REASONS[int(row[-1])]) for row in logged] == [(o.bar, o.reason) for o in expected.orders]
    for row, order in zip(logged, expected.orders, strict=True):
        assert row[1] == (1 if order.side == "buy" else -1)
        assert row[2:5] == pytest.approx([order.size, order.price, order.fee], rel=1e-9, abs=1e-9)
    assert out.totals[0, N_AMBIGUOUS] == len(expected.ambiguous_bars)
    assert out.marks[0] == pytest.approx(expected.equity, rel=1e-9, abs=1e-6)
    assert out.marks[1] == pytest.approx(expected.position, rel=1e-9)
    profits = [trade.profit for trade in expected.trades]
    slow = slow_metrics(expected.equity, expected.position, profits, 1000.0, bars.bars_per_year)
    fast = metrics_of(out.totals, n_bars - start, bars.bars_per_year, 1000.0)
    for name, wanted in slow.items():
        assert fast[name][0] == pytest.approx(wanted, rel=1e-9, abs=1e-9, nan_ok=True), name


def test_points_of_one_call_do_not_touch_each_other() -> None:
    bars = random_bars(np.random.default_rng(3), 500)
    execution = Execution(Costs(fee_rate=0.001))
    terms = terms_of(execution, 0, has_long=True, has_short=False)
    points = np.array([[10, 0.01, 0.05], [3, 0.02, 0.0], [10, 0.01, 0.05], [40, 0.002, 0.1]])
    together = empty_results(np.empty((4, N_TOTALS)))
    walk_grids(prepare(bars).market, points, terms, together)
    for i, point in enumerate(points):
        alone = empty_results(np.empty((1, N_TOTALS)))
        walk_grids(prepare(bars).market, point[np.newaxis], terms, alone)
        np.testing.assert_array_equal(together.totals[i], alone.totals[0])


def test_a_short_only_direction_trades_nothing() -> None:
    bars = random_bars(np.random.default_rng(3), 100)
    execution = replace(Execution(), direction="short")
    out = empty_results(np.empty((1, N_TOTALS)))
    terms = terms_of(execution, 0, has_long=True, has_short=False)
    walk_grids(prepare(bars).market, np.array([[10, 0.01, 0.05]]), terms, out)
    assert out.totals[0, N_ORDERS] == 0
