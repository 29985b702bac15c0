"""A pseudo-random order of the numbers below n, of which any part is known without the rest.

A Feistel network over a grid of a × b places, a × b hardly more than n, walked until the number falls below n (Black &
Rogaway 2002, "Ciphers with arbitrary finite domains", methods 2 and 3: cycle walking, and halves added modulo a and b).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tunesmith.domain.array_types import Ints, Words

LARGEST = 2**62
"""The most numbers that can be permuted."""
_ROUNDS = 8


class Permutation:
    """A permutation of the numbers from 0 to `n` (exclusive, at most `LARGEST`) that `entropy` chooses."""

    def __init__(self, n: int, entropy: int | Sequence[int]) -> None:
        self.n = n
        self._n_rows = math.isqrt(max(n - 1, 0)) + 1
        self._n_columns = -(-n // self._n_rows)
        self._keys = np.random.SeedSequence(entropy).generate_state(_ROUNDS, np.uint64)

    def __call__(self, position: Ints) -> Ints:
        """The numbers at the positions int64[m]; int64[m]."""
        out = self._feistel(position.astype(np.uint64))
        outside = np.flatnonzero(out >= self.n)
        while len(outside):
            out[outside] = self._feistel(out[outside])
            outside = outside[out[outside] >= self.n]
        return out.astype(np.int64)

    def _feistel(self, value: Words) -> Words:
        n_rows, n_columns = np.uint64(self._n_rows), np.uint64(self._n_columns)
        row, column = np.divmod(value, n_columns)
        for key_of_row, key_of_column in self._keys.reshape(-1, 2):
            row = _moved(row, column + key_of_row, n_rows)
            column = _moved(column, row + key_of_column, n_columns)
        return row * n_columns + column


def _moved(half: Words, word: Words, n: np.uint64) -> Words:
    """`half` and a number that `word` chooses among the n < 2^32, added modulo n."""
    total = half + (((_mix(word) >> np.uint64(32)) * n) >> np.uint64(32))
    return np.where(total >= n, total - n, total)


def _mix(value: Words) -> Words:
    """The finalizer of SplitMix64 (Steele, Lea & Flood 2014), a bijection on 64 bits."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))
