"""Rows rounded to single precision: a quick first look at which of two is below the other.

Rounding keeps order: what is below when rounded is below. Only a tie of rounded values says nothing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tunesmith.compute.kernels.buffers import New
from tunesmith.compute.kernels.compiling import kernel
from tunesmith.compute.kernels.mask_comparisons import equal_nb
from tunesmith.compute.kernels.masks import BITS, n_words_of
from tunesmith.domain.array_types import Floats, Words

_LINE = 64

Singles = NDArray[np.float32]


def rough_rows(flat: Floats, rows: Floats, margin: int, new: New) -> tuple[Singles, Words]:
    """`rows` float64[R, T] rounded, float32[R * 64 W], each beginning at a cache line; and where they are defined,
    uint64[R, W], bit for bit.

    The rows stand one after the other in `flat`, after `margin` values and before as many. `new` makes the memory.
    """
    n_rows, n_bars = rows.shape
    length = BITS * n_words_of(n_bars)
    memory = new(n_rows * length + _LINE // 4, np.float32)
    aligned = -memory.ctypes.data % _LINE // 4
    rough = memory[aligned : aligned + n_rows * length]
    # What rounds to infinity, or to zero, ties with its like.
    with np.errstate(over="ignore", under="ignore"):
        rough.reshape(n_rows, length)[:, :n_bars] = rows
    known = new((n_rows, length // BITS), np.uint64)
    find_known_nb(flat, n_bars, margin, known)
    return rough, known


@kernel
def find_known_nb(flat: Floats, n_bars: int, margin: int, known: Words) -> None:
    """Fill `known` of `rough_rows`; bits after a row's last bar may be anything."""
    for row in range(len(known)):
        for word in range(known.shape[1]):
            first = margin + row * n_bars + BITS * word
            known[row, word] = equal_nb(flat, first, flat, first)
