"""What the daemon's upkeep noticed, for those who tell of it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

_CALM_S = 3600.0
_STEP_S = 0.5
"""A clock that is set differs by more from one second to the next; one that is brought nearer slowly does not."""


@dataclass(slots=True)
class Noticed:
    """What was noticed. Times are seconds of a clock that nobody sets (CLOCK_BOOTTIME)."""

    free_bytes: int | None = None
    backup_trouble: str | None = None
    backup_due: float | None = None
    checked: bool = False
    told_damage: bool = False
    n_failures: int = 0
    n_commits: int = 0
    written: float = field(default_factory=lambda: elapsed_s())
    offset_s: float = field(default_factory=lambda: time.time() - elapsed_s())
    jumped_at: float | None = None
    steady: SteadyClock = field(default_factory=lambda: SteadyClock())

    @property
    def is_calm(self) -> bool:
        """Whether the clock can be trusted with what is too old: it did not jump within the last hour."""
        return self.jumped_at is None or elapsed_s() - self.jumped_at > _CALM_S


class SteadyClock:
    """The wall clock, but for a while after it was set what it would say had it not been set.

    What ends for good by the clock, as a package does that expires, ends by this one: who sets the clock by mistake has
    a while to set it right.
    """

    def __init__(self) -> None:
        self._offset_s = self._seen_s = time.time() - elapsed_s()
        self._seen_at = elapsed_s()

    def now_s(self, grace_s: float) -> float:
        """Unix time that an offset of the wall clock moves once it has lasted `grace_s` seconds; ask each second."""
        now_s = elapsed_s()
        offset_s = time.time() - now_s
        if abs(offset_s - self._seen_s) > _STEP_S:
            self._seen_at = now_s
        self._seen_s = offset_s
        if abs(offset_s - self._offset_s) <= _STEP_S or now_s - self._seen_at >= grace_s:
            self._offset_s = offset_s
        return now_s + self._offset_s


def elapsed_s() -> float:
    """Seconds since the machine started, asleep or not; setting the clock does not change them."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
