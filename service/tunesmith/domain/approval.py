"""What an approval asks and what a decision answers, as values: criteria, checks, outcomes."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

VerdictStatus = Literal["approved", "paper_only", "rejected", "insufficient_data"]
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


class VerdictWish(ApprovalCriteria, frozen=True, kw_only=True):
    """The verdict that a search is to go on to: its bounds, and whether candles may be old (`strategy.approve`)."""

    accept_old_data: bool = False


class DataAge(msgspec.Struct, frozen=True, kw_only=True):
    """How old the candles of a verdict were when it was asked for, and whether who asked `accepted` old ones.

    `end_ms` is where they end, `boundary_ms` where their hold-out begins. All times are UTC milliseconds.
    """

    asked_ms: int
    end_ms: int
    boundary_ms: int
    accepted: bool

    @property
    def age_ms(self) -> int:
        return self.asked_ms - self.end_ms

    @property
    def most_ms(self) -> float:
        """The age from which on candles are old: a tenth of the hold-out's length."""
        return (self.end_ms - self.boundary_ms) / 10

    @property
    def is_old(self) -> bool:
        return self.age_ms > self.most_ms


class CheckExplanation(msgspec.Struct, frozen=True, kw_only=True):
    """What a person is told of a check: its question in words, what it costs, and what could help where it fails."""

    question: str
    cost: str
    helps: str


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One check of a verdict. `segment` is in_sample or holdout; a hold-out's `value` stays null until approval."""

    name: str
    segment: str
    asks: str
    value: float | None
    threshold: float | None
    passed: bool
    reason: str
