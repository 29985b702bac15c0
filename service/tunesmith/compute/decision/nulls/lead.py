"""How a search follows the winner of the searches before it to where that winner lies on a shuffled market."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tunesmith.compute.decision.nulls.counted_search import CountedSearch
from tunesmith.compute.decision.nulls.frame import Frame
from tunesmith.domain.array_types import Floats

_PARTS = (2.0, 4.0)


@dataclass(frozen=True, eq=False)
class Lead:
    """What `search` follows: the best point of a draw, `found` float64[p], where the real best one was `real`.

    `lift` is by how much the found one's imagined value is above what it is worth on the draw (see `links`).
    """

    search: CountedSearch
    frame: Frame
    found: Floats
    real: Floats
    lift: float = 0.0

    def follow(self, points: Floats) -> Floats:
        """`points` float64[n, p], all moved by the same; float64[n, p].

        A point that would break a condition moves half as far, else a quarter, else not at all.
        """
        by = self._by
        moved = self.frame.moved(points, by, self.found, self.real)
        for part in _PARTS:
            broken = np.flatnonzero(~self.search.allows(moved))
            if not len(broken):
                return moved
            moved[broken] = self.frame.moved(points[broken], self.frame.part(by, part), self.found, self.real)
        broken = np.flatnonzero(~self.search.allows(moved))
        moved[broken] = points[broken]
        return moved

    @cached_property
    def _by(self) -> Floats:
        return self.frame.shift(self.found, self.real)
