"""vectorbt as a second book-keeper: our orders, its accounting, and its full report.

1. Every order gets a row of its own (vectorbt fills one a row), in the order of filling, at its price before slippage:
   costs and cash are vectorbt's work. The last row of a bar carries the bar's close.
2. `Portfolio.from_orders` fills them; it may refuse some, which then shows in the numbers.
3. Its order records are put back on the bars, so that values, returns and statistics are those of bars.
Annualization is handed to every call (`year_freq` from `bars.bars_per_year`); vectorbt's settings stay as they are.
vectorbt starts its peak at the first bar's close, we at the initial cash: it is given one flat bar ahead.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tunesmith.compute.engines.trace import Order, Trace
from tunesmith.compute.engines.vectorbt_loading import load_vectorbt
from tunesmith.compute.measures.account_metrics import ROUNDING
from tunesmith.compute.measures.path_kernel import RELATIVE_ROUNDING
from tunesmith.compute.simulation.execution import Execution
from tunesmith.domain.market.bars import Bars
from tunesmith.domain.market.timeframes import timeframe_ms

Engine = Literal["auto", "numba", "rust"]

TOLERANCE = 1e-9
_SHORT = 1
_CLOSED = 1


@dataclass(frozen=True, eq=False)
class Replay:
    """vectorbt's numbers for one trace: `metrics` by our names, `equity` float64[T - start], profits of closed trades.

    `portfolio` is the vectorbt Portfolio on the bars. Metrics may be infinite where ours are undefined.
    """

    metrics: dict[str, float]
    equity: NDArray[np.float64]
    profits: NDArray[np.float64]
    n_orders: int
    portfolio: Any


@dataclass(frozen=True)
class FullReport:
    """vectorbt's report, ready for JSON: undefined is None, times are UTC milliseconds or text, durations text."""

    stats: dict[str, Any]
    trades: list[dict[str, Any]]
    equity: list[tuple[int, float]]


def replay(trace: Trace, bars: Bars, execution: Execution, start: int, *, engine: Engine = "auto") -> Replay:
    """Replay the trace's orders; `engine` auto takes vectorbt's rust engine where it is installed, else numba."""
    import pandas as pd

    vbt = load_vectorbt()
    rows = _rows(trace, bars, execution, start)
    filled = vbt.Portfolio.from_orders(
        pd.Series(rows.close),
        size=rows.size,
        price=rows.price,
        fees=execution.costs.fee_rate,
        fixed_fees=rows.fixed_fee,
        slippage=execution.costs.slippage_rate,
        direction="both",
        init_cash=execution.initial_cash,
        engine=engine,
    )
    records = filled.order_records.copy()
    records["idx"] = rows.bar[records["idx"]]
    index = pd.to_datetime(bars.timestamp[start:], unit="ms", utc=True)
    length = pd.Timedelta(timeframe_ms(bars.timeframe), "ms")
    portfolio = filled.replace(
        wrapper=filled.wrapper.replace(index=index, freq=length),
        close=pd.Series(bars.close[start:], index=index, name=filled.close.name),
        order_records=records,
        trades_type="positions",
        call_seq=None,
    )
    equity = portfolio.value().to_numpy(np.float64)
    metrics, profits = _metrics(portfolio, bars.bars_per_year, length)
    metrics |= _path_metrics(portfolio, bars.bars_per_year, length)
    return Replay(metrics, equity, profits, len(records), portfolio)


