"""How a strategy's orders are executed: costs, fill, direction and the cash to begin with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import get_args

from tunesmith.domain.declared import as_declared, one_of
from tunesmith.domain.trading import OWN_ENGINE, RUIN, Cash, Costs, Direction, Fill


@dataclass(frozen=True, slots=True)
class Execution:
    """Terms of one evaluation; `initial_cash` in the market's quote currency. Every entry takes all equity.

    `engine` names one of the table of engines, which refuses a wrong name when it is asked to evaluate. `ruin` is the
    share of the initial cash at which an account is ruined (see `domain.trading.RUIN`), 0 for none.

    Raises `Invalid` with the field's path, such as /costs/fee_rate, for values that a request could not hold either.
    """

    costs: Costs = field(default_factory=Costs)
    fill: Fill = "next_open"
    direction: Direction = "long"
    initial_cash: float = 10_000.0
    engine: str = OWN_ENGINE
    ruin: float = RUIN

    def __post_init__(self) -> None:
        one_of(self.fill, get_args(Fill), "fill", "/fill")
        one_of(self.direction, get_args(Direction), "direction", "/direction")
        object.__setattr__(self, "costs", as_declared(self.costs, Costs, "/costs"))
        object.__setattr__(self, "initial_cash", as_declared(self.initial_cash, Cash, "/initial_cash"))
