"""The part of a parameter space that keeps the conditions between parameters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tunesmith.domain.space import Space


@dataclass(frozen=True, eq=False)
class Region:
    """`space` where `valid` (points float64[n, p] → bool[n]) holds."""

    space: Space
    valid: Callable[[NDArray[np.float64]], NDArray[np.bool_]]
