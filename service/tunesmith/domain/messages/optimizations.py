"""Messages about optimizations: a search of a strategy's parameters."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from tunesmith.domain.messages.envelope import Id, Limit, Offset, Reply, Request, Symbol, TaskStatus
from tunesmith.domain.messages.markets import MarketRequest
from tunesmith.domain.messages.strategies import Version
from tunesmith.domain.messages.verdicts import ApprovalCriteria
from tunesmith.domain.parameters import RangeSpec

Method = Literal["auto", "grid", "random"]
Target = Annotated[str, msgspec.Meta(min_length=1, max_length=500)]


class StartOptimization(MarketRequest, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`optimization.start`. Empty `param_ranges` mean the ranges that the strategy declares.

    `grid` means all points; one larger than the budget in the settings is refused with its size. `max_iterations`
    bounds `random`. `auto` takes the grid where that is cheap, else random; the reply says which.
    """

    symbol: Symbol
    strategy_id: Id
    strategy_version: Version | None = None
    param_ranges: Annotated[dict[str, RangeSpec], msgspec.Meta(max_length=64)] = {}
    optimization_target: Target = "sharpe"
    max_iterations: Annotated[int, msgspec.Meta(ge=1, le=100_000_000)] = 100
    method: Method = "auto"
    seed: Annotated[int, msgspec.Meta(ge=0, le=2**53)] = 0
    constraints: ApprovalCriteria | None = None
    priority: Annotated[int, msgspec.Meta(ge=0, le=9)] = 5
    approve: ApprovalCriteria | None = None


class OptimizationStarted(Reply, frozen=True, kw_only=True):
    optimization_id: str
    status: TaskStatus
    progress: float
    method: str
    n_trials: int
    withheld_from: str | None = None


class OptimizationStatus(Request, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`optimization.status`."""

    optimization_id: Id


class CancelOptimization(Request, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`optimization.cancel`: what is done is kept."""

    optimization_id: Id


class OptimizationStatusReply(Reply, frozen=True, kw_only=True):
    """`progress` from 0 to 1; `eta_s` from the measured speed; `verdict_id` when the request went on to a verdict."""

    optimization_id: str
    status: TaskStatus
    progress: float
    method: str
    n_trials: int
    n_done: int
    best_params: dict[str, Any] | None = None
    best_score: float | None = None
    eta_s: float | None = None
    report_id: str | None = None
    verdict_id: str | None = None
    withheld_from: str | None = None
    error: dict[str, Any] | None = None


class OptimizationResults(Request, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`optimization.results`: trials, sorted by `sort` (a metric, or `index`), best first; undefined values last."""

    optimization_id: Id
    sort: Annotated[str, msgspec.Meta(max_length=64)] | None = None
    descending: bool | None = None
    limit: Limit = 50
    offset: Offset = 0


class Trial(Reply, frozen=True, kw_only=True):
    """One point that was tried. Only an `eligible` one, which keeps every constraint, can be the best.

    `metrics` are those of the account, and of the path those that the search's target and constraints read.
    """

    index: int
    params: dict[str, Any]
    metrics: dict[str, float | None]
    eligible: bool
    error: str | None = None


class OptimizationResultsReply(Reply, frozen=True, kw_only=True):
    optimization_id: str
    status: TaskStatus
    optimization_target: str
    best_params: dict[str, Any] | None
    best_score: float | None
    total: int
    trials: list[Trial]
