"""The bars of a result: which a rule was evaluated on, and whether too many of them are missing."""

from __future__ import annotations

from tunesmith.compute.codegen.longer_bars import use_of
from tunesmith.compute.rules.strategy import Strategy
from tunesmith.domain.market.bars import Bars, too_many_missing
from tunesmith.domain.market.bars_used import BarsUsed, LongerBarsUsed
from tunesmith.domain.market.expected_bars import presence_of
from tunesmith.errors import Invalid


def longer_used(rule: Strategy, bars: Bars, start: int) -> list[LongerBarsUsed]:
    """The longer bars that a rule reads by `at(…)` while it trades from bar `start` on, in order of their names."""
    nodes = () if rule.rule is None else rule.rule.nodes
    timeframes = {str(node.value) for node in nodes if node.op == "at"}
    return [use_of(bars, timeframe, start) for timeframe in sorted(timeframes)]


def bars_used(rule: Strategy, bars: Bars, start: int) -> BarsUsed:
    """What bars a rule is evaluated on, from bar `start` on."""
    missing = presence_of(bars.calendar, bars.timestamp[start:], bars.timeframe).missing
    return BarsUsed(calendar=bars.calendar.text, missing=missing, longer=longer_used(rule, bars, start))


def check_bars(bars: Bars, start: int, max_missing: float) -> None:
    """Raise `Invalid` where a larger share of the bars that the calendar expects is missing than `max_missing`."""
    presence = presence_of(bars.calendar, bars.timestamp[start:], bars.timeframe)
    if presence.missing > max_missing:
        raise Invalid(too_many_missing(bars, bars.timeframe, presence, max_missing), path="/max_missing")
