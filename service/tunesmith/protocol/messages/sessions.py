"""Messages about sessions: many searches generated, executed and read as one."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from tunesmith.domain.names import GivenLabel, Id, Symbol
from tunesmith.domain.parameters import RangeSpec
from tunesmith.domain.records import JsonObject
from tunesmith.domain.trading import Direction
from tunesmith.protocol.envelope import Limit, Offset, Reply, Request, WorkerCount
from tunesmith.protocol.messages.markets import MarketRequest, Terms
from tunesmith.protocol.messages.optimizations import Conditions, Constraints, Seed, Target, TrialLimit

Mode = Literal["exhaustive", "grid", "random", "latin_hypercube", "sobol"]
SessionState = Literal["created", "pending", "running", "completed", "failed", "cancelled"]


class SessionRequest(MarketRequest, frozen=True, kw_only=True):
    """What a session is made of: every strategy on every symbol.

    `mode` exhaustive takes every point, grid every n-th so that at most `size` remain, the others draw `size` points,
    each for one symbol and strategy. `param_ranges` holds the ranges of each strategy by its id; one that is not named
    takes the ranges that it declares.
    """

    symbols: Annotated[list[Symbol], msgspec.Meta(min_length=1, max_length=200)]
    strategies: Annotated[list[Id], msgspec.Meta(min_length=1, max_length=50)]
    mode: Mode = "random"
    size: TrialLimit | None = None
    param_ranges: Annotated[dict[str, dict[str, RangeSpec]], msgspec.Meta(max_length=50)] = {}
    conditions: Conditions = []
    optimization_target: Target = "sharpe"
    constraints: Constraints | None = None
    seed: Seed = 0
    label: GivenLabel = msgspec.UNSET


class PlanSession(SessionRequest, frozen=True, kw_only=True):
    """`session.plan`: what a session would be and need, without running or storing anything."""


class GenerateSession(SessionRequest, frozen=True, kw_only=True):
    """`session.generate`: store a session; `session.execute` runs it."""


class SessionItem(Reply, frozen=True, kw_only=True):
    """One search of a session; `status` is null before it has begun. A plan names the `direction` that it will have."""

    number: int
    symbol: str
    strategy_id: str
    n_trials: int
    n_done: int = 0
    status: str | None = None
    optimization_id: str | None = None
    best_score: float | None = None
    best_params: JsonObject | None = None
    seconds: float | None = None
    direction: Direction | None = None
    error: JsonObject | None = None


class SessionPlan(Terms, frozen=True, kw_only=True):
    """`seconds` of work at `workers` workers, from the measured `trials_per_s`; bytes on disk; `warnings` in words."""

    n_items: int
    n_trials: int
    exact: bool
    n_bars: int
    workers: int
    trials_per_s: float
    seconds: float
    memory_mb: float
    disk_mb: float
    warnings: list[str]
    items: list[SessionItem]


class SessionReply(Reply, frozen=True, kw_only=True):
    """Where a session stands. `items`, and the `request` that it was generated from, only with `detailed`.

    `n_failed` counts trials that could not be evaluated, `items_by_status` the searches (`waiting`: not begun).
    """

    session_id: str
    mode: str
    status: SessionState
    optimization_target: Any
    n_items: int
    n_trials: int
    n_done: int
    n_failed: int
    progress: float
    items_by_status: dict[str, int]
    created_at: str
    started_at: str | None = None
    completed_at: str | None = None
    eta_s: float | None = None
    ms_per_trial: float | None = None
    best: SessionItem | None = None
    items: list[SessionItem] | None = None
    request: JsonObject | None = None
    label: str | None = None


class ExecuteSession(Request, frozen=True, kw_only=True):
    """`session.execute`: run what is not done.

    `parallel` bounds the chunks of work at once (default: what the workers take). A session that was cancelled or that
    failed goes on with `resume`; `retry_failed` tries the trials again that could not be evaluated.
    """

    session_id: Id
    parallel: WorkerCount | None = None
    resume: bool = False
    retry_failed: bool = False


class SessionStatus(Request, frozen=True, kw_only=True):
    """`session.status`: a session, the newest without an id."""

    session_id: Id | None = None
    detailed: bool = False


class CancelSession(Request, frozen=True, kw_only=True):
    """`session.cancel`: what is done is kept, and `session.execute` with `resume` goes on."""

    session_id: Id


class ListSessions(Request, frozen=True, kw_only=True):
    """`session.list`: newest first."""

    status: SessionState | None = None
    limit: Limit = 50
    offset: Offset = 0


class SessionList(Reply, frozen=True, kw_only=True):
    sessions: list[SessionReply]
    total: int


class SessionResults(Request, frozen=True, kw_only=True):
    """`session.results`: trials of all searches, ranked together by `sort` (a metric, or score), best first.

    Only trials that kept the constraints, unless `all` is set.
    """

    session_id: Id
    sort: Annotated[str, msgspec.Meta(max_length=64)] = "score"
    descending: bool | None = None
    all: bool = False
    limit: Limit = 50
    offset: Offset = 0


class SessionTrial(Reply, frozen=True, kw_only=True):
    symbol: str
    strategy_id: str
    optimization_id: str
    index: int
    params: JsonObject
    score: float | None
    metrics: dict[str, float | None]
    eligible: bool
    error: str | None = None


class SessionResultsReply(Reply, frozen=True, kw_only=True):
    session_id: str
    status: SessionState
    optimization_target: Any
    total: int
    trials: list[SessionTrial]


class CleanSessions(Request, frozen=True, kw_only=True):
    """`session.clean`: delete a session and its trials, or those that ended more than `days` ago.

    Reports, verdicts and packages that came out of it stay.
    """

    session_id: Id | None = None
    days: Annotated[int, msgspec.Meta(ge=0, le=36500)] | None = None


class SessionsCleaned(Reply, frozen=True, kw_only=True):
    sessions: list[str]
    n_trials: int
