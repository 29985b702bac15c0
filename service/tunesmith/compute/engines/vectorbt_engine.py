"""The engine that evaluates by vectorbt's `Portfolio.from_signals`: slow, and the same numbers as ours.

1. Signals are said in vectorbt's way: an exit wins over an entry, entries of both sides drop each other, and with
   fill = "next_open" all of them come a bar late, at the open.
2. Chunks of points are evaluated as the columns of one portfolio; their size follows from a budget of bytes.
3. vectorbt's own accessors give the metrics. It starts its peak at the first bar's close, we at the initial cash: it is
   given one flat bar ahead. Metrics of the path are read from its equity, positions and orders.
4. Where an account's course shows that vectorbt means otherwise, the point is a row of NaN: a short whose costs of
   closing reach its equity (vectorbt goes on, into debt), and an account worn down to what one order's fixed fee, or
   vectorbt's own rounding, decides upon: long before it is ruined, which vectorbt does not know.
vectorbt is asked only for what both engines understand alike: rules that enter and exit by signals, all equity, filled
at the close or at the next open. `_differences` says what it understands otherwise, before anything runs.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from typing import Any

import numpy as np

from tunesmith.compute.engines.engine import Columns, Difference, Engine
from tunesmith.compute.engines.trace import trace
from tunesmith.compute.engines.vectorbt_loading import load_vectorbt
from tunesmith.compute.measures.account_metrics import ROUNDING
from tunesmith.compute.measures.path_metrics import PathReader, named, path_names
from tunesmith.compute.measures.trades_of_points import read_trades
from tunesmith.compute.rules.binding import bind
from tunesmith.compute.rules.strategy import Strategy
from tunesmith.compute.simulation.arrays import (
    ENTRY,
    EXIT,
    N_ORDER_FIELDS,
    N_ORDERS,
    N_TOTALS,
    ORDER_BAR,
    ORDER_FEE,
    ORDER_PRICE,
    ORDER_REASON,
    ORDER_SIDE,
    ORDER_SIZE,
    Results,
)
from tunesmith.compute.simulation.execution import Execution
from tunesmith.compute.simulation.run import PreparedBars, check_start, empty_results, prepare
from tunesmith.compute.simulation.signals import Signals
from tunesmith.domain.array_types import Flags, Floats
from tunesmith.domain.closed_trades import ClosedTrades
from tunesmith.domain.market.bars import Bars
from tunesmith.domain.market.timeframes import timeframe_ms
from tunesmith.domain.metrics import ACCOUNT_METRICS, TIMING_T
from tunesmith.domain.trading import Costs, Direction

_BUDGET = 128 * 2**20
_BYTES_A_CELL = 500
_WORN_DOWN = 1e-5
_CLOSED = 1

_LEVELS = {
    "stop_loss": "watches no stop on the bar of the entry",
    "take_profit": "watches no target on the bar of the entry",
    "trailing_stop": "moves a stop by the high of the bar that it watches",
    "max_holding": "knows no longest holding",
}


def _differences(strategy: Strategy, costs: Costs, direction: Direction) -> Iterator[Difference]:
    if strategy.kind != "rule":
        yield Difference("engine", f"trades by signals, and {strategy.id} is path-dependent")
    for order, reason in _LEVELS.items():
        if order in strategy.orders:
            yield Difference("engine", f"{reason}, and the rule has {order}")
    has_long = strategy.has_long and direction != "short"
    has_short = strategy.has_short and direction != "long"
    if has_long and has_short and costs.fixed_fee > 0.0:
        yield Difference("costs/fixed_fee", "charges one fixed fee for a reversal, which is two orders")
    if has_short and share_left(costs, short=True) <= 0.0:
        yield Difference("costs", "opens shorts that could not be closed at such costs, which we do not open")


def share_left(costs: Costs, *, short: bool) -> float:
    """The share of equity that is left of a position closed as soon as it is opened, fixed fees aside."""
    fee, slippage = costs.fee_rate, costs.slippage_rate
    if short:
        return 1.0 + (1.0 - fee) / (1.0 + fee) - (1.0 + slippage) / (1.0 - slippage)
    return (1.0 - fee) * (1.0 - slippage) / ((1.0 + fee) * (1.0 + slippage))


def _evaluate(
    strategy: Strategy,
    prepared: PreparedBars,
    points: Floats,
    execution: Execution,
    *,
    start: int,
    n_threads: int,
    metrics: Collection[str],
) -> Columns:
    """Rows of NaN where vectorbt would mean otherwise (step 4 above). Runs on one thread."""
    length = _chunk_length(prepared.bars)
    parts = []
    for lo in range(0, len(points), length):
        bound = bind(strategy, prepared.bars, points[lo : lo + length])
        signals = bound.signals(0, min(length, len(points) - lo))
        parts.append(_evaluate_signals(signals, prepared, execution, start, metrics))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]} if parts else {}


def _evaluate_signals(
    signals: Signals, prepared: PreparedBars, execution: Execution, start: int, metrics: Collection[str]
) -> Columns:
    portfolio = _portfolio(signals, prepared, execution, start)
    values = _frame(portfolio.value())
    found = _account_metrics(portfolio, prepared, execution)
    if not set(ACCOUNT_METRICS).issuperset(metrics):
        found |= _path_metrics(portfolio, values, prepared, execution, start, path_names(metrics))
    if TIMING_T in metrics:
        found[TIMING_T] = found["timing_sharpe"] * math.sqrt(len(values) / prepared.bars.bars_per_year)
    otherwise = _means_otherwise(portfolio, values, prepared, execution, start)
    return {name: np.where(np.isfinite(column) & ~otherwise, column, np.nan) for name, column in found.items()}


def _portfolio(signals: Signals, prepared: PreparedBars, execution: Execution, start: int) -> Any:
    """vectorbt's portfolio of the signals from `start` on, a column a point."""
    import pandas as pd

    vbt = load_vectorbt()
    bars, costs = prepared.bars, execution.costs
    longs, shorts = execution.direction != "short", execution.direction != "long"
    exit_long, exit_short = _said(signals, "exit_long", start, longs), _said(signals, "exit_short", start, shorts)
    enter_long = _said(signals, "enter_long", start, longs) & ~exit_long
    enter_short = _said(signals, "enter_short", start, shorts) & ~exit_short
    both = enter_long & enter_short
    asked = [enter_long & ~both, exit_long, enter_short & ~both, exit_short]
    late = execution.fill == "next_open"
    if late:
        asked = [np.concatenate([np.zeros_like(values[:1]), values[:-1]]) for values in asked]
    index = pd.to_datetime(bars.timestamp[start:], unit="ms")
    return vbt.Portfolio.from_signals(
        pd.Series(bars.close[start:], index=index),
        entries=asked[0],
        exits=asked[1],
        short_entries=asked[2],
        short_exits=asked[3],
        price=pd.Series((bars.open if late else bars.close)[start:], index=index),
        fees=costs.fee_rate,
        fixed_fees=costs.fixed_fee,
        slippage=costs.slippage_rate,
        init_cash=execution.initial_cash,
        upon_opposite_entry="Reverse",
        freq=pd.Timedelta(timeframe_ms(bars.timeframe), "ms"),
    )


