"""vectorbt as a second book-keeper: our orders, its accounting; its report of them is made by `vectorbt_report`.

1. Every order gets a row of its own (vectorbt fills one a row), in the order of filling, at its price before slippage:
   costs and cash are vectorbt's work. The last row of a bar carries the bar's close.
2. `Portfolio.from_orders` fills them; it may refuse some, which then shows in the numbers. It fills no order below
   1e-8 units and takes cash below 1e-12 for nothing, which are absolute numbers: where orders are small, it is given
   the same account in larger units, a power of two, so that no digit of any number changes.
3. Its order records are put back on the bars, so that values, returns and statistics are those of bars.
Annualization is handed to every call (`year_freq` from `bars.bars_per_year`); vectorbt's settings stay as they are.
Its index holds UTC times without a time zone: with one, vectorbt turns every bar's time into a Python object each time
that it wraps an array, which made a report on 72,000 bars take 15 s instead of .2 s.
vectorbt starts its peak at the first bar's close, we at the initial cash: it is given one flat bar ahead.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from tunesmith.compute.engines.trace import Order, Trace
from tunesmith.compute.engines.vectorbt_loading import load_vectorbt
from tunesmith.compute.measures.account_metrics import ROUNDING
from tunesmith.compute.measures.path_kernel import RELATIVE_ROUNDING
from tunesmith.compute.simulation.execution import Execution
from tunesmith.domain.array_types import Flags, Floats, Ints
from tunesmith.domain.market.bars import Bars
from tunesmith.domain.market.timeframes import timeframe_ms

Backend = Literal["auto", "numba", "rust"]
"""Which of vectorbt's own implementations computes; auto takes rust where it is installed, else numba."""

TOLERANCE = 1e-9
_SMALL = 1e-3
"""Orders of fewer units, or of less cash, are given to vectorbt in larger units."""
_MOST_DOUBLINGS = 200
"""An account that was not ended at its ruin may have smaller orders still; larger units would overflow its squares."""
_DUST = 1e-12
CLOSED = 1


@dataclass(frozen=True, eq=False)
class Replay:
    """vectorbt's numbers for one trace: `metrics` by our names, `equity` float64[T - start], profits of closed trades.

    `portfolio` is the vectorbt Portfolio on the bars, `scale` what its sizes and amounts of cash are multiplied by.
    Metrics may be infinite where ours are undefined.
    """

    metrics: dict[str, float]
    equity: Floats
    profits: Floats
    n_orders: int
    portfolio: Any
    scale: float = 1.0


def replay(trace: Trace, bars: Bars, execution: Execution, start: int, *, backend: Backend = "auto") -> Replay:
    """Have vectorbt fill the trace's orders again, and read its numbers."""
    import pandas as pd

    vbt = load_vectorbt()
    rows = _rows(trace, bars, execution, start)
    scale = _scale(trace.orders)
    filled = vbt.Portfolio.from_orders(
        pd.Series(rows.close),
        size=rows.size * scale,
        price=rows.price,
        fees=execution.costs.fee_rate,
        fixed_fees=rows.fixed_fee * scale,
        slippage=execution.costs.slippage_rate,
        direction="both",
        init_cash=execution.initial_cash * scale,
        engine=backend,
    )
    records = filled.order_records.copy()
    records["idx"] = rows.bar[records["idx"]]
    index = pd.to_datetime(bars.timestamp[start:], unit="ms")
    length = pd.Timedelta(timeframe_ms(bars.timeframe), "ms")
    portfolio = filled.replace(
        wrapper=filled.wrapper.replace(index=index, freq=length),
        close=pd.Series(bars.close[start:], index=index, name=filled.close.name),
        order_records=records,
        trades_type="positions",
        call_seq=None,
    )
    equity = portfolio.value().to_numpy(np.float64) / scale
    year = year_of(bars.bars_per_year, length)
    returns = vbt.returns.accessors.ReturnsSRAccessor(portfolio.returns(), freq=length, year_freq=year)
    metrics, profits = _metrics(portfolio, returns, bars.bars_per_year)
    metrics |= _path_metrics(portfolio, returns, bars.bars_per_year)
    metrics["expectancy"] /= scale
    return Replay(metrics, equity, profits / scale, len(records), portfolio, scale)


