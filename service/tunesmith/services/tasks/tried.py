"""What a task tries out on which markets: what a later verdict must know of it to count it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tunesmith.domain.parameters import ParamValues
from tunesmith.domain.search.search_plan import SearchPlan
from tunesmith.services.market.market_windows import Window
from tunesmith.storage.tables.counted_table import CountedMarket
from tunesmith.workers.chunks.payloads import StrategyRef


class Tried(NamedTuple):
    """The points of a `plan`, or the one of `params`, tried out with a strategy on the bars of `windows`.

    `n_at_end`: how many trials the task has made once it is completed, and none before; None where they are stored one
    by one, as they are made.
    """

    strategy: StrategyRef
    windows: Sequence[Window]
    plan: SearchPlan | None = None
    params: ParamValues | None = None
    n_at_end: int | None = None

    @property
    def markets(self) -> list[CountedMarket]:
        """Each market, as it is stored with the counted search."""
        return [
            CountedMarket(each.venue, each.symbol, each.timeframe, each.start_ms, each.end_ms) for each in self.windows
        ]
