"""Random search: uniform draws, without repetition where the space is discrete.

On a discrete space trial i is the grid point at position i of a pseudo-random permutation of all grid indices: a
balanced Feistel network over the next even number of bits, walked until the index falls inside the space (Black &
Rogaway 2002, "Ciphers with arbitrary finite domains", method 2, cycle walking). On a continuous space, or one of more
than 2^62 points, trial i reads its own counter block of the Philox generator (Salmon et al. 2011).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tunesmith.domain.space import Space

_LARGEST_PERMUTED = 2**62
_ROUNDS = 8
_WORDS_PER_COUNTER = 4


class Random:
    """`max_iterations` draws, or every point once where the space has fewer."""

    def __init__(self, space: Space, max_iterations: int, seed: int = 0) -> None:
        self.space = space
        self.seed = seed
        self._permuted = space.is_discrete and space.size <= _LARGEST_PERMUTED
        self.n_trials = min(max_iterations, space.size) if space.is_discrete else max_iterations
        self._keys = np.random.SeedSequence(seed).generate_state(_ROUNDS, np.uint64)

    def ask(self, start: int, stop: int) -> NDArray[np.float64]:
        if self._permuted:
            return self.space.grid_at(self._permute(np.arange(start, stop, dtype=np.uint64)).astype(np.int64))
        n_dimensions = len(self.space.dimensions)
        counters = -(-n_dimensions // _WORDS_PER_COUNTER)
        bits = np.random.Philox(np.random.SeedSequence(self.seed)).advance(start * counters)
        unit = np.random.Generator(bits).random((stop - start, counters * _WORDS_PER_COUNTER))
        return self.space.sample(unit[:, :n_dimensions])

    def _permute(self, index: NDArray[np.uint64]) -> NDArray[np.uint64]:
        size = self.space.size
        half_bits = max(1, -(-(size - 1).bit_length() // 2))
        out = self._feistel(index, half_bits)
        outside = out >= size
        while outside.any():
            out[outside] = self._feistel(out[outside], half_bits)
            outside = out >= size
        return out

    def _feistel(self, value: NDArray[np.uint64], half_bits: int) -> NDArray[np.uint64]:
        mask, shift = np.uint64((1 << half_bits) - 1), np.uint64(half_bits)
        left, right = value >> shift, value & mask
        for key in self._keys:
            left, right = right, left ^ (_mix(right + key) & mask)
        return (left << shift) | right


def _mix(value: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finalizer of SplitMix64 (Steele, Lea & Flood 2014), a bijection on 64 bits."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))
