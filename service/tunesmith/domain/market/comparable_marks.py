"""Comparable marks: a market's moves with what comparing them with others' needs, made once for all comparisons."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tunesmith.domain.array_types import Flags, Ints
from tunesmith.domain.market.market_marks import Mark, Moves

LEAST_COMMON = 100
"""The fewest common moves whose correlation tells anything: over 50, BTC and ETH have come to .98."""
WORD = 4
"""A word is a move that is larger than the three on either side, with four moves on either side."""

_CLIPPED = 3.0
"""Larger moves count as so many usual ones: one crash that both went through must not decide."""
_LARGEST_OF = 3
_SHORT_BITS = 18

Codes = NDArray[np.int64]
Spectrum = NDArray[np.complex64]


class Words(NamedTuple):
    """What moves in a row are, and the number of the middle one."""

    code: Codes
    middle: Ints

    def in_order(self) -> OrderedWords:
        """Sorted by what they are, so that others can be looked up among them."""
        order = np.argsort(self.code, kind="stable")
        there = np.zeros(1 << _SHORT_BITS, np.bool_)
        there[short_codes(self.code)] = True
        return OrderedWords(self.code[order], self.middle[order], there)


class OrderedWords(NamedTuple):
    """Words sorted by what they are; `there` says of each short code whether a word has it."""

    code: Codes
    middle: Ints
    there: Flags


@dataclass(eq=False)
class Comparable:
    """A mark with what comparing it needs, made once for all comparisons."""

    mark: Mark

    @cached_property
    def moves(self) -> Moves:
        """The moves on the grid; NaN where there is none."""
        return self.mark.on_grid()

    @cached_property
    def _filled(self) -> Moves:
        known = ~np.isnan(self.moves)
        filled = np.zeros(len(self.moves), np.float32)
        filled[known] = level(self.moves[known])
        size = math.sqrt(float(np.mean(filled * filled)))
        return filled / np.float32(size) if size > 0.0 else filled

    @cached_property
    def _spectra(self) -> dict[int, Spectrum]:
        return {}

    def spectrum(self, n: int) -> Spectrum:
        """The Fourier transform of the moves, with zeros up to `n`."""
        if n not in self._spectra:
            self._spectra[n] = np.fft.rfft(self._filled, n).astype(np.complex64, copy=False)
        return self._spectra[n]

    @cached_property
    def _rooms(self) -> dict[int, tuple[Spectrum, Moves]]:
        return {}

    def room(self, n: int) -> tuple[Spectrum, Moves]:
        """Arrays to work in, for one comparison after the other: fresh memory costs as much as the work."""
        if n not in self._rooms:
            self._rooms[n] = np.empty(n // 2 + 1, np.complex64), np.empty(n, np.float32)
        return self._rooms[n]

    @cached_property
    def row_bar(self) -> Ints:
        """The bars that moved."""
        return np.flatnonzero(self.mark.move)

    @cached_property
    def row(self) -> Moves:
        """Their moves one after the other, whatever lies between them."""
        return self.mark.move[self.row_bar]

    @cached_property
    def words(self) -> Words:
        return _words(self._word_moves, self._word_at)

    @cached_property
    def backwards(self) -> Moves:
        """The moves of the same closes from the last to the first."""
        return -self.row[::-1]

    @cached_property
    def ordered_words(self) -> OrderedWords:
        return self.words.in_order()

    @cached_property
    def ordered_words_backwards(self) -> OrderedWords:
        return _words(-self._word_moves[::-1], len(self.row) - 1 - self._word_at).in_order()

    @cached_property
    def _word_at(self) -> Ints:
        """The moves that are larger than the three on either side."""
        size = np.abs(self.row)
        largest = np.zeros(len(size), np.bool_)
        largest[WORD:-WORD] = True
        for apart in range(1, _LARGEST_OF + 1):
            above = size[:-apart] > size[apart:]
            largest[:-apart] &= above
            largest[apart:] &= size[apart:] > size[:-apart]
        return np.flatnonzero(largest)

    @cached_property
    def _word_moves(self) -> Moves:
        found: Moves = self.row[np.arange(-WORD, WORD + 1)[:, None] + self._word_at]
        return found

    @cached_property
    def _longer(self) -> dict[tuple[int, int], Comparable | None]:
        return {}

    def at_length(self, length_ms: int, phase_ms: int) -> Comparable | None:
        """The same market in longer bars; None where they are too few."""
        key = length_ms, phase_ms % length_ms
        if key not in self._longer:
            made = self.mark.at_length(*key)
            enough = made is not None and made.n_moved >= LEAST_COMMON
            self._longer[key] = Comparable(made) if made is not None and enough else None
        return self._longer[key]


def level(moves: NDArray[Any]) -> NDArray[Any]:
    """The moves clipped, about their mean."""
    n_moved = np.count_nonzero(moves)
    usual = np.abs(moves).sum() / max(1, n_moved)
    clipped = np.clip(moves, -_CLIPPED * usual, _CLIPPED * usual)
    return np.asarray(clipped - clipped.mean())


def _words(moves: Moves, at: Ints) -> Words:
    """Of nine moves in each column: the order of their sizes, and which have the first one's sign.

    Left out are columns with two pairs of the same size, which tell too little.
    """
    size, up = np.abs(moves), moves > 0.0
    code = np.zeros(len(at), np.int64)
    alike = np.zeros(len(at), np.int8)
    for i in range(2 * WORD + 1):
        code <<= 1
        code |= up[i] != up[0]
        for j in range(i):
            code <<= 1
            code |= size[i] < size[j]
            alike += size[i] == size[j]
    kept = np.flatnonzero(alike <= 1)
    return Words(code[kept], at[kept])


def short_codes(code: Codes) -> Ints:
    return (code ^ code >> 13 ^ code >> 29) & ((1 << _SHORT_BITS) - 1)
