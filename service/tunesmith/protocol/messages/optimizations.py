"""Messages about optimizations: a search of a strategy's parameters."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from tunesmith.domain.approval import ApprovalCriteria, VerdictWish
from tunesmith.domain.metrics import Aggregation
from tunesmith.domain.names import GivenLabel, Id, Symbol, Version
from tunesmith.domain.parameters import RangeSpec
from tunesmith.domain.records import JsonObject
from tunesmith.domain.search.methods import Method, MethodOptions
from tunesmith.domain.search.stop_rules import StopRules
from tunesmith.protocol.envelope import Limit, Offset, Reply, Request, TaskStatus, WorkerCount
from tunesmith.protocol.messages.markets import MarketRequest, Terms

OneTarget = Annotated[str, msgspec.Meta(min_length=1, max_length=500)]
Weights = Annotated[dict[str, float], msgspec.Meta(min_length=1, max_length=32)]
Target = OneTarget | Weights | Annotated[list[str | Weights], msgspec.Meta(min_length=1, max_length=4)]
"""A metric, an expression over metrics, weights by metric, a loss of freqtrade by name, or a list of them (Pareto)."""
Constraint = Annotated[str, msgspec.Meta(min_length=1, max_length=256, description='such as "n_trades >= 30"')]
Constraints = ApprovalCriteria | Annotated[list[Constraint], msgspec.Meta(max_length=32)]
Conditions = Annotated[
    list[Annotated[str, msgspec.Meta(min_length=1, max_length=500, description="such as fast_period < slow_period")]],
    msgspec.Meta(max_length=32),
]
Seed = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
TrialLimit = Annotated[int, msgspec.Meta(ge=1, le=100_000_000)]


class StartOptimization(MarketRequest, frozen=True, kw_only=True):
    """`optimization.start`: on `symbol`, or on several `symbols` whose metrics `aggregate` makes one.

    Empty `param_ranges` mean the ranges that the strategy declares; `conditions` between parameters come on top of its
    own. `grid` means all points; one larger than the budget in the settings is refused with its size. Every other
    method makes at most `max_iterations` trials. `auto` takes the grid where that is cheap, else what learns; the reply
    says which and why. `warm_start` names an earlier search whose best points are tried first. With `approve` it goes
    on to a verdict with these criteria, on old candles only with `accept_old_data` (see `strategy.approve`).
    """

    symbol: Symbol | None = None
    symbols: Annotated[list[Symbol], msgspec.Meta(max_length=200)] = []
    aggregate: Aggregation = "mean"
    strategy_id: Id
    strategy_version: Version | None = None
    param_ranges: Annotated[dict[str, RangeSpec], msgspec.Meta(max_length=64)] = {}
    conditions: Conditions = []
    optimization_target: Target = "sharpe"
    max_iterations: TrialLimit = 100
    method: Method = "auto"
    options: MethodOptions = MethodOptions()
    seed: Seed = 0
    constraints: Constraints | None = None
    stop: StopRules | None = None
    warm_start: Id | None = None
    priority: Annotated[int, msgspec.Meta(ge=0, le=9)] = 5
    parallel: WorkerCount | None = None
    approve: VerdictWish | None = None
    label: GivenLabel = msgspec.UNSET


class OptimizationStarted(Terms, frozen=True, kw_only=True):
    optimization_id: str
    status: TaskStatus
    progress: float
    method: str
    n_trials: int
    chosen_because: str | None = None
    withheld_from: str | None = None


class OptimizationStatus(Request, frozen=True, kw_only=True):
    """`optimization.status`."""

    optimization_id: Id


class CancelOptimization(Request, frozen=True, kw_only=True):
    """`optimization.cancel`: what is done is kept."""

    optimization_id: Id


class ResumeOptimization(Request, frozen=True, kw_only=True):
    """`optimization.resume`: a search that was cancelled or that failed goes on where it was.

    With `retry_failed` the trials that could not be evaluated are tried again.
    """

    optimization_id: Id
    retry_failed: bool = False


class OptimizationStatusReply(Terms, frozen=True, kw_only=True):
    """`progress` from 0 to 1; `eta_s` from the measured speed; `verdict_id` when the request went on to a verdict.

    `n_failed` counts trials that could not be evaluated; `stopped_by` says which rule ended the search early.
    `warnings` are those of the best trial's report.
    """

    optimization_id: str
    status: TaskStatus
    progress: float
    method: str
    n_trials: int
    n_done: int
    n_failed: int = 0
    stopped_by: str | None = None
    best_params: JsonObject | None = None
    best_score: float | None = None
    eta_s: float | None = None
    report_id: str | None = None
    verdict_id: str | None = None
    withheld_from: str | None = None
    warnings: list[str] = []
    error: JsonObject | None = None
    label: str | None = None


class OptimizationResults(Request, frozen=True, kw_only=True):
    """`optimization.results`: trials, sorted by `sort` (a metric, `score` or `index`), best first; undefined last.

    `front`: only the Pareto front of a search for several targets that has ended.
    """

    optimization_id: Id
    sort: Annotated[str, msgspec.Meta(max_length=64)] | None = None
    descending: bool | None = None
    front: bool = False
    limit: Limit = 50
    offset: Offset = 0


class Trial(Reply, frozen=True, kw_only=True):
    """One point that was tried. Only an `eligible` one, which keeps every constraint, can be the best.

    `metrics` are those of the account, and of the path those that the search's target and constraints read.
    """

    index: int
    params: JsonObject
    metrics: dict[str, float | None]
    eligible: bool
    score: float | None = None
    scores: list[float | None] | None = None
    by_symbol: dict[str, dict[str, float | None]] | None = None
    error: str | None = None


class OptimizationResultsReply(Reply, frozen=True, kw_only=True):
    optimization_id: str
    status: TaskStatus
    optimization_target: Any
    best_params: JsonObject | None
    best_score: float | None
    total: int
    trials: list[Trial]
