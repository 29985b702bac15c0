"""When a search ends before its last trial: a decision at the ends of batches, in the order of trials.

It reads what was told and nothing else, so it is the same for any number of workers and after a resume. Only the time
budget depends on the machine; the trial count that it reached is kept with the search (`Stop.n_trials`) and given back
to `EarlyStop`, which then stops exactly there.
"""

from __future__ import annotations

import math
from typing import Literal

import msgspec
import numpy as np

from tunesmith.compute.search.pareto import non_dominated
from tunesmith.domain.array_types import Flags, Floats
from tunesmith.domain.search.stop_rules import StopRules
from tunesmith.errors import Invalid

Reason = Literal["no_improvement", "target_reached", "time_budget"]


class Stop(msgspec.Struct, frozen=True):
    """The search has `n_trials` trials, for this reason."""

    n_trials: int
    reason: Reason


def check_stop(rules: StopRules | None, n_targets: int, path: str) -> None:
    """Raise `Invalid` below `path` for rules that stop nothing, and for a score to reach where there are several."""
    if rules is None:
        return
    if rules.patience is None and rules.target is None and rules.time_budget_s is None:
        raise Invalid("give at least one of patience, target and time_budget_s", path=path)
    if n_targets > 1 and rules.target is not None:
        raise Invalid("several targets have no single score to reach", path=f"{path}/target")


class EarlyStop:
    """Told the end of each batch in the order of trials, from the first one on also after a resume.

    `sign` is 1.0 where the target is maximized, -1.0 where it is minimized: `StopRules.target` is a raw value. With
    `frozen_at`, the trial count that an earlier run's time budget reached, time stops the search there and nowhere
    else.
    """

    def __init__(self, rules: StopRules, *, sign: float = 1.0, frozen_at: int | None = None) -> None:
        self._rules = rules
        self._target = math.inf if rules.target is None else sign * rules.target
        self._frozen_at = frozen_at
        self._end = 0
        self._best = -math.inf
        self._idle = 0
        self.stop: Stop | None = None

    def told(self, end: int, best: float, elapsed_s: float = 0.0) -> Stop | None:
        """Whether the search ends with the batch that ends at trial `end` (exclusive); once it does, always the same.

        `best` is the best score so far, larger being better, NaN or -inf while there is none; for several targets a
        number that grows when the front moves, such as `FrontProgress.n_joined`. `elapsed_s` is the work so far.
        Raises `ValueError` for batches that are out of order.
        """
        if self.stop is not None:
            return self.stop
        if end <= self._end:
            raise ValueError(f"a batch that ends at {end} cannot follow one that ended at {self._end}")
        self._end = end
        self._count(best)
        if best >= self._target:
            self.stop = Stop(end, "target_reached")
        elif self._rules.patience is not None and self._idle >= self._rules.patience:
            self.stop = Stop(end, "no_improvement")
        elif self._out_of_time(end, elapsed_s):
            self.stop = Stop(end, "time_budget")
        return self.stop

    def _count(self, best: float) -> None:
        """A first score is an improvement; without any yet, patience waits."""
        if best > self._best + self._rules.least_improvement:
            self._best = best
            self._idle = 0
        elif self._best > -math.inf:
            self._idle += 1

    def _out_of_time(self, end: int, elapsed_s: float) -> bool:
        if self._frozen_at is not None:
            return end >= self._frozen_at
        return self._rules.time_budget_s is not None and elapsed_s >= self._rules.time_budget_s


class Watch:
    """Scores of `n_trials` trials as they come, in any order, for rules that look at them in theirs."""

    def __init__(
        self, rules: StopRules, n_trials: int, n_targets: int, *, sign: float = 1.0, frozen_at: int | None = None
    ) -> None:
        self._early = EarlyStop(rules, sign=sign, frozen_at=frozen_at)
        self._batch = rules.batch
        self._scores = np.full((n_trials, n_targets), np.nan)
        self._known = np.zeros(n_trials, np.bool_)
        self._front = FrontProgress() if n_targets > 1 else None
        self._looked = 0
        self._best = -math.inf

    def take(self, start: int, scores: Floats) -> None:
        """Note `scores` float64[m, k] of the trials from `start` on: larger is better, NaN for what may not be best."""
        self._scores[start : start + len(scores)] = scores
        self._known[start : start + len(scores)] = True

    def look(self, elapsed_s: float = 0.0) -> Stop | None:
        """Look at every batch that is complete and was not looked at yet.

        The time is that of the last of them: where time ends a search, it keeps every batch that is complete by then.
        """
        n = len(self._known)
        unknown = np.flatnonzero(~self._known[self._looked :])
        until = n if not len(unknown) else self._looked + int(unknown[0])
        while self._looked < until:
            end = min(self._looked + self._batch, n)
            if end > until:
                return None
            is_last = min(end + self._batch, n) > until or end == n
            progress = self._progress(self._scores[self._looked : end])
            stop = self._early.told(end, progress, elapsed_s if is_last else 0.0)
            self._looked = end
            if stop is not None:
                return stop
        return None

    def _progress(self, scores: Floats) -> float:
        if self._front is not None:
            return float(self._front.told(scores, np.ones(len(scores), np.bool_)))
        self._best = max(self._best, float(np.nanmax(scores, initial=-math.inf)))
        return self._best


class FrontProgress:
    """How often the Pareto front of a search for several targets has moved: what `EarlyStop` is told as its score."""

    def __init__(self) -> None:
        self._front: Floats | None = None
        self.n_joined = 0

    def told(self, scores: Floats, keep: Flags) -> int:
        """`n_joined` after a batch: how many trials were in the front when their batch ended, so far.

        `scores` float64[m, k] of the batch, larger being better, NaN where undefined; `keep` bool[m] the eligible.
        Scores that the front has already do not join it.
        """
        rows = scores[keep & ~np.isnan(scores).any(axis=1)]
        held = rows[:0] if self._front is None else self._front
        together = np.concatenate([held, rows])
        front = non_dominated(together)
        self.n_joined += int((front >= len(held)).sum())
        self._front = together[front]
        return self.n_joined
