"""What a decision starts from, what it asks to be worked out, and what it comes to."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from tunesmith.domain.approval import ApprovalCriteria, Check
from tunesmith.domain.thresholds import Thresholds

Metrics = Mapping[str, float | None]
Work = Literal[
    "in_sample",
    "symbols",
    "costs",
    "neighbours",
    "reality_check",
    "permutations",
    "holdout",
    "holdout_permutations",
    "holdout_symbols",
    "incumbent",
    "replay",
    "report",
]


@dataclass(frozen=True, slots=True)
class Ask:
    """Work that the plan wants next. Of a permutation test: its draws, when it may stop, and the real statistic.

    `apart`: of several markets the real statistic of each by its symbol, which gets a p-value of its own.
    """

    work: Work
    n_draws: int = 0
    stop_at: int = 0
    real: float = math.nan
    apart: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ledger:
    """What was asked of this market before: this is the `look`-th verdict; `burnt` says why the hold-out is used up."""

    look: int = 1
    burnt: str | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """A search's winner before its judges.

    Bars are those after warm-up; `years` is the length of both parts together, as a decision looks at both. Of a search
    over several markets, `symbols`, the shortest says how many bars there are. `incumbent` is the package in force for
    the same market, timeframe and strategy. `faults` are irregularities of the bars that nobody explained, in words.
    """

    criteria: ApprovalCriteria
    thresholds: Thresholds
    n_in_sample: int
    n_holdout: int
    years: float
    ledger: Ledger = Ledger()
    incumbent: str | None = None
    faults: Sequence[str] = ()
    symbols: Sequence[str] = ()


@dataclass(slots=True)
class Seen:
    """What is known by now: metrics by segment, p-values by test, and everything that a report shows."""

    metrics: dict[str, Metrics] = field(default_factory=dict)
    p: dict[str, float] = field(default_factory=dict)
    evidence: dict[str, Any] = field(default_factory=dict)
    paper: list[str] = field(default_factory=list)


Status = Literal["approved", "paper_only", "rejected", "insufficient_data"]


@dataclass(frozen=True, slots=True)
class Proof:
    """What it came to: the status, its reason in plain words, every check made, and the evidence behind them."""

    status: Status
    reason: str
    checks: tuple[Check, ...]
    seen: Seen

    @property
    def approved(self) -> bool:
        return self.status == "approved"