def _said(signals: Signals, name: str, start: int, traded: bool) -> Flags:
    """bool[T - start, n]: whether each bar asks for this order, on a side that is traded."""
    values = getattr(signals, name)
    if values is None or not traded:
        return np.zeros((signals.n_bars - start, signals.n_points), np.bool_)
    return np.ascontiguousarray(values[:, start:].T != 0)


def _account_metrics(portfolio: Any, prepared: PreparedBars, execution: Execution) -> dict[str, Floats]:
    import pandas as pd

    bars = prepared.bars
    length = pd.Timedelta(timeframe_ms(bars.timeframe), "ms")
    year = pd.Timedelta(round(bars.bars_per_year * length.value), "ns")
    returns = portfolio.get_returns_acc(freq=length, year_freq=year)
    flat = pd.DataFrame(_frame(portfolio.returns()))
    flat = pd.concat([flat.iloc[:1] * 0.0, flat], ignore_index=True)
    n = flat.shape[1]
    drawdown = np.abs(_row(flat.vbt.returns(freq=length, year_freq=year).max_drawdown(engine=portfolio.engine), n))
    annual_return, volatility = _row(returns.annualized(), n), _row(returns.annualized_volatility(), n)
    total_return = _row(portfolio.total_return(), n)
    rounding = ROUNDING * math.sqrt(bars.bars_per_year)
    records = portfolio.positions.records
    closed = records["status"].to_numpy() == _CLOSED
    column, profit = records["col"].to_numpy()[closed], records["pnl"].to_numpy(np.float64)[closed]
    profit = np.where(np.abs(profit) <= ROUNDING * execution.initial_cash, 0.0, profit)
    trades = np.bincount(column, minlength=n).astype(np.float64)
    won = np.bincount(column, np.maximum(profit, 0.0), minlength=n)
    lost = np.bincount(column, np.maximum(-profit, 0.0), minlength=n)
    with np.errstate(all="ignore"):
        deep = np.where(drawdown > ROUNDING, drawdown, np.nan)
        return {
            "total_return": total_return,
            "annual_return": annual_return,
            "sharpe": np.where(volatility > rounding, _row(returns.sharpe_ratio(), n), np.nan),
            "sortino": np.where(_row(returns.downside_risk(), n) > rounding, _row(returns.sortino_ratio(), n), np.nan),
            "calmar": annual_return / deep,
            "max_drawdown": drawdown,
            "volatility": volatility,
            "n_trades": trades,
            "win_rate": np.bincount(column, profit > 0.0, minlength=n) / trades,
            "profit_factor": won / np.where(lost > 0.0, lost, np.nan),
            "expectancy": (won - lost) / trades,
            "exposure": _row(portfolio.position_coverage(), n),
            "recovery_factor": total_return / deep,
        }


