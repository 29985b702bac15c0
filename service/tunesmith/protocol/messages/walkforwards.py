"""Messages about walk-forwards: search on what is past, trade what comes next, again and again."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from tunesmith.domain.market.bars_used import BarsUsed
from tunesmith.domain.names import GivenLabel, Id, Symbol, Version
from tunesmith.domain.parameters import RangeSpec
from tunesmith.domain.search.methods import Method, MethodOptions
from tunesmith.protocol.envelope import Reply, Request, TaskStatus
from tunesmith.protocol.messages.markets import MarketRequest, Terms
from tunesmith.protocol.messages.optimizations import Conditions, Constraints, Seed, Target, TrialLimit

Bars = Annotated[int, msgspec.Meta(ge=2, le=100_000_000)]


class StartWalkForward(MarketRequest, frozen=True, kw_only=True):
    """`walkforward.start`: search on `train_bars`, trade the next `test_bars` with what was found, and so on.

    `anchored` parts to search on all begin where the bars do and grow; otherwise they move along. The hold-out takes no
    part in it.
    """

    symbol: Symbol
    strategy_id: Id
    train_bars: Bars
    test_bars: Bars
    anchored: bool = True
    strategy_version: Version | None = None
    param_ranges: Annotated[dict[str, RangeSpec], msgspec.Meta(max_length=64)] = {}
    conditions: Conditions = []
    optimization_target: Target = "sharpe"
    max_iterations: TrialLimit = 100
    method: Method = "auto"
    options: MethodOptions = MethodOptions()
    seed: Seed = 0
    constraints: Constraints | None = None
    priority: Annotated[int, msgspec.Meta(ge=0, le=9)] = 5
    label: GivenLabel = msgspec.UNSET


class WalkForwardById(Request, frozen=True, kw_only=True):
    """`walkforward.status`."""

    walkforward_id: Id


class WalkForwardWindow(Reply, frozen=True, kw_only=True):
    """One window; times are where its parts begin and where trading ends. No `params`: its search found nothing."""

    train_from: str
    trade_from: str
    trade_to: str
    params: dict[str, Any] | None
    score: float | None
    total_return: float
    n_trades: int


class WalkForwardReply(Terms, frozen=True, kw_only=True):
    """`metrics` of the stitched account, its `equity` thinned to [time in UTC milliseconds, cash] pairs.

    `efficiency`: what it earned a bar, over what the winners had earned a bar in search.
    """

    walkforward_id: str
    status: TaskStatus
    progress: float
    n_windows: int
    eta_s: float | None = None
    withheld_from: str | None = None
    metrics: dict[str, float | None] | None = None
    efficiency: float | None = None
    windows: list[WalkForwardWindow] = []
    equity: list[tuple[int, float]] = []
    cannot_say: str | None = None
    error: dict[str, Any] | None = None
    label: str | None = None
    bars: BarsUsed | None = None
