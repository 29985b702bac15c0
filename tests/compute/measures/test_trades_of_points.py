"""Closed trades of many points: what losses read, from the trace."""

from __future__ import annotations

import numpy as np
import pytest

from tunesmith.compute.engines.trace import trace
from tunesmith.compute.measures.trades_of_points import closed_trades_of
from tunesmith.compute.rules.strategy import Strategy
from tunesmith.compute.simulation.execution import Execution
from tunesmith.compute.strategies import builtin
from tunesmith.domain.market.bars import Bars
from tunesmith.domain.trading import Costs
from tunesmith.errors import Invalid

HOUR = 3_600_000


def walking_bars(n: int = 800) -> Bars:
    rng = np.random.default_rng(5)
    close = 100.0 * np.exp(np.cumsum(rng.normal(0.0, 0.01, n)))
    opened = np.concatenate([[100.0], close[:-1]])
    columns = {
        "open": opened,
        "high": np.maximum(opened, close),
        "low": np.minimum(opened, close),
        "close": close,
        "volume": np.ones(n),
    }
    return Bars.from_arrays(1_700_000_000_000 + HOUR * np.arange(n), columns, symbol="X/Y", timeframe="1h")


CODE = """
fast = Int(5, 2, 20)
slow = Int(20, 5, 60)
require(fast < slow)
up = crossed_above(sma(close, fast), sma(close, slow))
down = crossed_below(sma(close, fast), sma(close, slow))
enter_long(up)
exit_long(down)
enter_short(down)
exit_short(up)
"""


@pytest.mark.parametrize("direction", ["long", "short", "both"])
def test_ratios_are_over_what_the_entry_cost_with_its_fee(direction: str) -> None:
    bars = walking_bars()
    execution = Execution(costs=Costs(fee_rate=0.002, fixed_fee=1.0), direction=direction)  # type: ignore[arg-type]
    strategy, point = Strategy.parse(CODE), np.array([5.0, 20.0])
    path = trace(strategy, bars, point, execution)
    (found,) = closed_trades_of(strategy, bars, point[np.newaxis], execution)
    assert found is not None
    assert len(found) == len(path.trades) > 5
    assert found.profit_abs.tolist() == pytest.approx([trade.profit for trade in path.trades], rel=1e-9, abs=1e-9)
    for i, trade in enumerate(path.trades):
        fee = 0.002 * trade.size * trade.entry_price + 1.0
        cost = trade.size * trade.entry_price + (fee if trade.side == "long" else -fee)
        assert found.profit_ratio[i] == pytest.approx(trade.profit / cost, rel=1e-9, abs=1e-12)
        assert found.opened_ms[i] == bars.timestamp[trade.entry_bar]
        assert found.closed_ms[i] == bars.timestamp[trade.exit_bar]
    assert (found.first_ms, found.last_ms) == (bars.timestamp[0], bars.timestamp[-1])


def test_each_point_has_its_own_and_those_that_may_not_be_tried_have_none() -> None:
    bars = walking_bars()
    points = np.array([[5.0, 20.0], [20.0, 5.0], [2.0, 60.0]])
    found = closed_trades_of(Strategy.parse(CODE), bars, points, Execution(), start=100)
    assert found[1] is None
    assert found[0] is not None
    assert found[2] is not None
    assert found[0].first_ms == bars.timestamp[100]
    alone = trace(Strategy.parse(CODE), bars, points[2], Execution(), start=100)
    assert found[2].profit_abs.tolist() == pytest.approx([trade.profit for trade in alone.trades], rel=1e-9, abs=1e-9)
    assert found[2].closed_ms.tolist() == [int(bars.timestamp[trade.exit_bar]) for trade in alone.trades]


def test_more_orders_than_were_expected_are_all_there() -> None:
    bars = walking_bars(6000)
    strategy = Strategy.parse(CODE)
    (found,) = closed_trades_of(strategy, bars, np.array([[2.0, 5.0]]), Execution())
    assert found is not None
    assert len(found) == len(trace(strategy, bars, np.array([2.0, 5.0]), Execution()).trades) > 300


def test_a_compiled_strategy_has_them_too() -> None:
    bars = walking_bars()
    strategy = builtin("grid_v1.2")
    point = np.array([float(parameter.default) for parameter in strategy.parameters])
    (found,) = closed_trades_of(strategy, bars, point[np.newaxis], Execution())
    assert found is not None
    alone = trace(strategy, bars, point, Execution())
    assert found.profit_abs.tolist() == pytest.approx([trade.profit for trade in alone.trades], rel=1e-9, abs=1e-9)
    assert len(found) > 0


def test_a_start_outside_the_bars_is_refused() -> None:
    bars = walking_bars()
    with pytest.raises(Invalid, match="trading cannot start"):
        closed_trades_of(Strategy.parse(CODE), bars, np.array([[5.0, 20.0]]), Execution(), start=len(bars))