def _path_metrics(
    portfolio: Any,
    values: Floats,
    prepared: PreparedBars,
    execution: Execution,
    start: int,
    names: tuple[str, ...],
) -> Columns:
    """Metrics of the path, from vectorbt's equity, positions and orders; a reversal's order is taken as two."""
    sizes = _frame(portfolio.assets())
    records = portfolio.orders.records
    reader = PathReader(prepared, execution, start, names)
    found = np.empty((values.shape[1], len(names)))
    for i in range(values.shape[1]):
        out = _results(records[records["col"] == i], start, n_marks=len(values))
        out.marks[0], out.marks[1] = values[:, i], sizes[:, i]
        reader.read(out, found[i])
    return named(found, names)


def _closed_trades(
    strategy: Strategy, bars: Bars, points: Floats, execution: Execution, *, start: int = 0
) -> list[ClosedTrades | None]:
    """The closed trades of vectorbt's own orders; None where a require(…) is broken, and where step 4 says so."""
    check_start(bars, start)
    points = np.ascontiguousarray(points, np.float64)
    prepared = prepare(bars)
    found: list[ClosedTrades | None] = [None] * len(points)
    chosen = np.flatnonzero(strategy.valid(points))
    length = _chunk_length(bars)
    for lo in range(0, len(chosen), length):
        rows = chosen[lo : lo + length]
        signals = bind(strategy, bars, points[rows]).signals(0, len(rows))
        portfolio = _portfolio(signals, prepared, execution, start)
        otherwise = _means_otherwise(portfolio, _frame(portfolio.value()), prepared, execution, start)
        records = portfolio.orders.records
        for i in np.flatnonzero(~otherwise).tolist():
            found[rows[i]] = read_trades(_results(records[records["col"] == i], start), bars, execution, start)
    return found


