"""Payloads of chunks: what travels between the daemon and its workers. No heavy imports, for the daemon's sake."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from tunesmith.compute.decision.inputs import PackageInForce
from tunesmith.domain.array_types import Flags, Floats
from tunesmith.domain.parameters import ParamValues
from tunesmith.domain.search.search_plan import SearchPlan
from tunesmith.domain.search.stop_rules import StopRules
from tunesmith.domain.thresholds import Thresholds
from tunesmith.domain.trading import OWN_ENGINE, Costs, Direction, Engine, Fill


class Timed(NamedTuple):
    """A chunk's result and the seconds that it took at work."""

    value: Any
    seconds: float


class StrategyRef(msgspec.Struct, frozen=True, kw_only=True):
    """A strategy as it travels to a worker: its code, or the name and hash of a compiled one that the worker has."""

    id: str
    version: str
    kind: str
    code: str
    code_hash: str


class Prepare(msgspec.Struct, frozen=True, kw_only=True):
    """Cut bars that close by `end_ms` out of the market data; times and calendar as in `services.markets.Window`."""

    data_dir: str
    market: str
    venue: str
    symbol: str
    timeframe: str
    start_ms: int
    end_ms: int
    boundary_ms: int
    in_sample_end_ms: int
    calendar: str | msgspec.UnsetType | None = msgspec.UNSET
    max_missing: float = 1.0


class BarCounts(msgspec.Struct, frozen=True, kw_only=True):
    """Bars of a part of a market: those that its calendar expects, and how many of them are not there."""

    n_expected: int
    n_missing: int


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """A snapshot: its hash, how many bars it has, the first that may be traded, and where the hold-out would begin.

    By a `calendar`: bars `in_sample` and in the `holdout`, counted in the stored ones that the bars are or are made of,
    and the `partial` share of bars made of fewer than it expects. Snapshots of earlier versions have none of these.
    """

    snapshot: str
    n_bars: int
    first: int
    n_in_sample: int
    n_holdout: int
    start_ms: int
    end_ms: int
    calendar: str | None = None
    in_sample: BarCounts | None = None
    holdout: BarCounts | None = None
    partial: float | None = None


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """What evaluation needs: a strategy, a snapshot, the first bar to trade, and how orders fill."""

    data_dir: str
    strategy: StrategyRef
    snapshot: str
    first: int
    costs: Costs
    fill: Fill
    direction: Direction
    initial_cash: float
    engine: Engine = OWN_ENGINE
    ruin: float | msgspec.UnsetType = msgspec.UNSET


class SearchSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A search as it travels to a worker: its plan, and the work on each of its symbols, all of one strategy.

    `id` names it in a worker's memory: two specs of one id are the same.
    """

    id: str
    plan: SearchPlan
    works: list[Work]
    symbols: list[str]


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """Trials from the first on, for a method that learns: `points` float64[n, p], `scores` float64[n, k] or NaN."""

    points: Floats
    scores: Floats


class Search(msgspec.Struct, frozen=True, kw_only=True):
    """The trials start to stop (exclusive) of a search; fewer where the method needs to be told before it goes on."""

    spec: SearchSpec
    start: int
    stop: int
    told: Told | None = None


class Probe(msgspec.Struct, frozen=True, kw_only=True):
    """Trials to evaluate for the time that they take."""

    search: Search


class Probed(msgspec.Struct, frozen=True, kw_only=True):
    """What a trial costs: seconds of a worker and bytes of parameters; and the memory of a worker at it."""

    seconds_per_trial: float
    bytes_per_trial: float
    memory_mb: float


class BestTrial(msgspec.Struct, frozen=True, kw_only=True):
    """The best eligible trial so far: `rank` is its score with the sign that makes more better."""

    index: int
    rank: float
    score: float
    params: str


class Trials(msgspec.Struct, frozen=True, kw_only=True):
    """What a search chunk found, one entry a trial; fields as in `storage.trials.Batch`.

    `points` float64[n, p] and `scores` float64[n, k], with the sign that makes more better and NaN where not eligible,
    are what a method that learns is told; `values` the targets as they are read.
    """

    start: int
    params: list[str]
    metrics: dict[str, Floats]
    values: Floats
    eligible: Flags
    errors: list[str | None]
    by_symbol: list[str] | None
    points: Floats
    scores: Floats


class Front(msgspec.Struct, frozen=True, kw_only=True):
    """A Pareto front: the numbers of its trials, and of its knee (-1: it is empty)."""

    front: list[int]
    knee: int


class OnePoint(msgspec.Struct, frozen=True, kw_only=True):
    """One set of parameters to look at in full; `boundary_ms` and `in_sample_end_ms` for the split of a verdict."""

    work: Work
    params: ParamValues
    boundary_ms: int = 0
    in_sample_end_ms: int = 0
    ask: str = ""


class OtherMarket(msgspec.Struct, frozen=True, kw_only=True):
    """A further market of a search."""

    symbol: str
    work: Work


class WinnerRef(msgspec.Struct, frozen=True, kw_only=True):
    """A search's winner as it travels to a worker, on the bars of `work`; see `compute.decision.winner.Winner`."""

    plan: SearchPlan
    work: Work
    symbol: str
    params: ParamValues
    stop: StopRules | None = None
    frozen_at: int | None = None
    others: list[OtherMarket] = []


class HoldoutPart(msgspec.Struct, frozen=True, kw_only=True):
    """Where the parts of a market lie for work on its hold-out, and the package in force for it, if there is one."""

    first: int
    boundary_ms: int
    in_sample_end_ms: int
    package: PackageInForce | None


class DecisionWork(msgspec.Struct, frozen=True, kw_only=True):
    """A registered work of a decision, by its name; fields as in `compute.decision.inputs.WorkInputs`.

    `sees_holdout`: the winner's markets have their hold-outs, where the first bar of each market's work lies, and
    `parts` has one entry for each of them.
    """

    winner: WinnerRef
    work: str
    thresholds: Thresholds
    seed: int
    n_draws: int = 0
    start: int = 0
    stop: int = 0
    data: Any = None
    parts: list[HoldoutPart] = []
    sees_holdout: bool = False


class WalkPart(msgspec.Struct, frozen=True, kw_only=True):
    """One window of a walk-forward: bars [0] to [1] (exclusive) to search on, [1] to [2] to trade."""

    work: Work
    plan: SearchPlan
    symbol: str
    part: tuple[int, int, int]


class WalkedPart(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a window; see `compute.walk_forward.Walked`."""

    part: tuple[int, int, int]
    params: ParamValues | None
    score: float | None
    earned: float
    n_trades: int
    returns: Floats


class StitchParts(msgspec.Struct, frozen=True, kw_only=True):
    """All windows of a walk-forward, in order."""

    work: Work
    parts: list[WalkedPart]


class FetchBars(msgspec.Struct, frozen=True, kw_only=True):
    """Download what is not stored of [start_ms, end_ms) from the data service at `upstream`; see `sources.download`."""

    market: str
    upstream: str
    timeout_s: float
    venue: str
    symbol: str
    timeframe: str
    start_ms: int | None
    end_ms: int


class ImportBars(msgspec.Struct, frozen=True, kw_only=True):
    """Bars that came with a request, as rows [time in UTC milliseconds, open, high, low, close, volume]."""

    market: str
    venue: str
    symbol: str
    timeframe: str
    rows: list[tuple[int, float, float, float, float, float]]
    calendar: str | msgspec.UnsetType = msgspec.UNSET


class KeepMarks(msgspec.Struct, frozen=True, kw_only=True):
    """Make the marks of a market's series that were stored without."""

    market: str
    venue: str
    symbol: str