def confirm(
    trace: Trace,
    metrics: dict[str, float],
    bars: Bars,
    execution: Execution,
    start: int,
    *,
    tolerance: float = TOLERANCE,
    engine: Engine = "auto",
) -> list[str]:
    """What vectorbt computes otherwise from the same orders, one line each; empty when it confirms `metrics`.

    Numbers agree within `tolerance`, relative to the larger of their size and 1 (of the initial cash for money). Also
    checks that every order's price lies within its bar, save the liquidation of a short over a gap.
    """
    theirs = replay(trace, bars, execution, start, engine=engine)
    cash = execution.initial_cash
    lines = [
        f"order at bar {order.bar}: its price lies outside the bar" for order in _misplaced(trace, bars, execution)
    ]
    if theirs.n_orders != len(trace.orders):
        lines.append(f"orders: {len(trace.orders)} here, vectorbt fills {theirs.n_orders}")
    if not np.allclose(trace.equity, theirs.equity, rtol=tolerance, atol=tolerance * cash):
        worst = int(np.argmax(np.abs(trace.equity - theirs.equity)))
        lines.append(
            f"equity at bar {start + worst}: {trace.equity[worst]:.12g} here, {theirs.equity[worst]:.12g} there"
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


def full_report(trace: Trace, bars: Bars, execution: Execution, start: int, *, engine: Engine = "auto") -> FullReport:
    """vectorbt's statistics of the replayed orders, its trades (whole positions) and its equity."""
    import pandas as pd

    theirs = replay(trace, bars, execution, start, engine=engine)
    year = _year(bars.bars_per_year, pd.Timedelta(timeframe_ms(bars.timeframe), "ms"))
    stats = theirs.portfolio.stats(settings={"year_freq": year})
    stamps = bars.timestamp[start:].tolist()
    return FullReport(
        stats={str(name): _plain(value) for name, value in stats.items()},
        trades=_trades(theirs.portfolio.positions.records, trace, stamps),
        equity=list(zip(stamps, theirs.equity.tolist(), strict=True)),
    )


def warm_up(engine: Engine = "auto") -> None:
    """Replay a handful of bars, so that vectorbt compiles what it compiles on first use (numba engine: about 30 s)."""
    prices = np.array([100.0, 101.0, 99.0, 102.0, 101.0, 103.0])
    columns = {"open": prices, "high": prices, "low": prices, "close": prices, "volume": prices}
    hours = np.arange(len(prices), dtype=np.int64) * 3_600_000
    bars = Bars.from_arrays(hours, columns, symbol="warm/up", timeframe="1h")
    orders = (
        Order(0, "buy", 1.0, 100.0, 0.0, "entry"),
        Order(2, "sell", 1.0, 99.0, 0.0, "exit"),
        Order(3, "buy", 1.0, 102.0, 0.0, "entry"),
        Order(5, "sell", 1.0, 103.0, 0.0, "exit"),
    )
    equity = np.full(len(prices), 10_000.0)
    trace = Trace(0, orders, (), equity, equity * 0.0, equity * 0.0, np.empty(0, np.int64))
    full_report(trace, bars, Execution(), 0, engine=engine)


@dataclass(frozen=True, slots=True)
class _Rows:
    bar: NDArray[np.int64]
    close: NDArray[np.float64]
    size: NDArray[np.float64]
    price: NDArray[np.float64]
    fixed_fee: NDArray[np.float64]


def _rows(trace: Trace, bars: Bars, execution: Execution, start: int) -> _Rows:
    """One row an order, and one for each bar without orders."""
    n_bars = len(bars) - start
    order_bar = np.array([order.bar - start for order in trace.orders], np.int64)
    n_rows = np.maximum(np.bincount(order_bar, minlength=n_bars), 1)
    bar = np.repeat(np.arange(n_bars), n_rows)
    first_row = np.cumsum(n_rows) - n_rows
    close = bars.close[start:][bar]
    size, price = np.full(len(bar), np.nan), close.copy()
    fixed_fee = np.full(len(bar), execution.costs.fixed_fee)
    within = np.arange(len(order_bar)) - np.searchsorted(order_bar, order_bar, side="left")
    for order, row in zip(trace.orders, first_row[order_bar] + within, strict=True):
        size[row] = order.size if order.side == "buy" else -order.size
        price[row] = price_before_slippage(order, execution)
        charged = order.fee - order.size * order.price * execution.costs.fee_rate
        if charged < execution.costs.fixed_fee * (1 - TOLERANCE):
            # The fees of a closing order are capped by its proceeds.
            fixed_fee[row] = charged
    return _Rows(bar, close, size, price, fixed_fee)


def price_before_slippage(order: Order, execution: Execution) -> float:
    """The price at which `order` was placed."""
    slippage = execution.costs.slippage_rate
    return order.price / (1.0 + slippage if order.side == "buy" else 1.0 - slippage)


def _misplaced(trace: Trace, bars: Bars, execution: Execution) -> Iterator[Order]:
    for order in trace.orders:
        price = price_before_slippage(order, execution)
        slack = TOLERANCE * price
        within = bars.low[order.bar] - slack <= price <= bars.high[order.bar] + slack
        if not within and not (order.reason == "liquidation" and price <= bars.open[order.bar]):
            yield order


def _year(bars_per_year: float, length: Any) -> Any:
    import pandas as pd

    return pd.Timedelta(round(bars_per_year * length.value), "ns")


def _metrics(portfolio: Any, bars_per_year: float, length: Any) -> tuple[dict[str, float], NDArray[np.float64]]:
    import pandas as pd

    year = _year(bars_per_year, length)
    returns = portfolio.get_returns_acc(freq=length, year_freq=year)
    ahead = pd.Series(np.concatenate([[0.0], portfolio.returns().to_numpy(np.float64)]))
    max_drawdown = abs(float(ahead.vbt.returns(freq=length, year_freq=year).max_drawdown(engine=portfolio.engine)))
    annual_return = float(returns.annualized())
    volatility = float(returns.annualized_volatility())
    rounding = ROUNDING * math.sqrt(bars_per_year)
    positions = portfolio.positions.records
    profits = positions["pnl"].to_numpy(np.float64)[positions["status"].to_numpy() == _CLOSED]
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
        "exposure": float(portfolio.position_coverage()),
        "recovery_factor": float(portfolio.total_return()) / max_drawdown if max_drawdown > ROUNDING else math.nan,
    }
    return metrics, profits


