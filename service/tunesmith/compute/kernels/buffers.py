"""Memory that is used again: to get it anew from the system takes longer than much of what is computed in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunesmith.domain.array_types import Bytes

New = Callable[..., NDArray[Any]]
"""Makes an array of a shape and a dtype, as `numpy.empty` does."""

_LARGEST = 22
_KEPT = 3
_spare: dict[int, list[Bytes]] = {size: [] for size in range(_LARGEST + 1)}
"""For each power of two, up to 4 MiB, the pieces of that many bytes that are free: three of each, 24 MiB at most."""


class Lent:
    """Lends arrays until the end of a `with` block; what is made of them must not be read after it.

    Several threads may each have their own.
    """

    def __init__(self) -> None:
        self._pieces: list[tuple[int, Bytes]] = []

    def __enter__(self) -> Lent:
        return self

    def __exit__(self, *_: object) -> None:
        for size, piece in self._pieces:
            if len(_spare[size]) < _KEPT:
                _spare[size].append(piece)
        self._pieces.clear()

    def __call__(self, shape: int | tuple[int, ...], dtype: Any = np.float64) -> NDArray[Any]:
        """An array with anything in it."""
        n_bytes = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
        size = max(n_bytes - 1, 1).bit_length()
        if size > _LARGEST:
            return np.empty(shape, dtype)
        try:
            piece = _spare[size].pop()
        except IndexError:
            piece = np.empty(2**size, np.uint8)
        self._pieces.append((size, piece))
        lent: NDArray[Any] = piece[:n_bytes].view(dtype).reshape(shape)
        return lent