def confirm(
    trace: Trace,
    metrics: Mapping[str, float],
    bars: Bars,
    execution: Execution,
    start: int,
    *,
    tolerance: float = TOLERANCE,
    backend: Backend = "auto",
) -> list[str]:
    """What vectorbt computes otherwise from the same orders, one line each; empty when it confirms `metrics`."""
    theirs = replay(trace, bars, execution, start, backend=backend)
    return disagreements(theirs, trace, metrics, bars, execution, tolerance=tolerance)


def disagreements(
    theirs: Replay,
    trace: Trace,
    metrics: Mapping[str, float],
    bars: Bars,
    execution: Execution,
    *,
    tolerance: float = TOLERANCE,
) -> list[str]:
    """Where the replay of a trace differs from it or from `metrics`, one line each.

    Numbers agree within `tolerance`, relative to the larger of their size and 1 (of the initial cash for money). Also
    checks that every order's price lies within its bar, save the liquidation of a short over a gap.
    """
    cash = execution.initial_cash
    lines = [f"order at bar {bar}: its price lies outside the bar" for bar in _misplaced(trace, bars, execution)]
    if theirs.n_orders != len(trace.orders):
        lines.append(f"orders: {len(trace.orders)} here, vectorbt fills {theirs.n_orders}")
    if not np.allclose(trace.equity, theirs.equity, rtol=tolerance, atol=tolerance * cash):
        worst = int(np.argmax(np.abs(trace.equity - theirs.equity)))
        lines.append(
            f"equity at bar {trace.start + worst}: {trace.equity[worst]:.12g} here, {theirs.equity[worst]:.12g} there"
        )
    ours = np.array([trade.profit for trade in trace.trades])
    if len(ours) != len(theirs.profits):
        lines.append(f"closed trades: {len(ours)} here, {len(theirs.profits)} there")
    elif not np.allclose(ours, theirs.profits, rtol=tolerance, atol=tolerance * cash):
        worst = int(np.argmax(np.abs(ours - theirs.profits)))
        lines.append(f"profit of trade {worst}: {ours[worst]:.12g} here, {theirs.profits[worst]:.12g} there")
    for name, there in theirs.metrics.items():
        if name not in metrics:
            continue
        scale = cash if name == "expectancy" else 1.0
        if not _agree(metrics[name], there, tolerance, scale):
            lines.append(f"{name}: {metrics[name]:.12g} here, {there:.12g} there")
    return lines


@dataclass(frozen=True, slots=True)
class _Orders:
    """A trace's orders as columns of one length."""

    bar: Ints
    buys: Flags
    size: Floats
    price: Floats
    fee: Floats
    liquidates: Flags

    def price_before_slippage(self, execution: Execution) -> Floats:
        """The prices at which the orders were placed."""
        slippage = execution.costs.slippage_rate
        return self.price / np.where(self.buys, 1.0 + slippage, 1.0 - slippage)


def _columns_of(orders: Sequence[Order]) -> _Orders:
    bars, sides, sizes, prices, fees, reasons = zip(*orders, strict=True) if orders else ((),) * len(Order._fields)
    return _Orders(
        bar=np.array(bars, np.int64),
        buys=np.array([side == "buy" for side in sides], np.bool_),
        size=np.array(sizes, np.float64),
        price=np.array(prices, np.float64),
        fee=np.array(fees, np.float64),
        liquidates=np.array([reason == "liquidation" for reason in reasons], np.bool_),
    )


