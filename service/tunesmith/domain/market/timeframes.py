"""Timeframes: the length of a bar as text, such as 5m, 1h, 1d or 1w."""

from __future__ import annotations

import functools
import re

from tunesmith.domain.parameters import shown
from tunesmith.errors import Invalid

UNIT_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
YEAR_MS = 365 * UNIT_MS["d"]
_TIMEFRAME = re.compile(r"([1-9][0-9]{0,3})([smhdw])")


def instant_at(share: float, start_ms: int, end_ms: int, timeframe: str) -> int:
    """The bar boundary at `share` (0 to 1) of the span from `start_ms` to `end_ms`, UTC milliseconds, rounded down."""
    length = timeframe_ms(timeframe)
    return start_ms + round((end_ms - start_ms) * share) // length * length


@functools.lru_cache(maxsize=1024)
def timeframe_ms(timeframe: str, path: str | None = None) -> int:
    """Length of `timeframe` in milliseconds; raises `Invalid` for what is not a number and one of s, m, h, d, w."""
    match = _TIMEFRAME.fullmatch(timeframe)
    if match is None:
        raise Invalid(f"{shown(timeframe)} is no timeframe; expected a form such as 5m, 1h, 1d or 1w", path=path)
    return int(match[1]) * UNIT_MS[match[2]]
