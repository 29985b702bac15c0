"""The values of a decision: what it is given, what its checks ask to be computed, and what comes of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import msgspec

from tunesmith.compute.search.split import Split
from tunesmith.domain.approval import ApprovalCriteria, Check, DataAge, VerdictStatus
from tunesmith.domain.parameters import ParamValues
from tunesmith.domain.thresholds import Thresholds
from tunesmith.domain.trading import Fill

Metrics = Mapping[str, float | None]

EDITION = 2
"""The rules by which new verdicts are made. Stored verdicts of an earlier edition are made again by their own."""


@dataclass(frozen=True, slots=True)
class Ledger:
    """What was asked of this market before: this is the `look`-th verdict; `burnt` says why the hold-out is used up."""

    look: int = 1
    burnt: str | None = None


@dataclass(frozen=True)
class DecisionInputs:
    """What a decision on a search's winner is given before any work: bounds, limits, and how much data there is.

    Bars are those after warm-up; `years` is the length of both parts together, as a decision looks at both. Of a search
    over several markets, `symbols`, the shortest says how many bars there are. `incumbent` is the package in force for
    the same market, timeframe and strategy. `faults` are irregularities of the bars that nobody explained, in words.
    `fill` is where the search filled its orders, `edition` that of the decision's rules. `age` says how old the candles
    were when the decision was asked for; None where nobody said.
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
    fill: Fill = "next_open"
    edition: int = EDITION
    age: DataAge | None = None

    @cached_property
    def limits(self) -> Thresholds:
        """The thresholds of a verdict of edition 1, which are stricter with every look at the market."""
        return self.thresholds.of_look(self.ledger.look) or self.thresholds


@dataclass(frozen=True, slots=True)
class WorkRequest:
    """A check asks for a registered work. Of a permutation test: its draws, when it may stop, and the real statistic.

    `stop_at` 0: it makes all draws. `by_symbol`: of several markets the real statistic of each, which gets a p-value of
    its own. `data` are plain values that the check hands to its work.
    """

    work: str
    n_draws: int = 0
    stop_at: int = 0
    real: float = math.nan
    by_symbol: Mapping[str, float] = field(default_factory=dict)
    data: Any = None


class PackageInForce(msgspec.Struct, frozen=True, kw_only=True):
    """The parameters of the package in force for a market, and when it was approved, UTC milliseconds."""

    params: ParamValues
    approved_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkInputs:
    """What a work is given beside the winner: limits, the seed of its random numbers, and what the check handed over.

    Of a permutation test the draws `start` to `stop` (exclusive) are to be computed. Work on the hold-out gets, of each
    market in the winner's order, its split and the package in force, None where there is none. Long work asks
    `is_cancelled` between its steps, whether nobody waits for the answer any more, and raises `Draining` then.
    """

    thresholds: Thresholds
    seed: int
    n_draws: int = 0
    start: int = 0
    stop: int = 0
    splits: Sequence[Split] = ()
    packages: Sequence[PackageInForce | None] = ()
    data: Any = None
    is_cancelled: Callable[[], bool] = lambda: False


@dataclass(slots=True)
class Findings:
    """What is known so far: metrics by segment, p-values by test, and all other evidence by name.

    `paper_reasons`: limits of an approval that were missed, though not those of paper trading.
    """

    metrics: dict[str, Metrics] = field(default_factory=dict)
    p: dict[str, float] = field(default_factory=dict)
    evidence: dict[str, Any] = field(default_factory=dict)
    paper_reasons: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Decision:
    """What came of it: the status, its reason in plain words, every check made, and what was found on the way."""

    status: VerdictStatus
    reason: str
    checks: tuple[Check, ...]
    findings: Findings
    edition: int = 1

    @property
    def approved(self) -> bool:
        return self.status == "approved"


@dataclass(frozen=True, slots=True)
class SegmentLengths:
    """How many bars lie on each side of the hold-out's boundary, warm-up bars not counted, and how many each needs.

    `age` says how old they were when the decision was asked for; None where nobody said.
    """

    n_in_sample: int
    n_holdout: int
    min_bars: int
    age: DataAge | None = None
