"""What the daemon's upkeep noticed, for those who tell of it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

_CALM_S = 3600.0


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

    @property
    def is_calm(self) -> bool:
        """Whether the clock can be trusted with what is too old: it did not jump within the last hour."""
        return self.jumped_at is None or elapsed_s() - self.jumped_at > _CALM_S


def elapsed_s() -> float:
    """Seconds since the machine started, asleep or not; setting the clock does not change them."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
