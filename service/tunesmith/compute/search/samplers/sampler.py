"""What a search method is: ask, tell, and a state that is nothing but what was told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from tunesmith.compute.search.feasible_space import Region
from tunesmith.domain.array_types import Floats
from tunesmith.domain.search.methods import MethodOptions


@dataclass(frozen=True, eq=False)
class Problem:
    """What a method searches: `n_trials` at most, in `region`, for `n_targets` scores that are all to be large.

    `warm` float64[k, p] are points that a learning method tries first, such as the best of an earlier search.
    """

    region: Region
    n_trials: int
    seed: int
    options: MethodOptions
    n_targets: int
    warm: Floats


class Sampler(Protocol):
    """A search method bound to a problem. Trials are numbered from 0; no point occurs twice.

    A method that does not learn gives any range of its trials at any time. One that learns gives the trials below
    `ready`, and needs to be told those before it gives more. What it gives depends on the problem and on the trials
    told, in their order, and on nothing else: a new sampler that is told the same goes on as the old one would, which
    is how a search is resumed.
    """

    @property
    def n_trials(self) -> int:
        """How many trials there are at most."""
        ...

    @property
    def ready(self) -> int:
        """One past the last trial that can be asked for now; `n_trials` for a method that does not learn."""
        ...

    def ask(self, start: int, stop: int) -> Floats:
        """Points of the trials start to stop (exclusive), stop <= ready; float64[m, p].

        Fewer rows than asked for mean that the method has nothing more to try: the search is over.
        """
        ...

    def tell(self, points: Floats, scores: Floats) -> None:
        """The scores float64[m, n_targets] of the next m trials, NaN where undefined or a constraint is broken.

        `points` float64[m, p] are theirs, as `ask` gave them.
        """
        ...


class NonLearning:
    """Base of the methods that do not learn: scores change nothing, and all trials can be asked for at once."""

    n_trials: int

    @property
    def ready(self) -> int:
        """See `Sampler.ready`."""
        return self.n_trials

    def tell(self, points: Floats, scores: Floats) -> None:
        """See `Sampler.tell`."""