@dataclass(frozen=True, slots=True)
class _Rows:
    bar: Ints
    close: Floats
    size: Floats
    price: Floats
    fixed_fee: Floats


def _rows(trace: Trace, bars: Bars, execution: Execution, start: int) -> _Rows:
    """One row an order, and one for each bar without orders."""
    n_bars, costs = len(bars) - start, execution.costs
    orders = _columns_of(trace.orders)
    order_bar = orders.bar - start
    n_rows = np.maximum(np.bincount(order_bar, minlength=n_bars), 1)
    bar = np.repeat(np.arange(n_bars), n_rows)
    first_row = np.cumsum(n_rows) - n_rows
    close = bars.close[start:][bar]
    size, price = np.full(len(bar), np.nan), close.copy()
    fixed_fee = np.full(len(bar), costs.fixed_fee)
    rows = first_row[order_bar] + np.arange(len(order_bar)) - np.searchsorted(order_bar, order_bar, side="left")
    size[rows] = np.where(orders.buys, orders.size, -orders.size)
    price[rows] = orders.price_before_slippage(execution)
    charged = orders.fee - orders.size * orders.price * costs.fee_rate
    # The fees of a closing order are capped by its proceeds.
    capped = charged < costs.fixed_fee * (1 - TOLERANCE)
    fixed_fee[rows[capped]] = charged[capped]
    return _Rows(bar, close, size, price, fixed_fee)


def _scale(orders: Sequence[Order]) -> float:
    """The power of two that makes the smallest order large enough for vectorbt; 1 where all of them are."""
    smallest = min((min(order.size, order.size * order.price) for order in orders), default=1.0)
    return 1.0 if smallest >= _SMALL else 2.0 ** min(math.ceil(math.log2(_SMALL / smallest)), _MOST_DOUBLINGS)


def _misplaced(trace: Trace, bars: Bars, execution: Execution) -> list[int]:
    """The bars of orders whose price lies outside their bar."""
    orders = _columns_of(trace.orders)
    bar, price = orders.bar, orders.price_before_slippage(execution)
    slack = TOLERANCE * price
    within = (bars.low[bar] - slack <= price) & (price <= bars.high[bar] + slack)
    over_a_gap = orders.liquidates & (price <= bars.open[bar])
    misplaced: list[int] = bar[~within & ~over_a_gap].tolist()
    return misplaced


def year_of(bars_per_year: float, length: Any) -> Any:
    """A year of that many bars of a length, as vectorbt annualizes by."""
    import pandas as pd

    return pd.Timedelta(round(bars_per_year * length.value), "ns")


def _metrics(portfolio: Any, returns: Any, bars_per_year: float) -> tuple[dict[str, float], Floats]:
    """The account's metrics by vectorbt, and the profits of closed positions; `returns` is its returns accessor."""
    import pandas as pd

    ahead = type(returns)(pd.Series(np.concatenate([[0.0], portfolio.returns().to_numpy(np.float64)])))
    max_drawdown = abs(float(ahead.max_drawdown(engine=portfolio.engine)))
    annual_return = float(returns.annualized())
    volatility = float(returns.annualized_volatility())
    rounding = ROUNDING * math.sqrt(bars_per_year)
    positions = portfolio.positions.values
    profits = positions["pnl"][positions["status"] == CLOSED]
    won, lost = profits[profits > 0].sum(), -profits[profits < 0].sum()
    n = len(profits)
    metrics = {
        "total_return": float(portfolio.total_return()),
        "annual_return": annual_return,
        "sharpe": float(returns.sharpe_ratio()) if volatility > rounding else math.nan,
        "sortino": float(returns.sortino_ratio()) if float(returns.downside_risk()) > rounding else math.nan,
        "calmar": annual_return / max_drawdown if max_drawdown > ROUNDING else math.nan,
        "max_drawdown": max_drawdown,
        "volatility": volatility,
        "n_trades": float(n),
        "win_rate": float((profits > 0).mean()) if n else math.nan,
        "profit_factor": float(won / lost) if lost > 0 else math.nan,
        "expectancy": float(profits.mean()) if n else math.nan,
        "exposure": _coverage(portfolio.assets().to_numpy(np.float64)),
        "recovery_factor": float(portfolio.total_return()) / max_drawdown if max_drawdown > ROUNDING else math.nan,
    }
    return metrics, profits


