"""The metrics table: name, formula, unit, direction and source of every number the product reports.

`compute/metrics.py` computes them; this table is the documentation, and `server.info` lists it. Symbols: E_t the
equity at the close of bar t, E_0 the initial cash, R_t = E_t / E_{t-1} - 1 the net return over bar t (n of them),
A the bars per year, mean and std over R_t (std with n - 1), P_j the net profit of closed trade j in cash.
An undefined value is NaN inside and null in JSON, never 0 or infinity.
"""

from __future__ import annotations

from typing import Literal, NamedTuple


class Metric(NamedTuple):
    """One row of the table. `direction` says which way is better, and so how a target is optimized."""

    name: str
    formula: str
    unit: str
    direction: Literal["maximize", "minimize"]
    source: str


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("total_return", "E_n / E_0 - 1", "fraction", "maximize", "definition"),
        Metric("annual_return", "(E_n / E_0)^(A / n) - 1", "fraction a year", "maximize", "geometric mean"),
        Metric("sharpe", "mean(R) / std(R) * sqrt(A)", "1/sqrt(year)", "maximize", "Sharpe 1994, risk-free rate 0"),
        Metric(
            "sortino",
            "mean(R) * sqrt(A) / sqrt(mean(min(R, 0)^2))",
            "1/sqrt(year)",
            "maximize",
            "Sortino & van der Meer 1991, target 0",
        ),
        Metric("calmar", "annual_return / max_drawdown", "1/year", "maximize", "Young 1991, whole period"),
        Metric("max_drawdown", "max_t(1 - E_t / max_{s<=t} E_s)", "positive fraction", "minimize", "definition"),
        Metric("volatility", "std(R) * sqrt(A)", "fraction a year", "minimize", "definition"),
        Metric("n_trades", "number of closed trades", "trades", "maximize", "definition"),
        Metric("win_rate", "share of closed trades with P > 0", "fraction", "maximize", "definition"),
        Metric("profit_factor", "sum(P, P > 0) / -sum(P, P < 0)", "ratio", "maximize", "definition"),
        Metric("expectancy", "mean(P)", "cash a trade", "maximize", "definition"),
        Metric("exposure", "share of bars that end in a position", "fraction", "maximize", "definition"),
    )
}
"""Every metric by name, in the order of columns."""

TARGET_ALIASES: dict[str, str] = {"return": "total_return", "drawdown": "max_drawdown"}
"""Short names that `optimization_target` accepts beside the table's own."""
