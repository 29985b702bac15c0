"""What methods that learn have in common: what was told, and batches whose edges follow from the problem alone.

Batch b depends on the problem, on b and on the trials before it, whoever asks and however the tells were cut. It is
worked out when it is asked for, so that telling is quick.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_right

import numpy as np

from tunesmith.compute.search.samplers.axes import Axes, nearest
from tunesmith.compute.search.samplers.known_points import Known
from tunesmith.compute.search.samplers.sampler import Problem
from tunesmith.domain.array_types import Floats, Ints
from tunesmith.errors import Invalid


class Learner(ABC):
    """A learning method: the subclass says how many trials batch b has, and which points they try.

    `points` float64[n, p] and `scores` float64[n, n_targets] are the trials before the batch that is being worked out,
    `edges` the first trials of all batches so far.
    """

    def __init__(self, problem: Problem, *, most_targets: int = 1) -> None:
        """Raises `Invalid` where the problem has more than `most_targets`, or no point."""
        if problem.n_targets > most_targets:
            raise Invalid(
                f"this method learns from one target, not from {problem.n_targets}; nsga2 and tpe learn from several",
                path="/data/method",
            )
        self.problem = problem
        self.region = problem.region
        self.axes = Axes(self.region)
        self.acceptance = self.region.acceptance
        self.known = Known(self.region)
        self.warm = self.known.new(nearest(self.region, problem.warm))
        self.n_trials = min(problem.n_trials, self.known.most)
        self.points = np.empty((0, len(self.region.space.parameters)))
        self.scores = np.empty((0, problem.n_targets))
        self._told = Told(*self.points.shape[1:], problem.n_targets)
        self.edges = [0]
        self._batch = -1
        self._proposed = self.points

    @abstractmethod
    def size(self, batch: int, start: int) -> int:
        """How many trials batch number `batch` has, whose first is trial `start`; 0 where there is nothing to try."""

    def begin(self, n: int, rng: np.random.Generator) -> Floats:
        """At most `n` points for the first batch: the warm ones, and others spread over the region; float64[m, p]."""
        return self.spread(n, rng, self.warm)

    @abstractmethod
    def propose(self, batch: int, n: int, rng: np.random.Generator) -> Floats:
        """At most `n` new points for batch number `batch` >= 1, which may draw from `rng`; float64[m, p]."""

    @property
    def ready(self) -> int:
        self._batch_of(self._told.n)
        return self.edges[-1]

    def ask(self, start: int, stop: int) -> Floats:
        points = self._told.points[start : min(stop, self._told.n)]
        stop = min(stop, self.ready)
        if stop <= self._told.n:
            return points
        batch = self._batch_of(self._told.n)
        if batch != self._batch:
            self._proposed, self._batch = self._work_out(batch), batch
        first = self.edges[batch]
        return np.concatenate([points, self._proposed[max(start, self._told.n) - first : stop - first]])

    def tell(self, points: Floats, scores: Floats) -> None:
        self._told.add(points, scores)

    def spread(self, n: int, rng: np.random.Generator, first: Floats | None = None) -> Floats:
        """`first` and new points spread over the region, `n` in all: Latin hypercubes as far as conditions allow.

        float64[<= n, p].
        """
        found = self.points[:0] if first is None else first[:n]
        for _ in range(4):
            if len(found) < n:
                cube = self.region.from_unit(latin_hypercube(n, len(self.axes), rng))
                found = np.concatenate([found, self.known.new(cube, found)])[:n]
        return self.filled(found, n, rng)

    def filled(self, points: Floats, n: int, rng: np.random.Generator) -> Floats:
        """`points` and as many new random ones as make them `n`, or as there are; float64[<= n, p]."""
        if len(points) >= n:
            return points[:n]
        return np.concatenate([points, self.known.draw(n - len(points), points, rng)])

    def _batch_of(self, trial: int) -> int:
        """Number of the batch that holds `trial`, the last one where there is no such trial."""
        while self.edges[-1] < self.n_trials and self.edges[-1] <= trial:
            start = self.edges[-1]
            self._look_back(start)
            n = self.size(len(self.edges) - 1, start)
            if not start:
                n = max(n, len(self.warm))
            self.edges.append(min(start + n, self.n_trials) if n else self.n_trials)
        return min(bisect_right(self.edges, trial), len(self.edges) - 1) - 1

    def _work_out(self, batch: int) -> Floats:
        start, stop = self.edges[batch : batch + 2]
        self._look_back(start)
        self.known.learn(self.points)
        rng = np.random.default_rng([self.problem.seed, batch])
        return self.propose(batch, stop - start, rng) if batch else self.begin(stop - start, rng)

    def _look_back(self, start: int) -> None:
        self.points, self.scores = self._told.points[:start], self._told.scores[:start]


class Told:
    """The trials told so far: `points` float64[n, p] and `scores` float64[n, n_targets]."""

    def __init__(self, n_parameters: int, n_targets: int) -> None:
        self.n = 0
        self._points = np.empty((64, n_parameters))
        self._scores = np.empty((64, n_targets))

    @property
    def points(self) -> Floats:
        return self._points[: self.n]

    @property
    def scores(self) -> Floats:
        return self._scores[: self.n]

    def add(self, points: Floats, scores: Floats) -> None:
        stop = self.n + len(points)
        if stop > len(self._points):
            spare = max(stop, 2 * len(self._points)) - self.n
            self._points = np.concatenate([self.points, np.empty((spare, self._points.shape[1]))])
            self._scores = np.concatenate([self.scores, np.empty((spare, self._scores.shape[1]))])
        self._points[self.n : stop] = points
        self._scores[self.n : stop] = scores
        self.n = stop


def best_first(scores: Floats) -> Ints:
    """Trials by their scores float64[n], the best first, the undefined last, equals in order; int64[n]."""
    return np.argsort(-scores, kind="stable")


def latin_hypercube(n: int, d: int, rng: np.random.Generator) -> Floats:
    """`n` points of which each axis has one in each n-th part (McKay, Beckman & Conover 1979); float64[n, d]."""
    cells = np.argsort(rng.random((n, d)), axis=0)
    return np.asarray((cells + rng.random((n, d))) / n)
