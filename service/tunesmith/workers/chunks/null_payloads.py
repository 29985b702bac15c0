"""Counted searches as they travel to a worker, which makes their null vectors."""

from __future__ import annotations

import msgspec

from tunesmith.domain.parameters import ParamValues
from tunesmith.domain.search.search_plan import SearchPlan
from tunesmith.domain.trading import Costs, Direction, Fill
from tunesmith.workers.chunks.payloads import StrategyRef


class CountedRef(msgspec.Struct, frozen=True, kw_only=True):
    """A search that a verdict counts, with all that its null depends on; see `compute.decision.nulls`.

    `search_id` is the id of its task; single backtests of one user, text and execution are one search, `plan` None,
    with the points `listed` and the id of the first of them. `counted_id` is its number in the order in which searches
    began, the key of `null_vectors`. `n_made` of its trials count (`trials_that_count`). `seen` names the searches of
    the same book whose results its user could see when it began. `foreign`: it is another user's and only enters p.
    `tasks` are the ids of all tasks that it stands for: pooled backtests, and the same search made again.
    `boundaries` are the instants at which the hold-out began when they were asked for, UTC milliseconds, increasing.
    `spans` are the bars that they were given, as venue, symbol, start and end in UTC milliseconds; an end of None is
    where the hold-out began.
    """

    search_id: str
    counted_id: int
    user: str
    strategy: StrategyRef
    plan: SearchPlan | None
    costs: Costs
    fill: Fill
    direction: Direction
    initial_cash: float
    timeframe: str
    n_made: int
    listed: list[ParamValues] = []
    seen: list[str] = []
    foreign: bool = False
    tasks: list[str] = []
    boundaries: list[int] = []
    spans: list[tuple[str, str, int, int | None]] = []
