"""Types of the arrays that indicators work on; see the package's table."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Row = NDArray[np.float64]
"""float64[T]."""

Rows = NDArray[np.float64]
"""float64[m, T] or float64[k, T], C-contiguous."""

Whole = NDArray[np.int64]
"""int64[k]: sources, windows, counts."""
