"""Messages about verdicts: the decision on a search or a backtest."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from tunesmith.protocol.envelope import Grade, Id, Limit, Offset, Reply, Request, Symbol, TaskStatus

VerdictStatus = Literal["approved", "paper_only", "rejected", "insufficient_data"]
Apply = Literal["new_trades", "when_flat", "immediately"]
Number = Annotated[float, msgspec.Meta(ge=-1e9, le=1e9)]


class ApprovalCriteria(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bounds that a result must keep. Null means the setting's default for an approval.

    For a search null means no bound; only of `min_trades` it asks the setting's default there too.
    """

    min_sharpe: Number | None = None
    max_drawdown: Annotated[float, msgspec.Meta(ge=0.0, le=1.0)] | None = None
    min_return: Number | None = None
    min_trades: Annotated[int, msgspec.Meta(ge=0, le=10**9)] | None = None
    min_win_rate: Annotated[float, msgspec.Meta(ge=0.0, le=1.0)] | None = None
    min_profit_factor: Annotated[float, msgspec.Meta(ge=0.0, le=1e9)] | None = None


class ApproveStrategy(Request, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`strategy.approve`: decide on one optimization, or on one backtest (a report's or its task's id)."""

    strategy_id: Id
    optimization_id: Id | None = None
    backtest_id: Id | None = None
    approval_criteria: ApprovalCriteria | None = None
    apply: Apply = "new_trades"


class Check(Reply, frozen=True, kw_only=True):
    """One check of a verdict. `segment` is in_sample or holdout; a hold-out's `value` stays null until approval."""

    name: str
    segment: str
    asks: str
    value: float | None
    threshold: float | None
    passed: bool
    reason: str


class VerdictReply(Reply, frozen=True, kw_only=True):
    """`status` is the task's, `verdict` the decision when it is there.

    `verdict.get` brings the `evidence` too: before an approval without anything of the hold-out but pass or fail. An
    approval of a search over several symbols makes a package for each that holds without the others, all of them in
    `parameter_packages`; `parameter_package` is the first.
    """

    verdict_id: str
    status: TaskStatus
    progress: float
    approved: bool = False
    verdict: VerdictStatus | None = None
    reason: str | None = None
    grade: Grade | None = None
    checks: list[Check] = []
    parameter_package: dict[str, Any] | None = None
    parameter_packages: list[dict[str, Any]] = []
    strategy_id: str | None = None
    optimization_id: str | None = None
    report_id: str | None = None
    evidence: dict[str, Any] | None = None
    error: dict[str, Any] | None = None


class VerdictById(Request, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`verdict.status` and `verdict.get`."""

    verdict_id: Id


class ListVerdicts(Request, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`verdict.list`: newest first."""

    symbol: Symbol | None = None
    strategy_id: Id | None = None
    limit: Limit = 50
    offset: Offset = 0


class VerdictList(Reply, frozen=True, kw_only=True):
    verdicts: list[VerdictReply]
    total: int
