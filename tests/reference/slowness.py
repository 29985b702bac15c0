"""How slow the machine is just now, so that bounds on processor time hold on any machine and beside any neighbour."""

from __future__ import annotations

import time
from collections.abc import Callable

LOOP_S = 0.0035
"""What the loop below takes on the machine that the tests' limits were set on."""


def slowness() -> float:
    """How many times slower this machine is just now, by processor time; a busy neighbour on the core doubles it."""
    start = time.process_time()
    total = 0
    for n in range(100_000):
        total += n % 7
    return max(1.0, (time.process_time() - start) / LOOP_S)


def is_quick(took_s: Callable[[], float], limit_s: float) -> bool:
    """Whether one of some tries takes less than the limit, which is as much longer as the machine is slower."""
    return any(took_s() < limit_s * slowness() for _ in range(5))
