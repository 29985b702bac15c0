"""Orders that fill one bar later: against the same orders shifted by hand, in vectorbt's accounts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, assume, given, settings

from compute.engines.test_vectorbt_replay import walked
from reference.cases import Case, cases
from reference.random_rules import random_bars
from reference.rule_cases import DUST
from tunesmith.compute.engines.delayed_fills import fill_later
from tunesmith.compute.engines.trace import Trace, trace
from tunesmith.compute.engines.vectorbt_replay import confirm
from tunesmith.compute.rules.strategy import Strategy
from tunesmith.compute.simulation.execution import Execution
from tunesmith.compute.strategies import builtin
from tunesmith.domain.market.bars import Bars
from tunesmith.domain.space import encode_points
from tunesmith.domain.trading import Costs

vbt = pytest.importorskip("vectorbt")

NO_COSTS = Costs(fee_rate=0.0)
_UNABLE = 0.1
"""Orders may be missing only where an account has lost so much that an entry would leave nothing after its costs."""


def shifted_by_hand(traced: Trace, bars: Bars) -> list[tuple[int, str, float]]:
    """Bar, side and price before slippage of the orders one bar later, without positions that lasted no bar."""
    instant = {(trade.entry_bar, trade.exit_bar) for trade in traced.trades if trade.entry_bar == trade.exit_bar}
    kept, i = [], 0
    for trade in traced.trades:
        pair = traced.orders[i : i + 2]
        i += 2
        if (trade.entry_bar, trade.exit_bar) not in instant:
            kept += pair
    kept += traced.orders[i:]
    later = [(order.bar + 1, order.side) for order in kept if order.bar + 1 < len(bars)]
    return [(bar, side, float(bars.open[bar])) for bar, side in later]


def in_vectorbt(wanted: list[tuple[int, str, float]], bars: Bars, execution: Execution) -> Any:
    """vectorbt's account of those orders, a row each, with all its cash and all of its position."""
    at, sides, prices = zip(*wanted, strict=True)
    return vbt.Portfolio.from_orders(
        pd.Series(bars.close[list(at)]),
        size=np.where([side == "buy" for side in sides], np.inf, -np.inf),
        price=np.array(prices),
        fees=execution.costs.fee_rate,
        slippage=execution.costs.slippage_rate,
        fixed_fees=execution.costs.fixed_fee,
        direction="longonly",
        init_cash=execution.initial_cash,
    )


def bars_from(*rows: tuple[float, float, float, float]) -> Bars:
    columns = dict(zip(("open", "high", "low", "close"), np.array(rows, np.float64).T, strict=True))
    stamps = np.arange(len(rows), dtype=np.int64) * 86_400_000
    return Bars.from_arrays(stamps, {**columns, "volume": np.ones(len(rows))}, symbol="MADE/UP", timeframe="1d")


def later(code: str, bars: Bars, **execution: Any) -> Trace:
    rule, how = Strategy.parse(code), Execution(**{"costs": NO_COSTS, **execution})
    return fill_later(trace(rule, bars, encode_points(rule.parameters, {})[0], how), bars, how)


@given(case=cases())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
def test_vectorbt_keeps_the_same_accounts_of_random_orders_shifted_by_hand(case: Case) -> None:
    bars, execution = case.bars, case.execution
    traced, _ = walked(case, 0)
    found = fill_later(traced, bars, execution)
    left = found.equity[found.equity > 0.0] / execution.initial_cash
    assume(left.min(initial=1.0) > DUST)
    assert confirm(found, found.metrics, bars, execution, case.start) == []

    slippage = execution.costs.slippage_rate
    placed = [o.price / (1 + slippage * (1 if o.side == "buy" else -1)) for o in found.orders]
    wanted = shifted_by_hand(traced, bars)
    ruin = next((i for i, order in enumerate(found.orders) if order.reason == "liquidation"), None)
    ends_early = ruin is not None or len(found.orders) < len(wanted)
    n = len(found.orders) if ruin is None else ruin
    assert [(o.bar, o.side) for o in found.orders[:n]] == [row[:2] for row in wanted[:n]]
    assert placed[:n] == pytest.approx([row[2] for row in wanted[:n]], rel=1e-12)
    assert not ends_early or found.equity[-1] < _UNABLE * execution.initial_cash + 2 * execution.costs.fixed_fee
    if execution.direction == "long" and n == len(wanted) > 0:
        theirs = in_vectorbt(wanted, bars, execution).order_records
        assert [order.size for order in found.orders] == pytest.approx(theirs["size"].tolist(), rel=1e-9)


