"""Which engine evaluates: ours, or vectorbt's `Portfolio.from_signals` where it means the same.

vectorbt is asked only for what both engines understand alike: rules that enter and exit by signals, all equity, filled
at the close or at the next open. What it means otherwise is refused with the reason, before anything runs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from tunesmith.compute.rules.strategy import Strategy
from tunesmith.domain.trading import Costs, Direction, Engine
from tunesmith.errors import Invalid

MEANS_OTHERWISE = "its account was worn down, or a short came to its end, where vectorbt goes on otherwise"
"""Why vectorbt gives no numbers for a point."""

_LEVELS = {
    "stop_loss": "watches no stop on the bar of the entry",
    "take_profit": "watches no target on the bar of the entry",
    "trailing_stop": "moves a stop by the high of the bar that it watches",
    "max_holding": "knows no longest holding",
}


def check_engine(strategy: Strategy, engine: Engine, costs: Costs, direction: Direction, path: str = "") -> None:
    """Raise `Invalid`, with the field's path below `path`, where `engine` cannot evaluate `strategy` as ours does."""
    if engine == "vectorbt":
        for field, reason in _differences(strategy, costs, direction):
            raise Invalid(f"vectorbt {reason}; engine tunesmith does", path=f"{path}/{field}")


def check_given(engine: Engine, metrics: Mapping[str, float]) -> None:
    """Raise `Invalid` where `engine` is vectorbt and gave no numbers for the point."""
    if engine == "vectorbt" and math.isnan(metrics["total_return"]):
        raise Invalid(f"{MEANS_OTHERWISE}; engine tunesmith evaluates it", path="/engine")


def _differences(strategy: Strategy, costs: Costs, direction: Direction) -> Iterator[tuple[str, str]]:
    if strategy.kind != "rule":
        yield "engine", f"trades by signals, and {strategy.id} is path-dependent"
    for order, reason in _LEVELS.items():
        if order in strategy.orders:
            yield "engine", f"{reason}, and the rule has {order}"
    has_long = strategy.has_long and direction != "short"
    has_short = strategy.has_short and direction != "long"
    if has_long and has_short and costs.fixed_fee > 0.0:
        yield "costs/fixed_fee", "charges one fixed fee for a reversal, which is two orders"
    if has_short and share_left(costs, short=True) <= 0.0:
        yield "costs", "opens shorts that could not be closed at such costs, which we do not open"


def share_left(costs: Costs, *, short: bool) -> float:
    """The share of equity that is left of a position closed as soon as it is opened, fixed fees aside."""
    fee, slippage = costs.fee_rate, costs.slippage_rate
    if short:
        return 1.0 + (1.0 - fee) / (1.0 + fee) - (1.0 + slippage) / (1.0 - slippage)
    return (1.0 - fee) * (1.0 - slippage) / ((1.0 + fee) * (1.0 + slippage))
