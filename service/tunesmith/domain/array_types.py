"""Types of arrays by what their elements are; a docstring gives the shape."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
Words = NDArray[np.uint64]
"""Mostly bit masks; see `compute.kernels.masks`."""

Bytes = NDArray[np.uint8]

Row = Floats
"""float64[T]: one value a bar."""

Rows = Floats
"""float64[m, T] or float64[k, T], C-contiguous."""
