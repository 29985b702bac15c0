"""What a request's data was to the releases before, so that one sent again after an upgrade is known as the same.

Its fingerprint is made of all fields, those left out with their defaults: a request that named no direction held long,
and none of the fields that came later.
"""

from __future__ import annotations

import msgspec

from tunesmith.domain.records import JsonObject
from tunesmith.protocol.envelope import Request
from tunesmith.protocol.messages.markets import ImportData, MarketRequest
from tunesmith.protocol.messages.schedules import CreateSchedule

CHANGED = MarketRequest | CreateSchedule | ImportData
"""Requests that were other data to the releases before, though somebody wrote the same."""

_FIRST_OF_IMPORTS = ("symbol", "timeframe", "bars", "venue")


def earlier_body(request: Request) -> JsonObject | None:
    """The data as it was before the direction `auto`; None for a request whose fields are what they were."""
    if not isinstance(request, CHANGED):
        return None
    data: JsonObject = msgspec.to_builtins(request)
    if isinstance(request, ImportData):
        new = ImportData(symbol=request.symbol, timeframe=request.timeframe)
        later = [name for name in data if name not in _FIRST_OF_IMPORTS]
        return {name: each for name, each in data.items() if name not in later or each != getattr(new, name)}
    search = data["search"] if isinstance(request, CreateSchedule) else data
    if search["direction"] == "auto":
        search["direction"] = "long"
    return data
