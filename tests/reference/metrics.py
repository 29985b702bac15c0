"""The metrics of one run, straight from their formulas: two passes over plain numbers, NaN where undefined."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import groupby, pairwise
from statistics import fmean, median, stdev
from typing import NamedTuple

NAN = math.nan
ROUNDING = 1e-12
"""Deviations a bar and drawdowns up to this are rounding, and zero."""


def slow_metrics(
    equity: Sequence[float],
    position: Sequence[float],
    profits: Sequence[float],
    initial_cash: float,
    bars_per_year: float,
) -> dict[str, float]:
    """Every metric of the account; `equity` and `position` at the close of each bar, `profits` of the closed trades."""
    n = len(equity)
    before = [initial_cash, *equity[:-1]]
    returns = [0.0 if b == 0 else e / b - 1.0 for b, e in zip(before, equity, strict=True)]
    mean = math.fsum(returns) / n
    variance = math.fsum((r - mean) ** 2 for r in returns) / (n - 1) if n > 1 else NAN
    mean_square = math.fsum(r * r for r in returns) / n
    std = math.sqrt(variance) if n > 1 else NAN
    if std <= max(ROUNDING, 1e-7 * math.sqrt(mean_square)):
        std = 0.0
    downside = math.sqrt(math.fsum(min(r, 0.0) ** 2 for r in returns) / n)

    peak, drawdown = initial_cash, 0.0
    for value in equity:
        peak = max(peak, value)
        drawdown = max(drawdown, 1.0 - value / peak)

    growth = equity[-1] / initial_cash
    try:
        annual_return = growth ** (bars_per_year / n) - 1.0
    except OverflowError:
        annual_return = NAN
    won = math.fsum(p for p in profits if p > 0)
    lost = -math.fsum(p for p in profits if p < 0)
    n_trades = len(profits)
    return {
        "total_return": growth - 1.0,
        "annual_return": annual_return,
        "sharpe": mean / std * math.sqrt(bars_per_year) if std > 0 else NAN,
        "sortino": mean * math.sqrt(bars_per_year) / downside if downside > ROUNDING and n > 1 else NAN,
        "calmar": annual_return / drawdown if drawdown > ROUNDING else NAN,
        "max_drawdown": drawdown,
        "volatility": std * math.sqrt(bars_per_year),
        "n_trades": float(n_trades),
        "win_rate": sum(p > 0 for p in profits) / n_trades if n_trades else NAN,
        "profit_factor": won / lost if lost > 0 else NAN,
        "expectancy": math.fsum(profits) / n_trades if n_trades else NAN,
        "exposure": sum(p != 0 for p in position) / n,
        "recovery_factor": (growth - 1.0) / drawdown if drawdown > ROUNDING else NAN,
    }


class SlowTrade(NamedTuple):
    """A closed position: bars of its first and last order, net profit in cash, cash value of what was entered."""

    entry_bar: int
    exit_bar: int
    profit: float
    entered: float


def slow_path_metrics(
    equity: Sequence[float],
    position: Sequence[float],
    closes: Sequence[float],
    trades: Sequence[SlowTrade],
    initial_cash: float,
    bars_per_year: float,
) -> dict[str, float]:
    """Every metric of the path, in the table's order; `equity`, `position`, `closes` at the close of each bar."""
    before = [initial_cash, *equity[:-1]]
    returns = [0.0 if b == 0 else e / b - 1.0 for b, e in zip(before, equity, strict=True)]
    market = [0.0, *(after / close - 1.0 for close, after in pairwise(closes))]
    return {
        **_ratios_of_sides(returns),
        **_drawdowns(equity, initial_cash),
        **_shape(returns),
        "timing_sharpe": _timing_sharpe(returns, market, mean_exposure(equity, position, closes), bars_per_year),
        **_of_trades(trades, initial_cash),
        "buy_and_hold_return": closes[-1] / closes[0] - 1.0,
    }


OWN: dict[str, Callable[[Sequence[float], Sequence[float], Sequence[SlowTrade], float], float]] = {}
"""The slow way to a metric that a test has added, from equity, closes, closed trades and the initial cash."""


