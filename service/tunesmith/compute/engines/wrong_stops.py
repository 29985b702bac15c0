"""Stops and targets that lay on the wrong side of the entry price: what the text of a rule could not show.

The stop of a long at or above its entry closes it as soon as it is opened, at the open; so does the stop of a short at
or below it, and a target on the other side. What an order means stays as it is; who reads the numbers is told.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tunesmith.compute.engines.trace import Order, Trace
from tunesmith.compute.language.level_checks import Side, right_place
from tunesmith.compute.rules.binding import bind
from tunesmith.compute.rules.strategy import Strategy
from tunesmith.compute.simulation.execution import Execution
from tunesmith.domain.array_types import Floats
from tunesmith.domain.market.bars import Bars


def wrong_stops(strategy: Strategy, bars: Bars, point: Floats, execution: Execution, traced: Trace) -> list[str]:
    """One sentence for each level and side of which entries of `point` float64[p] had a level on the wrong side."""
    if strategy.rule is None or not any(strategy.rule.nodes[number].varies for _, number in strategy.rule.levels):
        return []
    signals = bind(strategy, bars, point[np.newaxis]).signals(0, 1)
    entries = [order for order in traced.orders if order.reason == "entry"]
    lag = 1 if execution.fill == "next_open" else 0
    told: list[str] = []
    for name, number in strategy.rule.levels:
        level = getattr(signals, name)
        if strategy.rule.nodes[number].varies and level is not None and level.price is not None:
            told += _told(name, level.price[0], entries, lag)
    return told


def _told(name: str, prices: Floats, entries: list[Order], lag: int) -> Iterator[str]:
    sides: tuple[Side, ...] = ("long", "short")
    for side in sides:
        own = [order for order in entries if (order.side == "buy") == (side == "long")]
        place = right_place(name, side)
        n_wrong = sum(_is_wrong(float(prices[order.bar - lag]), order.price, place) for order in own)
        if n_wrong:
            other = "above" if place == "below" else "below"
            yield (
                f"{n_wrong:,} of {len(own):,} {side} entries had their {name} on the wrong side, at or {other} the "
                f"entry price: such a position is closed at once. The {name} of a {side} is a price {place} it."
            )


def _is_wrong(level: float, entry: float, place: str) -> bool:
    return level >= entry if place == "below" else level <= entry
