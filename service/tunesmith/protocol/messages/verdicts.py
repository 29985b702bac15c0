"""Messages about verdicts: the decision on a search or a backtest."""

from __future__ import annotations

from typing import Literal

import msgspec

from tunesmith.domain.approval import ApprovalCriteria, Check, CheckExplanation, VerdictStatus
from tunesmith.domain.names import GivenLabel, Id, Symbol
from tunesmith.domain.records import JsonObject
from tunesmith.protocol.envelope import Limit, Offset, Reply, Request, TaskStatus
from tunesmith.protocol.grades import Grade

Apply = Literal["new_trades", "when_flat", "immediately"]


class ApproveStrategy(Request, frozen=True, kw_only=True):
    """`strategy.approve`: decide on one optimization, or on one backtest (a report's or its task's id).

    Candles that ended more than a tenth of the hold-out's length ago are not approved, unless the request says
    `accept_old_data`; the package says so too, then.
    """

    strategy_id: Id
    optimization_id: Id | None = None
    backtest_id: Id | None = None
    approval_criteria: ApprovalCriteria | None = None
    apply: Apply = "new_trades"
    accept_old_data: bool = False
    label: GivenLabel = msgspec.UNSET


class VerdictReply(Reply, frozen=True, kw_only=True):
    """`status` is the task's, `verdict` the decision when it is there.

    `verdict.get` brings the `evidence` too, before an approval without anything of the hold-out but pass or fail, with
    `explanations` of the checks by name and the names of those `not_asked`, as an earlier one had failed. An
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
    parameter_package: JsonObject | None = None
    parameter_packages: list[JsonObject] = []
    strategy_id: str | None = None
    optimization_id: str | None = None
    report_id: str | None = None
    evidence: JsonObject | None = None
    explanations: dict[str, CheckExplanation] = {}
    not_asked: list[str] = []
    error: JsonObject | None = None
    label: str | None = None


class VerdictById(Request, frozen=True, kw_only=True):
    """`verdict.status` and `verdict.get`."""

    verdict_id: Id


class ListVerdicts(Request, frozen=True, kw_only=True):
    """`verdict.list`: newest first."""

    symbol: Symbol | None = None
    strategy_id: Id | None = None
    limit: Limit = 50
    offset: Offset = 0


class VerdictList(Reply, frozen=True, kw_only=True):
    verdicts: list[VerdictReply]
    total: int
