"""The library face: the daemon's work in a notebook, with the same functions and so the same numbers.

evaluate   many points of a strategy on one market → a table of metrics
backtest   one point in full → orders, trades, equity and vectorbt's report

`study` has optimize and analyze, `judging` has judge.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, get_args

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from tunesmith.compute.engines.bars_of_rule import check_bars
from tunesmith.compute.engines.engine_table import check_engine
from tunesmith.compute.engines.evaluate import evaluate_points
from tunesmith.compute.engines.point_report import Report, report_point
from tunesmith.compute.rules.strategy import Strategy
from tunesmith.compute.search.split import annualized, default_boundary, split_at
from tunesmith.compute.simulation.execution import Execution
from tunesmith.compute.strategies import BUILTIN_IDS, builtin
from tunesmith.compute.strategies.installed import installed
from tunesmith.domain.array_types import Floats
from tunesmith.domain.criteria import HOLDOUT_SHARE
from tunesmith.domain.declared import as_declared, one_of
from tunesmith.domain.market.bars import Bars
from tunesmith.domain.metrics import METRICS, TARGET_ALIASES
from tunesmith.domain.parameters import decode
from tunesmith.domain.space import encode_points
from tunesmith.domain.trading import MAX_MISSING, OWN_ENGINE, AskedDirection, Costs, Engine, Fill, MissingShare
from tunesmith.errors import Invalid

if TYPE_CHECKING:
    import pandas as pd

Count = Annotated[int, Meta(ge=1, le=2**53)]
Index = Annotated[int, Meta(ge=0, le=2**53)]
Share = Annotated[float, Meta(gt=0.0, lt=1.0)]


@dataclass(frozen=True)
class Table:
    """Metrics of n points: `metrics` maps names of the metrics table to float64[n], NaN where undefined."""

    parameters: Mapping[str, NDArray[Any]]
    metrics: Mapping[str, Floats]

    def __len__(self) -> int:
        return len(next(iter(self.metrics.values())))

    def to_frame(self) -> pd.DataFrame:
        """One row a point: its parameters, then its metrics."""
        import pandas as pd

        return pd.DataFrame({**self.parameters, **self.metrics})


def strategy(strategy_id: str) -> Strategy:
    """The built-in or installed strategy of that id; raises `NotFound` with the nearest right name."""
    found = None if strategy_id in BUILTIN_IDS else installed().strategies.get(strategy_id)
    return builtin(strategy_id) if found is None else found


def evaluate(
    rule: Strategy,
    bars: Bars,
    params: Mapping[str, Any] | None = None,
    *,
    costs: Costs | None = None,
    fill: Fill = "next_open",
    direction: AskedDirection = "auto",
    initial_cash: float = 10_000.0,
    start: int = 0,
    n_threads: int | None = None,
    metrics: Collection[str] | None = None,
    engine: Engine = OWN_ENGINE,
) -> Table:
    """Metrics of every point in `params`: arrays of one length, zipped; scalars repeated; the unnamed take defaults.

    `metrics` names those that are wanted, of `domain.metrics.METRICS`; without it they are the account's, which cost
    the least: one of the path alone needs every bar's equity. `direction` auto trades every side that the rule enters.
    All bars are taken, none withheld as a hold-out. `engine` vectorbt gives the same numbers, slowly, and NaN
    where an account's course means something else there (see `compute.engines.vectorbt_engine`).
    Points that break a `require` are NaN rows. Bars before `start` only warm indicators up. Raises `Invalid` with the
    path of the argument for what cannot be.
    """
    points = encode_points(rule.parameters, params or {})
    execution = execution_of(rule, costs, fill, direction, initial_cash, engine)
    start = _first_bar(bars, start)
    wanted = None if metrics is None else _metric_names(metrics)
    n_threads = n_threads or n_cores()
    found = evaluate_points(rule, bars, points, execution, start=start, n_threads=n_threads, metrics=wanted)
    return Table(columns_of(rule, points), found)


def backtest(
    rule: Strategy,
    bars: Bars,
    params: Mapping[str, Any] | None = None,
    *,
    costs: Costs | None = None,
    fill: Fill = "next_open",
    direction: AskedDirection = "auto",
    initial_cash: float = 10_000.0,
    start: int = 0,
    use_holdout: bool = False,
    holdout_share: float = HOLDOUT_SHARE,
    max_missing: float = MAX_MISSING,
) -> Report:
    """One point with every order, trade and equity value, replayed and reported by vectorbt.

    The last `holdout_share` of the bars is withheld, as the daemon withholds it and `optimize` does: the report's
    `withheld_from` says from where on. `use_holdout` takes all bars; who has looked at a hold-out has none any more.
    `direction` auto trades every side that the rule enters. Of the bars that the market's calendar expects, the share
    `max_missing` may be missing. Raises `Invalid` with the path of the argument for what cannot be.
    """
    points = encode_points(rule.parameters, params or {})
    if len(points) != 1:
        raise Invalid(f"a backtest takes one point, got {len(points)}; evaluate takes many", path="/params")
    if not rule.valid(points)[0]:
        raise Invalid("these parameters break a require(…) of the strategy", path="/params")
    execution = execution_of(rule, costs, fill, direction, initial_cash)
    first = _first_bar(bars, start)
    check_bars(bars, first, as_declared(max_missing, MissingShare, "/max_missing"))
    if use_holdout:
        return report_point(rule, bars, points[0], execution, first)
    boundary_ms = default_boundary(bars, as_declared(holdout_share, Share, "/holdout_share"))
    known = annualized(bars, boundary_ms)
    known = known.slice(0, split_at(known, boundary_ms).in_stop)
    if first >= len(known):
        raise Invalid(
            f"bar {first} lies in the hold-out, which begins at bar {len(known)}; use_holdout=True looks at it",
            path="/start",
        )
    return replace(report_point(rule, known, points[0], execution, first), withheld_from=boundary_ms)


def execution_of(
    rule: Strategy,
    costs: Costs | None,
    fill: Fill,
    asked: AskedDirection,
    initial_cash: float,
    engine: str = OWN_ENGINE,
) -> Execution:
    """How the arguments of a call trade a rule; raises `Invalid` with their paths, and for stops wrong on its sides."""
    one_of(asked, get_args(AskedDirection), "direction", "/direction")
    direction = rule.direction(asked)
    rule.check_levels(direction, "/direction")
    execution = Execution(Costs() if costs is None else costs, fill, direction, initial_cash, engine)
    check_engine(rule, engine, execution.costs, direction)
    return execution


def _first_bar(bars: Bars, start: int) -> int:
    first: int = as_declared(start, Index, "/start")
    if first >= len(bars):
        raise Invalid(f"trading cannot start at bar {first}: there are {len(bars)}", path="/start")
    return first


def _metric_names(names: Collection[str]) -> tuple[str, ...]:
    if isinstance(names, str) or not names:
        raise Invalid(f"{names!r}: a list of metrics' names is needed, or none at all", path="/metrics")
    for i, name in enumerate(names):
        one_of(name, (*METRICS, *TARGET_ALIASES), "metric", f"/metrics/{i}")
    return tuple(dict.fromkeys(TARGET_ALIASES.get(name, name) for name in names))


def columns_of(rule: Strategy, points: Floats) -> dict[str, NDArray[Any]]:
    """The parameters of `points` float64[n, p] by name, each in its own type; [n] each."""
    return {
        p.name: np.array([decode(p, code) for code in points[:, column].tolist()], object)
        if p.kind == "choice"
        else points[:, column].astype({"int": np.int64, "bool": np.bool_}.get(p.kind, np.float64))
        for column, p in enumerate(rule.parameters)
    }


def n_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))
