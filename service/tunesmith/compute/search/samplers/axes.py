"""The axes of a region's unit cube, as the methods that learn see them."""

from __future__ import annotations

import numpy as np

from tunesmith.compute.search.feasible_space import Region
from tunesmith.domain.array_types import Floats

_CONTINUOUS = 1e-3
"""Width of a continuous axis's cell: what counts as the next value."""


class Axes:
    """`sizes` int64[d]: values of each axis, 0 for a continuous one and for the whole numbers of a log range, which
    are what a continuous one is rounded to; `categorical` bool[d]: whether they have no order;
    `cell` float64[d]: how far it is to the next value.
    """

    def __init__(self, region: Region) -> None:
        dimensions = region.dimensions
        self.sizes = np.array([d.size if d.has_equal_parts else 0 for d in dimensions], np.int64)
        self.categorical = np.array([d.parameter.kind in ("choice", "bool") for d in dimensions], np.bool_)
        self.cell = np.where(self.sizes > 0, 1.0 / np.maximum(self.sizes, 1), _CONTINUOUS)

    def __len__(self) -> int:
        return len(self.sizes)


def nearest(region: Region, points: Floats) -> Floats:
    """`points` float64[n, p] where they are of the region's space, else its points nearest to them; float64[n, p]."""
    found = region.from_unit(region.to_unit(points))
    return np.where(np.isclose(found, points, rtol=1e-9, atol=0.0), points, found)
