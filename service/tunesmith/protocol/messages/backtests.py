"""Messages about backtests and their reports."""

from __future__ import annotations

import msgspec

from tunesmith.domain.market.bars_used import BarsUsed
from tunesmith.domain.names import GivenLabel, Id, Symbol, Version
from tunesmith.domain.records import JsonObject
from tunesmith.protocol.envelope import Limit, Offset, Reply, Request, TaskStatus
from tunesmith.protocol.messages.markets import MarketRequest, Terms
from tunesmith.protocol.messages.strategies import Params


class StartBacktest(MarketRequest, frozen=True, kw_only=True):
    """`backtest.start`: one strategy with one set of parameters on one market; unnamed parameters take defaults."""

    symbol: Symbol
    strategy_id: Id
    strategy_version: Version | None = None
    params: Params = {}
    use_holdout: bool = False
    optimization_id: Id | None = None
    label: GivenLabel = msgspec.UNSET


class BacktestStarted(Terms, frozen=True, kw_only=True):
    """`estimated_time` in seconds; `withheld_from` says where the range was cut for the hold-out."""

    task_id: str
    status: TaskStatus
    estimated_time: int
    withheld_from: str | None = None


class BacktestStatus(Request, frozen=True, kw_only=True):
    """`backtest.status`."""

    task_id: Id


class CancelBacktest(Request, frozen=True, kw_only=True):
    """`backtest.cancel`."""

    task_id: Id


class BacktestStatusReply(Terms, frozen=True, kw_only=True):
    task_id: str
    status: TaskStatus
    progress: float
    report_id: str | None = None
    optimization_id: str | None = None
    metrics: dict[str, float | None] | None = None
    withheld_from: str | None = None
    warnings: list[str] = []
    error: JsonObject | None = None
    label: str | None = None
    bars: BarsUsed | None = None


class GetReport(Request, frozen=True, kw_only=True):
    """`report.get`: a stored report whole: metrics, vectorbt's stats, trades and equity."""

    report_id: Id


class Report(Reply, frozen=True, kw_only=True):
    """A stored backtest. `warnings` are sentences to read before the numbers.

    `equity` holds pairs of UTC milliseconds and equity, thinned to at most 2,000 points. `bars`: how many were missing
    of those it was made with; null in reports of earlier versions.
    """

    report_id: str
    task_id: str | None
    optimization_id: str | None
    strategy_id: str
    strategy_version: str
    venue: str
    symbol: str
    timeframe: str
    params: JsonObject
    metrics: dict[str, float | None]
    start_date: str
    end_date: str
    used_holdout: bool
    data_hash: str
    costs: dict[str, float]
    fill: str
    direction: str
    initial_cash: float
    engine: str
    created_at: str
    stats: JsonObject
    trades: list[JsonObject]
    equity: list[tuple[int, float]]
    warnings: list[str] = []
    bars: BarsUsed | None = None


class ListReports(Request, frozen=True, kw_only=True):
    """`report.list`: newest first."""

    symbol: Symbol | None = None
    strategy_id: Id | None = None
    optimization_id: Id | None = None
    limit: Limit = 50
    offset: Offset = 0


class ReportSummary(Reply, frozen=True, kw_only=True):
    report_id: str
    optimization_id: str | None
    strategy_id: str
    strategy_version: str
    venue: str
    symbol: str
    timeframe: str
    params: JsonObject
    metrics: dict[str, float | None]
    start_date: str
    end_date: str
    used_holdout: bool
    created_at: str


class ReportList(Reply, frozen=True, kw_only=True):
    reports: list[ReportSummary]
    total: int