def slow_numbers(
    equity: Sequence[float],
    position: Sequence[float],
    closes: Sequence[float],
    trades: Sequence[SlowTrade],
    initial_cash: float,
    bars_per_year: float,
) -> dict[str, float]:
    """Every metric of the table."""
    return {
        **slow_metrics(equity, position, [trade.profit for trade in trades], initial_cash, bars_per_year),
        **slow_path_metrics(equity, position, closes, trades, initial_cash, bars_per_year),
        **{name: slow(equity, closes, trades, initial_cash) for name, slow in OWN.items()},
    }


def mean_exposure(equity: Sequence[float], position: Sequence[float], closes: Sequence[float]) -> float:
    """Mean over the bars of the position's value as a share of equity; an account with nothing left has none."""
    shares = [size * close / e if e > 0 else 0.0 for e, size, close in zip(equity, position, closes, strict=True)]
    return math.fsum(shares) / len(shares)


def _ratios_of_sides(returns: Sequence[float]) -> dict[str, float]:
    gains = math.fsum(r for r in returns if r > 0)
    losses = -math.fsum(r for r in returns if r < 0)
    high, low = abs(_percentile(returns, 95)), abs(_percentile(returns, 5))
    return {
        "omega": gains / losses if losses / len(returns) > ROUNDING else NAN,
        "tail_ratio": high / low if low > ROUNDING else NAN,
    }


def _percentile(values: Sequence[float], percent: int) -> float:
    """Linear between the two values next to it."""
    place = (len(values) - 1) * percent / 100
    below, above = sorted(values)[math.floor(place)], sorted(values)[math.ceil(place)]
    return below + (above - below) * (place - math.floor(place))


def _drawdowns(equity: Sequence[float], initial_cash: float) -> dict[str, float]:
    depths = [1.0 - e / max([initial_cash, *equity[: t + 1]]) for t, e in enumerate(equity)]
    runs = [len(list(run)) for under, run in groupby(depth > ROUNDING for depth in depths) if under]
    return {
        "ulcer_index": math.sqrt(math.fsum(depth**2 for depth in depths) / len(depths)),
        "longest_drawdown": float(max(runs, default=0)),
    }


def _shape(returns: Sequence[float]) -> dict[str, float]:
    n = len(returns)
    mean = math.fsum(returns) / n
    second, third, fourth = (math.fsum((r - mean) ** power for r in returns) / n for power in (2, 3, 4))
    if n < 2 or _is_rounding(math.sqrt(second), mean):
        return {"skew": NAN, "kurtosis": NAN}
    return {"skew": third / second**1.5, "kurtosis": fourth / second**2}


def _timing_sharpe(returns: Sequence[float], market: Sequence[float], exposure: float, bars_per_year: float) -> float:
    timing = [r - exposure * m for r, m in zip(returns, market, strict=True)]
    if len(timing) < 2 or _is_rounding(stdev(timing), fmean(timing)):
        return NAN
    return fmean(timing) / stdev(timing) * math.sqrt(bars_per_year)


def _of_trades(trades: Sequence[SlowTrade], initial_cash: float) -> dict[str, float]:
    names = ("average_trade_return", "median_trade_return", "best_trade_return", "worst_trade_return")
    if not trades:
        return dict.fromkeys(("sqn", *names, "average_holding_time"), NAN)
    profits = [trade.profit for trade in trades]
    gains = [trade.profit / trade.entered for trade in trades]
    sqn = NAN
    if len(trades) > 1 and not _is_rounding(stdev(profits) / initial_cash, fmean(profits) / initial_cash):
        sqn = math.sqrt(len(trades)) * fmean(profits) / stdev(profits)
    return {
        "sqn": sqn,
        **dict(zip(names, (fmean(gains), median(gains), max(gains), min(gains)), strict=True)),
        "average_holding_time": fmean(trade.exit_bar - trade.entry_bar for trade in trades),
    }


def _is_rounding(deviation: float, mean: float) -> bool:
    return deviation <= max(ROUNDING, 1e-7 * abs(mean))