def _chunk_length(bars: Bars) -> int:
    return max(1, _BUDGET // (_BYTES_A_CELL * len(bars)))


def _results(records: Any, start: int, *, n_marks: int = 0) -> Results:
    """Results with the orders of one point, and room for its marks."""
    orders = _orders(records, start)
    out = empty_results(np.zeros((1, N_TOTALS)), n_orders=len(orders), n_marks=n_marks)
    out.orders[:] = orders
    out.totals[0, N_ORDERS] = len(orders)
    return out


def _orders(records: Any, start: int) -> Floats:
    """Rows of N_ORDER_FIELDS of one point's order records; one that turns the position is split at nothing held."""
    rows = []
    held = 0.0
    for bar, size, price, fee, side in records[["idx", "size", "price", "fees", "side"]].to_numpy(np.float64):
        sign = 1.0 if side == 0.0 else -1.0
        closing = min(size, abs(held)) if held * sign < 0.0 else 0.0
        for part, reason in ((closing, EXIT), (size - closing, ENTRY)):
            if part > 1e-9 * size:
                rows.append((bar + start, sign, part, price, fee * part / size, float(reason)))
        held += sign * size
        held = 0.0 if abs(held) <= 1e-9 * size else held
    fields = (ORDER_BAR, ORDER_SIDE, ORDER_SIZE, ORDER_PRICE, ORDER_FEE, ORDER_REASON)
    made = np.array(rows).reshape(-1, N_ORDER_FIELDS)
    orders = np.empty_like(made)
    orders[:, fields] = made
    return orders


def _means_otherwise(portfolio: Any, values: Floats, prepared: PreparedBars, execution: Execution, start: int) -> Flags:
    """bool[n]: the points whose course vectorbt and we understand differently."""
    costs, cash = execution.costs, execution.initial_cash
    lowest = np.min(values, axis=0, initial=cash)
    shorts = execution.direction != "long"
    left = min(share_left(costs, short=False), share_left(costs, short=True) if shorts else 1.0)
    found: Flags = (lowest <= _WORN_DOWN * cash) | (lowest * left <= 4.0 * costs.fixed_fee)
    if not shorts:
        return found
    held, money = _frame(portfolio.assets()), _frame(portfolio.cash())
    if execution.fill == "close":
        # What is held within a bar is what was held at the close before it.
        held = np.concatenate([np.zeros_like(held[:1]), held[:-1]])
        money = np.concatenate([np.full_like(money[:1], cash), money[:-1]])
    closing = (1.0 + costs.slippage_rate) * (1.0 + costs.fee_rate)
    dearest = prepared.bars.high[start:, np.newaxis]
    reached = (held < 0.0) & (money + held * dearest * closing - costs.fixed_fee <= 0.0)
    return found | reached.any(axis=0)


def _frame(values: Any) -> Floats:
    """float64[T, n], also where one column came as a series."""
    array: Floats = values.to_numpy(np.float64)
    return array.reshape(len(array), -1)


def _row(values: Any, n: int) -> Floats:
    """float64[n], also where one column came as a number."""
    return np.broadcast_to(np.asarray(values, np.float64).reshape(-1), (n,)).copy()


VECTORBT = Engine(
    name="vectorbt",
    doc="vectorbt's signals, where they mean the same as ours: slow, and the same numbers.",
    differences=_differences,
    evaluate=_evaluate,
    # Whatever gets here trades alike in both, so our trace has its orders; vectorbt's replay confirms them.
    trace=trace,
    closed_trades=_closed_trades,
    assumed_ns=500.0,
    chunk_divisor=20,
    no_numbers="its account was worn down, or a short came to its end, where vectorbt goes on otherwise",
)
