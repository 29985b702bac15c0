"""The metrics table: name, formula, unit, direction and source of every number the product reports.

This table is the documentation, and `server.info` lists it; `compute/measures/` computes its rows, except those that
carry a function of their own. An undefined value is NaN inside and null in JSON, never 0 or infinity. Symbols:

E_t       equity at the close of bar t = 1 … n; E_0 the initial cash
R_t       net return over bar t, E_t / E_{t-1} - 1, costs included
A         bars a year
mean, std over all bars (of closed trades: over those), std with n - 1
P_j       net profit of closed trade j in cash; V_j the value of its entries, size times price
D_t       drawdown at the close of bar t, 1 - E_t / max_{s<=t} E_s
C_t       the market's close; r_t = C_t / C_{t-1} - 1, and r_1 = 0: nothing is held before the first close
e         mean net exposure: mean of w_t, the position's value at the close as a share of equity, below 0 when short
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Literal, NamedTuple

from tunesmith.errors import Invalid

if TYPE_CHECKING:  # a bot's install has no numpy
    from tunesmith.domain.closed_trades import AccountPath

Goal = Literal["maximize", "minimize"]

Aggregation = Literal["mean", "median", "minimum"]
"""What makes one metric of those of several markets."""


class Metric(NamedTuple):
    """One row of the table.

    `direction` says which way is better, and so how a target is optimized. `basis` says what the metric costs: those
    of the "account" come with every evaluation, in a time that depends on the number of trades; those of the "path"
    need every bar's equity and every closed trade, and are computed where they are asked for, and in every report.
    `compute` is the function of a metric of the path that the compiled kernel does not know; what it answers that is
    not finite is undefined.
    """

    name: str
    formula: str
    unit: str
    direction: Goal
    source: str
    basis: Literal["account", "path"]
    compute: Callable[[AccountPath], float] | None = None


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("total_return", "E_n / E_0 - 1", "fraction", "maximize", "definition", "account"),
        Metric("annual_return", "(E_n / E_0)^(A / n) - 1", "fraction a year", "maximize", "geometric mean", "account"),
        Metric(
            "sharpe",
            "mean(R) / std(R) * sqrt(A)",
            "1/sqrt(year)",
            "maximize",
            "Sharpe 1994, risk-free rate 0",
            "account",
        ),
        Metric(
            "sortino",
            "mean(R) * sqrt(A) / sqrt(mean(min(R, 0)^2))",
            "1/sqrt(year)",
            "maximize",
            "Sortino & van der Meer 1991, target 0",
            "account",
        ),
        Metric("calmar", "annual_return / max_drawdown", "1/year", "maximize", "Young 1991, whole period", "account"),
        Metric("max_drawdown", "max(D)", "positive fraction", "minimize", "definition", "account"),
        Metric("volatility", "std(R) * sqrt(A)", "fraction a year", "minimize", "definition", "account"),
        Metric("n_trades", "number of closed trades", "trades", "maximize", "definition", "account"),
        Metric("win_rate", "share of closed trades with P > 0", "fraction", "maximize", "definition", "account"),
        Metric("profit_factor", "sum(P, P > 0) / -sum(P, P < 0)", "ratio", "maximize", "definition", "account"),
        Metric("expectancy", "mean(P)", "cash a trade", "maximize", "definition", "account"),
        Metric("exposure", "share of bars that end in a position", "fraction", "maximize", "definition", "account"),
        Metric(
            "recovery_factor",
            "total_return / max_drawdown",
            "ratio",
            "maximize",
            "convention of MetaTrader, as fractions",
            "account",
        ),
        Metric(
            "omega",
            "sum(max(R, 0)) / sum(max(-R, 0))",
            "ratio",
            "maximize",
            "Keating & Shadwick 2002, threshold 0",
            "path",
        ),
        Metric(
            "tail_ratio",
            "|95th percentile of R| / |5th percentile of R|, both interpolated linearly",
            "ratio",
            "maximize",
            "convention of pyfolio",
            "path",
        ),
        Metric("ulcer_index", "sqrt(mean(D^2))", "positive fraction", "minimize", "Martin & McCann 1989", "path"),
        Metric(
            "longest_drawdown",
            "most bars in a row with D > 0, a drawdown still open at the end included",
            "bars",
            "minimize",
            "definition",
            "path",
        ),
        Metric(
            "skew",
            "mean((R - mean(R))^3) / mean((R - mean(R))^2)^1.5",
            "number",
            "maximize",
            "moment coefficient of the sample, not corrected for bias",
            "path",
        ),
        Metric(
            "kurtosis",
            "mean((R - mean(R))^4) / mean((R - mean(R))^2)^2, not excess: a normal distribution has 3",
            "number",
            "minimize",
            "moment coefficient of the sample, not corrected for bias",
            "path",
        ),
        Metric(
            "timing_sharpe",
            "mean(a) / std(a) * sqrt(A) with a_t = R_t - e * r_t",
            "1/sqrt(year)",
            "maximize",
            "Sharpe 1994, of the return beyond what the mean exposure earns",
            "path",
        ),
        Metric(
            "sqn",
            "sqrt(n_trades) * mean(P) / std(P)",
            "number",
            "maximize",
            "Tharp 2008, with P for R-multiples",
            "path",
        ),
        Metric("average_trade_return", "mean(P / V)", "fraction", "maximize", "definition", "path"),
        Metric("median_trade_return", "median(P / V)", "fraction", "maximize", "definition", "path"),
        Metric("best_trade_return", "max(P / V)", "fraction", "maximize", "definition", "path"),
        Metric("worst_trade_return", "min(P / V)", "fraction", "maximize", "definition", "path"),
        Metric(
            "average_holding_time",
            "mean over closed trades of bars from the first entry to the last exit",
            "bars",
            "minimize",
            "definition",
            "path",
        ),
        Metric(
            "buy_and_hold_return", "C_n / C_1 - 1", "fraction", "maximize", "the market's own, without costs", "path"
        ),
    )
}
"""Every metric by name, in the order of columns."""

ACCOUNT_METRICS: tuple[str, ...] = tuple(name for name, metric in METRICS.items() if metric.basis == "account")
"""What every evaluation gives."""

PATH_METRICS: tuple[str, ...] = tuple(
    name for name, metric in METRICS.items() if metric.basis == "path" and metric.compute is None
)
"""What the compiled kernel gives where an evaluation is asked for it, in the order of its columns."""

TIMING_T = "timing_t"
"""The t statistic of timing returns, mean(a) / std(a) * sqrt(n) with a as in `timing_sharpe`, from a walk's totals.

