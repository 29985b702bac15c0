"""How often a user may do something: tokens that come back with time."""

from __future__ import annotations

import math
import time
from collections import OrderedDict

from tunesmith.errors import Busy

_KEPT = 10_000


class Rate:
    """At most `per_minute` a minute for each user, all of them at once if nothing was done before."""

    def __init__(self, per_minute: int, what: str) -> None:
        self._most = float(per_minute)
        self._per_s = per_minute / 60.0
        self._what = what
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, user: str) -> None:
        """Do it once more; raises `Busy` with the time until the next, at once, when it was done too often."""
        now = time.monotonic()
        left, at = self._left.pop(user, (self._most, now))
        left = min(self._most, left + (now - at) * self._per_s)
        allowed = left >= 1.0
        self._left[user] = (left - 1.0 if allowed else left, now)
        if len(self._left) > _KEPT:
            self._left.popitem(last=False)
        if not allowed:
            wait_ms = math.ceil(1000.0 * (1.0 - left) / self._per_s)
            raise Busy(f"more than {self._most:,.0f} {self._what} in a minute", retry_after_ms=wait_ms)
