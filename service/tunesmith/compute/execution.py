"""How a strategy's orders are executed: costs, fill, direction and the cash to begin with."""

from __future__ import annotations

from dataclasses import dataclass, field

from tunesmith.domain.trading import Costs, Direction, Fill


@dataclass(frozen=True, slots=True)
class Execution:
    """Terms of one evaluation; `initial_cash` > 0 in the market's quote currency. Every entry takes all equity."""

    costs: Costs = field(default_factory=Costs)
    fill: Fill = "next_open"
    direction: Direction = "long"
    initial_cash: float = 10_000.0
