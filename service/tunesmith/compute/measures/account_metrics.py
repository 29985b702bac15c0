"""From a walk's totals to the metrics of `domain.metrics.METRICS` that are the account's."""

from __future__ import annotations

import math

import numpy as np

from tunesmith.compute.simulation.arrays import (
    FINAL_EQUITY,
    GROSS_LOSS,
    GROSS_PROFIT,
    MAX_DRAWDOWN,
    N_EXPOSED,
    N_TRADES,
    N_WINS,
    SUM_DOWNSIDE_SQUARES,
    SUM_PRODUCTS,
    SUM_RETURNS,
    SUM_SQUARES,
    SUM_WEIGHTS,
)
from tunesmith.domain.array_types import Floats
from tunesmith.domain.metrics import ACCOUNT_METRICS

ROUNDING = 1e-12
"""Deviations a bar and drawdowns up to this are rounding, and zero; so are deviations below 1e-7 of the mean."""


def metrics_of(totals: Floats, n_bars: int, bars_per_year: float, initial_cash: float) -> dict[str, Floats]:
    """Account metrics of n points, float64[n] by name, from their totals float64[n, N_TOTALS] over `n_bars` bars.

    NaN where undefined: ratios over zero, a variance of fewer than two returns, an annual return beyond all floats.
    """
    n = float(n_bars)
    with np.errstate(all="ignore"):
        growth = totals[:, FINAL_EQUITY] / initial_cash
        annual_return = growth ** (bars_per_year / n) - 1.0
        mean = totals[:, SUM_RETURNS] / n
        mean_square = totals[:, SUM_SQUARES] / n
        variance = (totals[:, SUM_SQUARES] - n * mean * mean) / (n - 1.0)
        std = np.sqrt(np.maximum(variance, 0.0))
        std[std <= np.maximum(ROUNDING, 1e-7 * np.sqrt(mean_square))] = 0.0
        downside = np.sqrt(totals[:, SUM_DOWNSIDE_SQUARES] / n)
        downside[downside <= ROUNDING] = 0.0
        if n_bars < 2:
            std[:] = downside[:] = np.nan
        trades = totals[:, N_TRADES]
        profit, loss = totals[:, GROSS_PROFIT], totals[:, GROSS_LOSS]
        drawdown = totals[:, MAX_DRAWDOWN]
        deep = np.where(drawdown > ROUNDING, drawdown, 0.0)
        values = {
            "total_return": growth - 1.0,
            "annual_return": annual_return,
            "sharpe": mean / std * np.sqrt(bars_per_year),
            "sortino": mean / downside * np.sqrt(bars_per_year),
            "calmar": annual_return / deep,
            "max_drawdown": drawdown.copy(),
            "volatility": std * np.sqrt(bars_per_year),
            "n_trades": trades.copy(),
            "win_rate": totals[:, N_WINS] / trades,
            "profit_factor": profit / loss,
            "expectancy": (profit - loss) / trades,
            "exposure": totals[:, N_EXPOSED] / n,
            "recovery_factor": (growth - 1.0) / deep,
        }
    return {name: np.where(np.isfinite(values[name]), values[name], np.nan) for name in ACCOUNT_METRICS}


def timing_t_of(totals: Floats, closes: Floats) -> Floats:
    """`domain.metrics.TIMING_T` of n points, float64[n], from their totals float64[n, N_TIMED_TOTALS].

    `closes` float64[T] are those of the account's bars. NaN where undefined: fewer than two bars, and a deviation that
    is rounding. The variance is a difference of sums, which leaves it exact to some 1e-15 times the square of (root
    mean square of the net return and of what the mean exposure earns / deviation of the timing returns).
    """
    n = len(closes)
    if n < 2:
        return np.full(len(totals), np.nan)
    with np.errstate(all="ignore"):
        market = closes[1:] / closes[:-1] - 1.0
        exposure = totals[:, SUM_WEIGHTS] / n
        mean = (totals[:, SUM_RETURNS] - exposure * market.sum()) / n
        net, held = totals[:, SUM_SQUARES], exposure * exposure * (market * market).sum()
        squares = net - 2.0 * exposure * totals[:, SUM_PRODUCTS] + held
        std = np.sqrt(np.maximum(squares - n * mean * mean, 0.0) / (n - 1))
        std[~(std > np.maximum(ROUNDING, 1e-7 * np.sqrt((net + held) / n)))] = np.nan
        found: Floats = mean * math.sqrt(n) / std
    return np.where(np.isfinite(found), found, np.nan)