def _coverage(assets: Floats) -> float:
    """The share of bars that end in a position; what a sum of flows leaves of the largest by rounding is none."""
    sizes = np.abs(assets)
    return float((sizes > _DUST * sizes.max(initial=0.0)).mean())


def _path_metrics(portfolio: Any, accessor: Any, bars_per_year: float) -> dict[str, float]:
    """The metrics of the path: vectorbt's own where it has them, else by definition from its returns and positions."""
    import pandas as pd

    returns = portfolio.returns().to_numpy(np.float64)
    value = portfolio.value().to_numpy(np.float64)
    held = portfolio.asset_value().to_numpy(np.float64)
    closes = portfolio.close.to_numpy(np.float64)
    peak = np.maximum.accumulate(np.concatenate([[portfolio.init_cash], value]))[1:]
    drawdown = 1.0 - value / peak
    market = np.diff(closes, prepend=closes[0]) / np.concatenate([closes[:1], closes[:-1]])
    exposure = np.divide(held, value, out=np.zeros_like(held), where=value > 0.0).mean()
    timing = returns - exposure * market
    closed = portfolio.positions.closed
    gains = pd.Series(closed.returns.values)
    n = len(gains)
    shaped = _varies(returns, 0, 1.0)
    return {
        "omega": float(accessor.omega_ratio()) if -np.minimum(returns, 0.0).mean() > ROUNDING else math.nan,
        "tail_ratio": float(accessor.tail_ratio()) if abs(np.percentile(returns, 5)) > ROUNDING else math.nan,
        "ulcer_index": math.sqrt((drawdown**2).mean()),
        "longest_drawdown": _longest_run(drawdown > ROUNDING),
        "skew": float(_moment(returns, 3)) if shaped else math.nan,
        "kurtosis": float(_moment(returns, 4)) if shaped else math.nan,
        "timing_sharpe": timing.mean() / timing.std(ddof=1) * math.sqrt(bars_per_year)
        if _varies(timing, 1, 1.0)
        else math.nan,
        "sqn": float(closed.sqn()) if _varies(closed.pnl.values, 1, portfolio.init_cash) else math.nan,
        "average_trade_return": float(gains.mean()),
        "median_trade_return": float(gains.median()),
        "best_trade_return": float(gains.max()),
        "worst_trade_return": float(gains.min()),
        "average_holding_time": float(closed.duration.values.mean()) if n else math.nan,
        "buy_and_hold_return": float(portfolio.total_benchmark_return()),
    }


def _varies(values: Floats, ddof: int, scale: float) -> bool:
    if len(values) < 2:
        return False
    return bool(values.std(ddof=ddof) > max(ROUNDING * scale, RELATIVE_ROUNDING * abs(values.mean())))


def _moment(values: Floats, order: Literal[3, 4]) -> float:
    """The standardized central moment; products, as numpy's powers take ten times as long."""
    centred = values - values.mean()
    squares = centred * centred
    powers = squares * centred if order == 3 else squares * squares
    return float(powers.mean() / squares.mean() ** (order / 2))


def _longest_run(flags: Flags) -> float:
    edges = np.flatnonzero(np.diff(flags.astype(np.int8), prepend=0, append=0))
    return float((edges[1::2] - edges[::2]).max(initial=0))


def _agree(here: float, there: float, tolerance: float, scale: float) -> bool:
    if math.isnan(here):
        return not math.isfinite(there)
    return abs(here - there) <= tolerance * max(abs(here), scale)
