"""Messages about what a search found: its analysis, its comparison with another, its trials as a file."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from tunesmith.domain.metrics import Goal
from tunesmith.domain.names import Id
from tunesmith.domain.search.findings import (
    COST_OF_SEARCHING_ON,
    Comparison,
    Convergence,
    Correlations,
    Effect,
    Front,
    HeatMap,
    Importance,
    ImportanceMethod,
    Marginal,
    RankedTrial,
    Recommendation,
    Statistic,
    Summary,
)
from tunesmith.protocol.envelope import Reply, Request, TaskStatus
from tunesmith.protocol.messages.markets import Terms
from tunesmith.protocol.messages.optimizations import StartOptimization

Part = Literal[
    "ranking", "front", "importance", "correlations", "marginals", "heat_map", "convergence", "recommendation"
]
DEFAULT_PARTS: tuple[Part, ...] = (
    "ranking",
    "importance",
    "correlations",
    "marginals",
    "convergence",
    "recommendation",
)
"""Those that need no choice."""
MetricName = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
ParameterName = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
TargetIndex = Annotated[int, msgspec.Meta(ge=0, le=3)]
Format = Literal["csv", "json", "parquet"]

PIECE_BYTES = 1_048_576
"""Bytes of an exported file that one reply carries at most: as base64 well below what a message may have."""


class AnalyzeOptimization(Request, frozen=True, kw_only=True):
    """`optimization.analyze`: the parts named in `what`, over the trials that are stored so far.

    The score is the `target` of that position, where there are several, or the metric `by`. `n` is how many trials a
    ranking has at either end. `front` is for searches of several targets; `heat_map` is of the parameters `x` and `y`,
    only along the trial `through` where that is given.
    """

    optimization_id: Id
    what: Annotated[tuple[Part, ...], msgspec.Meta(min_length=1, max_length=8)] = DEFAULT_PARTS
    target: TargetIndex = 0
    by: MetricName | None = None
    n: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 10
    importance_method: ImportanceMethod = "fanova"
    x: ParameterName | None = None
    y: ParameterName | None = None
    statistic: Statistic = "mean"
    through: Annotated[int, msgspec.Meta(ge=0, le=2**53)] | None = None


class Narrowing(msgspec.Struct, frozen=True, kw_only=True):
    """Where the good trials lie: `box` holds them, `narrow` keeps parameters that do not matter at their best value.

    `request` is the data of the `optimization.start` that searches `narrow` as this search was asked for, with as many
    trials at most. All null where no trial is eligible. `cost` says what a further search costs later verdicts.
    """

    box: Recommendation | None
    narrow: Recommendation | None
    request: StartOptimization | None
    cost: str = COST_OF_SEARCHING_ON


class AnalysisReply(Reply, frozen=True, kw_only=True):
    """What was asked for; parts that were not are null. Scores are values of `score`, better the way of `direction`.

    `importance` is of parameters by themselves, `effects` the analyses of variance beside it.
    """

    optimization_id: str
    status: TaskStatus
    symbols: list[str]
    strategy_id: str
    method: str
    score: str
    direction: Goal
    summary: Summary
    top: list[RankedTrial] | None = None
    bottom: list[RankedTrial] | None = None
    front: Front | None = None
    importance: list[Importance] | None = None
    effects: list[Effect] | None = None
    correlations: Correlations | None = None
    marginals: list[Marginal] | None = None
    heat_map: HeatMap | None = None
    convergence: Convergence | None = None
    recommendation: Narrowing | None = None


class CompareOptimizations(Request, frozen=True, kw_only=True):
    """`optimization.compare`: search `b` beside search `a`, by the metric `by`, else by the (first) target of both."""

    a: Id
    b: Id
    by: MetricName | None = None


class ComparedSearch(Terms, frozen=True, kw_only=True):
    """One of two searches."""

    optimization_id: str
    status: TaskStatus
    symbols: list[str]
    timeframe: str
    strategy_id: str
    method: str
    score: str


class ComparisonReply(Reply, frozen=True, kw_only=True):
    """`a` and `b`, and how their trials compare; scores are values of `score`, better the way of `direction`."""

    a: ComparedSearch
    b: ComparedSearch
    score: str
    direction: Goal
    comparison: Comparison


class ExportOptimization(Request, frozen=True, kw_only=True):
    """`optimization.export`: the trials stored so far as a file in the data directory, and a piece of its bytes.

    Without `version` the file is made. Further pieces are asked for with the `version` and the `next_offset` of the
    reply before. A `limit` of 0 makes the file and sends nothing of it.
    """

    optimization_id: Id
    format: Format = "csv"
    offset: Annotated[int, msgspec.Meta(ge=0, le=2**53)] = 0
    limit: Annotated[int, msgspec.Meta(ge=0, le=PIECE_BYTES)] = PIECE_BYTES
    version: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}(?![\s\S])")] | None = None


class ExportReply(Reply, frozen=True, kw_only=True):
    """The file `path` below the data directory, of `size` bytes, whose SHA-256 is its `version`.

    `content` holds bytes from `offset` on, as base64; `next_offset` is null where nothing is left.
    """

    optimization_id: str
    status: TaskStatus
    format: Format
    path: str
    size: int
    version: str
    offset: int
    content: bytes
    next_offset: int | None