@pytest.mark.parametrize("direction", ["long", "short", "both"])
def test_a_fill_at_the_close_comes_one_bar_later_at_the_next_open(direction: str) -> None:
    rule, bars = builtin("ma_cross_v1.0"), random_bars(600, 5)
    point = encode_points(rule.parameters, {"fast_period": 3, "slow_period": 10, "signal_threshold": 0.0})[0]
    at_close, at_open = (Execution(Costs(), fill, direction) for fill in ("close", "next_open"))  # type: ignore[arg-type]
    found = fill_later(trace(rule, bars, point, at_close, start=30), bars, at_close)
    wanted = trace(rule, bars, point, at_open, start=30)
    assert len(wanted.trades) > (10 if direction != "short" else -1)
    assert found.equity == pytest.approx(wanted.equity, rel=1e-12)
    assert found.position == pytest.approx(wanted.position, rel=1e-12)
    for name, value in found.metrics.items():
        assert value == pytest.approx(wanted.metrics[name], rel=1e-9, nan_ok=True), name


@pytest.mark.parametrize("strategy_id", ["grid_v1.2", "bollinger_reversion", "rsi_reversion"])
def test_vectorbt_confirms_shifted_orders_of_built_in_strategies_on_real_candles(
    shared_data: Path, strategy_id: str
) -> None:
    bars = Bars.read(shared_data / "spot" / "ETH_USDT-1h.parquet", symbol="ETH/USDT", timeframe="1h")
    rule = builtin(strategy_id)
    execution = Execution(Costs(fee_rate=0.001, slippage_rate=0.0005, fixed_fee=0.5), direction="both")
    found = fill_later(trace(rule, bars, encode_points(rule.parameters, {})[0], execution, start=700), bars, execution)
    assert len(found.trades) > 20
    assert confirm(found, found.metrics, bars, execution, 700) == []


ONCE = "enter_long(close == 100)\nexit_long(close == 130)\n"


def test_a_stop_closes_at_the_open_after_the_bar_that_hit_it() -> None:
    bars = bars_from((90, 100, 90, 100), (101, 110, 101, 105), (105, 106, 80, 90), (70, 75, 60, 65), (65, 65, 65, 65))
    found = later(ONCE + "stop_loss(0.2)\n", bars)
    assert [(o.bar, o.side, o.price, o.reason) for o in found.orders] == [
        (2, "buy", 105.0, "entry"),
        (3, "sell", 70.0, "stop_loss"),
    ]
    assert found.metrics["total_return"] == pytest.approx(70 / 105 - 1)


def test_a_position_that_lasted_no_bar_and_an_order_after_the_last_bar_vanish() -> None:
    hit = bars_from((90, 100, 90, 100), (101, 110, 60, 105), (105, 106, 104, 105), (105, 105, 105, 105))
    assert later(ONCE + "stop_loss(0.2)\n", hit).orders == ()
    late = bars_from((90, 95, 90, 95), (95, 100, 95, 100), (101, 110, 100, 105))
    found = later(ONCE, late)
    assert (found.orders, found.metrics["total_return"]) == ((), 0.0)


def test_a_short_that_cannot_be_bought_back_leaves_nothing() -> None:
    rise = (100, 100, 100, 100), (100, 105, 100, 100), (100, 100, 50, 50), (50, 60, 50, 60), (60, 120, 60, 60)
    bars = bars_from(*rise, (60, 60, 60, 60), (60, 60, 60, 60))
    rule = Strategy.parse("enter_short(high == 105)\nexit_short(high == 120)\n")
    terms = Execution(NO_COSTS, direction="short")
    in_time = trace(rule, bars, np.zeros(0), terms)
    assert in_time.metrics["total_return"] == pytest.approx(0.4)
    found = fill_later(in_time, bars, terms)
    assert [(o.bar, o.price, o.reason) for o in found.orders] == [(3, 50.0, "entry"), (4, 100.0, "liquidation")]
    assert found.equity.tolist() == pytest.approx([10_000.0] * 3 + [8_000.0, 0.0, 0.0, 0.0])