The decision asks for it at every point of every search, so it costs what the metrics of the account do. It is no row of
the table: nobody else can ask for it, and reports show `timing_sharpe`, which is summed bar by bar and may differ from
timing_t * sqrt(A / n) in its last digits.
"""

TARGET_ALIASES: dict[str, str] = {"return": "total_return", "drawdown": "max_drawdown"}
"""Short names that `optimization_target` accepts beside the table's own."""


def register(metric: Metric) -> None:
    """Add a metric with a function to the table. Raises `ValueError` where its name is taken, or it has no function."""
    if metric.name in METRICS or metric.name in TARGET_ALIASES or not metric.name.isidentifier():
        raise ValueError(f"a metric cannot be named {metric.name!r}: the name is taken or is no name")
    if metric.compute is None or metric.basis != "path":
        raise ValueError(f"{metric.name}: a metric that is added has a function, which reads the path")
    METRICS[metric.name] = metric


def search_metrics(read: Collection[str]) -> tuple[str, ...]:
    """What a search computes for each trial: the account's metrics, and those of `read`, which decide about it."""
    return tuple(name for name in METRICS if name in ACCOUNT_METRICS or name in read)


def direction_of(name: str) -> Goal:
    """Which way a metric of the table, or `TIMING_T`, is better."""
    return "maximize" if name == TIMING_T else METRICS[name].direction


def metric_named(name: str, path: str) -> str:
    """The metric of that name or alias; raises `Invalid` at `path` with the nearest right name."""
    metric = TARGET_ALIASES.get(name, name)
    if metric not in METRICS:
        known = [*METRICS, *TARGET_ALIASES]
        near = difflib.get_close_matches(name[:64], known, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
        raise Invalid(f"{name[:80]!r} is no metric; {hint}", path=path)
    return metric
