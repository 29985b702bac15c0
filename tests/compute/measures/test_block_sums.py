"""Block sums equal those of the traced returns, whatever is traded, and cost little."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from reference.cases import random_bars
from tunesmith.compute.engines.trace import trace
from tunesmith.compute.measures import block_sums
from tunesmith.compute.measures.block_sums import BlockSums, evaluate_blocks
from tunesmith.compute.rules.strategy import Strategy
from tunesmith.compute.simulation.execution import Execution
from tunesmith.compute.strategies import builtin
from tunesmith.domain.market.bars import Bars
from tunesmith.domain.space import build_space, encode_points
from tunesmith.domain.trading import Costs
from tunesmith.errors import Invalid

STOPPED = """
window = Int(20, 2, 60)
width = Float(1.0, 0.1, 3.0)
upper, middle, lower = bbands(close, window, width)
enter_long(crossed_below(close, lower))
exit_long(crossed_above(close, middle))
enter_short(crossed_above(close, upper))
exit_short(crossed_below(close, middle))
stop_loss(0.02)
take_profit(0.05)
trailing_stop(0.03)
"""
COSTS = Costs(fee_rate=0.001, slippage_rate=0.0005, fixed_fee=2.0)


def drawn(strategy: Strategy, n: int) -> np.ndarray:
    space = build_space(strategy.parameters, {})
    points = space.sample(np.random.default_rng(3).random((4 * n, len(strategy.parameters))))
    return points[strategy.valid(points)][:n]


def slow(strategy: Strategy, bars: Bars, points: np.ndarray, execution: Execution, n_blocks: int, start: int) -> Any:
    """Sums of R, R², a and a² from the traces, float64[4, n, S]."""
    close = bars.close[start:]
    r = np.concatenate([[0.0], close[1:] / close[:-1] - 1.0])
    length = len(close) // n_blocks
    rows = []
    for point in points:
        traced = trace(strategy, bars, point, execution, start=start)
        worth = np.divide(traced.position * close, traced.equity, out=np.zeros(len(close)), where=traced.equity > 0)
        timing = traced.returns - worth.mean() * r
        series = np.stack([traced.returns, traced.returns**2, timing, timing**2])
        rows.append(series[:, len(close) - length * n_blocks :].reshape(4, n_blocks, length).sum(axis=2))
    return np.stack(rows, axis=1)


def stacked(found: BlockSums) -> np.ndarray:
    return np.stack([found.returns, found.squares, found.timing, found.timing_squares])


@pytest.mark.parametrize("direction", ["long", "short", "both"])
@pytest.mark.parametrize("fill", ["next_open", "close"])
@pytest.mark.parametrize(("start", "n_blocks"), [(0, 28), (131, 40)])
def test_sums_are_those_of_the_traced_returns(direction: str, fill: str, start: int, n_blocks: int) -> None:
    bars = random_bars(np.random.default_rng(8), 900, 0.005)
    execution = Execution(COSTS, fill, direction)  # type: ignore[arg-type]
    strategy = Strategy.parse(STOPPED)
    points = drawn(strategy, 12)
    found = evaluate_blocks(strategy, bars, points, execution, n_blocks, start=start)
    assert found.length == (900 - start) // n_blocks
    np.testing.assert_allclose(
        stacked(found), slow(strategy, bars, points, execution, n_blocks, start), rtol=1e-9, atol=1e-12
    )
    assert (found.squares.sum(axis=1) > 0.0).sum() > 9


@pytest.mark.parametrize("strategy_id", ["ma_cross_v1.0", "grid_v1.2", "macd"])
def test_so_are_those_of_built_in_strategies(strategy_id: str) -> None:
    bars = random_bars(np.random.default_rng(2), 1200, 0.01)
    strategy = builtin(strategy_id)
    points = drawn(strategy, 10)
    execution = Execution(COSTS, direction="both")
    found = evaluate_blocks(strategy, bars, points, execution, 30, start=200, n_threads=2)
    np.testing.assert_allclose(stacked(found), slow(strategy, bars, points, execution, 30, 200), rtol=1e-9, atol=1e-12)


def test_an_account_that_loses_everything_ends_in_zeros() -> None:
    close = np.concatenate([np.full(30, 100.0), np.linspace(100.0, 400.0, 60), np.full(30, 90.0)])
    columns = dict.fromkeys(("open", "high", "low", "close"), close) | {"volume": np.ones(120)}
    bars = Bars.from_arrays(np.arange(120, dtype=np.int64) * 3_600_000, columns, symbol="X/Y", timeframe="1h")
    strategy = Strategy.parse("enter_short(close == 100)\n")
    execution = Execution(COSTS, direction="both")
    found = evaluate_blocks(strategy, bars, np.empty((1, 0)), execution, 12)
    np.testing.assert_allclose(
        stacked(found), slow(strategy, bars, np.empty((1, 0)), execution, 12, 0), rtol=1e-9, atol=1e-12
    )
    assert found.returns.min() <= -1.0
    assert (found.returns[:, -3:] == 0.0).all()


def test_chunks_threads_and_full_buffers_do_not_change_a_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    bars = random_bars(np.random.default_rng(8), 700)
    strategy = Strategy.parse(STOPPED)
    points = drawn(strategy, 50)
    execution = Execution(COSTS, direction="both")
    whole = evaluate_blocks(strategy, bars, points, execution, 28)
    for name, value in (("_MAX_CHUNK", 17), ("_MAX_BLOCK", 5), ("_FIRST_ORDERS", 9), ("_ROW_BUDGET", 20_000)):
        monkeypatch.setattr(block_sums, name, value)
    cut = evaluate_blocks(strategy, bars, points, execution, 28, n_threads=3)
    np.testing.assert_array_equal(stacked(cut), stacked(whole))


def test_points_that_break_a_require_are_nan_and_what_cannot_be_is_refused() -> None:
    bars = random_bars(np.random.default_rng(8), 300)
    strategy = builtin("ma_cross_v1.0")
    points = encode_points(strategy.parameters, {"fast_period": [5, 30], "slow_period": [20, 20]})
    found = evaluate_blocks(strategy, bars, points, Execution(), 28)
    assert np.isnan(stacked(found)[:, 1]).all()
    assert not np.isnan(stacked(found)[:, 0]).any()
    for n_blocks, start in ((0, 0), (301, 0), (28, 290), (28, 300)):
        with pytest.raises(Invalid):
            evaluate_blocks(strategy, bars, points, Execution(), n_blocks, start=start)
