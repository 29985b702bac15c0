"""When a search ends before its last trial."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass
class Stopping:
    """Rules looked at after every batch, in the order of trials; the first that holds ends the search.

    `patience` batches without a better best; a best score of at least `target`; `time_s` seconds of work.
    """

    patience: int | None = None
    target: float | None = None
    time_s: float | None = None
    _best: float = -math.inf
    _without: int = 0

    def look(self, end: int, best: float, worked_s: float) -> str | None:
        """Why the search ends after `end` trials whose best score is `best` (NaN: none yet); None while it goes on."""
        better = best > self._best
        self._without = 0 if better else self._without + 1
        self._best = best if better else self._best
        if self.target is not None and self._best >= self.target:
            return "the target is reached"
        if self.patience is not None and self._without >= self.patience:
            return f"{self._without} batches without a better trial"
        if self.time_s is not None and worked_s >= self.time_s:
            return f"{self.time_s:g} seconds of work are over"
        return None
