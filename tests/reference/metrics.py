"""The metrics of one run, straight from their formulas: two passes over plain numbers, NaN where undefined."""

from __future__ import annotations

import math
from collections.abc import Sequence

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
    """Every metric of the table; `equity` and `position` at the close of each bar, `profits` of the closed trades."""
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
    }
