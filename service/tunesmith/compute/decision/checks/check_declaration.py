"""What a check of the decision declares: daemon, notebook and `explain` know nothing of a check but this.

A new check is a module in this folder with a `CHECK`, and a line in `check_registry`. Nothing that was computed from
the hold-out is shown before an approval: visibility follows from the segment of a check and of its works, so that no
check can forget to hide something.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from tunesmith.compute.decision.inputs import DecisionInputs, Findings, Metrics, WorkInputs, WorkRequest
from tunesmith.compute.decision.winner import Winner
from tunesmith.domain.approval import Check
from tunesmith.domain.metrics import METRICS
from tunesmith.errors import Internal

Segment = Literal["data", "in_sample", "holdout", "all"]
SHOWN_SEGMENTS = frozenset({"data", "in_sample"})
"""Segments whose figures are shown before an approval; of the others nothing but pass or fail."""

Requests = Generator[WorkRequest, Any, list[Check]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A pure computation that a check asks for, done by a worker that sees the bars of `segment` and no others.

    `kept_in` says where in a verdict's evidence the answer is kept under the work's name, and `p_value` under which
    name its "p". With `draws_per_chunk` it is a permutation test: `run` returns the drawn statistics `start` to `stop`
    of its inputs, and the answer is the evidence of the test. Work `of_searches` is about every search that counts on
    the market: whoever drives the decision answers it from the null vectors of those searches (`nulls.null_plan`), and
    there is no `run`. `progress_share` is its share of a decision's progress.
    """

    name: str
    segment: Literal["in_sample", "holdout"]
    run: Callable[[Winner, WorkInputs], Any] | None = None
    kept_in: Literal["metrics", "evidence"] | None = None
    p_value: str | None = None
    draws_per_chunk: int = 0
    of_searches: bool = False
    progress_share: float = 0.0

    @property
    def sees_holdout(self) -> bool:
        return self.segment == "holdout"

    def seed(self, seed: int) -> int:
        """The seed of the work's random numbers in a decision of that seed: another on the hold-out."""
        return seed + 1 if self.sees_holdout else seed

    def do(self, winner: Winner, inputs: WorkInputs) -> Any:
        """The answer of the work. Raises `Internal` for one that a worker cannot do by itself."""
        if self.run is None:
            raise Internal(f"the work {self.name!r} is answered by what drives the decision")
        return self.run(winner, inputs)

    def keep(self, answer: Any, findings: Findings) -> None:
        """Keep the answer where the work declares it."""
        if self.kept_in == "metrics":
            findings.metrics[self.name] = answer
        elif self.kept_in == "evidence":
            findings.evidence[self.name] = answer
        if self.p_value is not None:
            findings.p[self.p_value] = answer["p"]


class Explanation(NamedTuple):
    """What a person is told of one line of a verdict: what it costs, and what could help where it fails.

    `hidden_reason` is why it failed while its figure is hidden; {limit} stands for the limit.
    """

    cost: str
    helps: str
    hidden_reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionCheck:
    """A check: its question in words, the work that it asks for, and how the answers are judged.

    `judge` returns the verdict's lines (`Check`), each named in `explanations` and of this `segment`; it asks for its
    `works` by yielding `WorkRequest`s, whose answers it is sent once they are kept in the findings. `limits` name the
    `Thresholds` that it judges by. `p_values` and `evidence` are names that `judge` itself writes into the findings.
    `fails_as` is the status of a decision that ends here. A cheap check is not `named_when_skipped`. `summary` is what
    an approval's reason says of it. It is made in decisions of these `editions`.
    """

    name: str
    question: str
    segment: Segment
    judge: Callable[[DecisionInputs, Findings], list[Check] | Requests]
    explanations: Mapping[str, Explanation]
    works: tuple[Work, ...] = ()
    limits: tuple[str, ...] = ()
    p_values: tuple[str, ...] = ()
    evidence: tuple[str, ...] = ()
    fails_as: Literal["rejected", "insufficient_data"] = "rejected"
    named_when_skipped: bool = True
    summary: Callable[[Findings], str] | None = None
    editions: frozenset[int] = frozenset({1, 2})

    @property
    def shown(self) -> bool:
        """Whether its figures may be shown before an approval."""
        return self.segment in SHOWN_SEGMENTS


def line(
    name: str, segment: Segment, asks: str, value: float | None, threshold: float | None, passed: bool, reason: str
) -> Check:
    """A line of the verdict; a value that is not finite is undefined."""
    defined = value if value is not None and math.isfinite(value) else None
    return Check(
        name=name, segment=segment, asks=asks, value=defined, threshold=threshold, passed=passed, reason=reason
    )


def line_above_zero(name: str, found: Metrics, metric: str, asks: str, segment: Segment = "in_sample") -> Check:
    """The line that asks for a metric above zero."""
    value = found.get(metric)
    where = "in sample" if segment == "in_sample" else "on the hold-out"
    return line(name, segment, asks, value, 0.0, number(value) > 0.0, f"{where} it is {say_metric(metric, value)}")


def say_metric(metric: str, value: float | None) -> str:
    """A metric's value for people, with its unit's precision."""
    if value is None or math.isnan(value):
        return "undefined"
    unit = METRICS[metric].unit
    if "fraction" in unit:
        return f"{value:.1%}"
    return f"{value:.0f}" if unit == "trades" else f"{value:.2f}"


def number(value: float | None, undefined: float = -math.inf) -> float:
    """The value, or what stands for an undefined one."""
    return undefined if value is None or math.isnan(value) else value


def two_decimals(value: float | None) -> str:
    """The value for people."""
    return "undefined" if value is None or math.isnan(value) else f"{value:.2f}"


def ask_by_symbol(inputs: DecisionInputs, work: Work) -> Generator[WorkRequest, Any, dict[str, float]]:
    """Ask, of several symbols, for the timing Sharpe ratio of each alone; of one for nothing."""
    if len(inputs.symbols) < 2:
        return {}
    found = yield WorkRequest(work.name)
    return {symbol: number(found[symbol].get("timing_sharpe")) for symbol in inputs.symbols}
