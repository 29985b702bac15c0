"""What bars a result was made with: their calendar, how many are missing, and which longer ones are not whole."""

from __future__ import annotations

import msgspec


class LongerBarsUsed(msgspec.Struct, frozen=True, kw_only=True):
    """Longer bars that a rule reads: `partial` is the share of them of which bars are missing, `stale` the share of the
    rule's own bars at which the newest longer one that the calendar expects is not there, so that an older one is read.
    """

    timeframe: str
    partial: float
    stale: float


class BarsUsed(msgspec.Struct, frozen=True, kw_only=True):
    """Bars that a result was made with: the share `missing` of those that the `calendar` expects, the `partial` share
    of bars that were made of fewer shorter ones than it expects, and the `longer` bars that the rule reads."""

    calendar: str
    missing: float
    partial: float = 0.0
    longer: list[LongerBarsUsed] = []