def _path_metrics(portfolio: Any, bars_per_year: float, length: Any) -> dict[str, float]:
    """The metrics of the path: vectorbt's own where it has them, else by definition from its returns and positions."""
    import pandas as pd

    acc = portfolio.get_returns_acc(freq=length, year_freq=_year(bars_per_year, length))
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
        "omega": float(acc.omega_ratio()) if -np.minimum(returns, 0.0).mean() > ROUNDING else math.nan,
        "tail_ratio": float(acc.tail_ratio()) if abs(np.percentile(returns, 5)) > ROUNDING else math.nan,
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


def _varies(values: NDArray[np.float64], ddof: int, scale: float) -> bool:
    if len(values) < 2:
        return False
    return bool(values.std(ddof=ddof) > max(ROUNDING * scale, RELATIVE_ROUNDING * abs(values.mean())))


def _moment(values: NDArray[np.float64], order: int) -> float:
    centred = values - values.mean()
    return float((centred**order).mean() / (centred**2).mean() ** (order / 2))


def _longest_run(flags: NDArray[np.bool_]) -> float:
    edges = np.flatnonzero(np.diff(flags.astype(np.int8), prepend=0, append=0))
    return float((edges[1::2] - edges[::2]).max(initial=0))


def _agree(here: float, there: float, tolerance: float, scale: float) -> bool:
    if math.isnan(here):
        return not math.isfinite(there)
    return abs(here - there) <= tolerance * max(abs(here), scale)


def _trades(records: Any, trace: Trace, stamps: list[int]) -> list[dict[str, Any]]:
    reasons = [trade.reason for trade in trace.trades]
    trades = []
    for i, record in enumerate(records.to_dict("records")):
        closed = record["status"] == _CLOSED
        trades.append(
            {
                "side": "short" if record["direction"] == _SHORT else "long",
                "status": "closed" if closed else "open",
                "size": _plain(record["size"]),
                "entry_time_ms": stamps[record["entry_idx"]],
                "entry_price": _plain(record["entry_price"]),
                "exit_time_ms": stamps[record["exit_idx"]] if closed else None,
                "exit_price": _plain(record["exit_price"]) if closed else None,
                "fees": _plain(record["entry_fees"] + record["exit_fees"]),
                "profit": _plain(record["pnl"]),
                "return": _plain(record["return"]),
                "reason": reasons[i] if closed and i < len(reasons) else None,
            }
        )
    return trades


def _plain(value: Any) -> Any:
    """A value as JSON has it: numbers that are not finite are None, times and durations are text."""
    if hasattr(value, "isoformat"):
        return str(value) if hasattr(value, "total_seconds") else value.isoformat()
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
