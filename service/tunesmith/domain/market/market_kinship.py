"""Kinship: whether two markets are one, by their marks alone, whatever names, times and prices they were given.

They are kin where
  - their moves correlate at .98 or more, of either sign, over all that they have in common, 100 moves or more; or
  - 50 moved bars in a row are equal, of either sign, with none but bars without a move between them; or
  - they have fewer than 100 bars of one length in common, and of 20 moves or more at the same times nine in ten equal.

What they have in common is found by laying one beside the other in three ways, forwards and backwards:
  - bar by bar at every lag: the same bars under other times, or called longer ones;
  - by time, made into bars of the same length at every lag, and into hours where both are shorter: bars made of each
    other, of two venues;
  - where nine moves in a row have the same signs and the same order of sizes: a short stretch in other company.
Of an inverted price (1/price) the moves have the other sign.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tunesmith.domain.array_types import Ints
from tunesmith.domain.market.market_marks import Mark, Moves
from tunesmith.domain.market.timeframes import UNIT_MS

KIN = 0.98
"""The least size of the correlation of all common moves that makes two markets kin."""
LEAST_COMMON = 100
"""The fewest common moves whose correlation tells anything: over 50, BTC and ETH have come to .98."""
LEAST_EQUAL = 50
"""Equal moves in a row that make two markets kin."""

_EQUAL = 0.1
"""Moves are equal that are no further apart than this share of the usual move around them."""
_LEAST_TIMED, _SHARE_TIMED, _EQUAL_TIMED = 20, 0.9, 0.02
"""At the same times: the fewest moves, the share of them that is equal, and how closely."""
_CLIPPED = 3.0
"""Larger moves count as so many usual ones: one crash that both went through must not decide."""
_STANDS_OUT = 6.0
"""Standard deviations from which on a lag is looked at; the largest of 100,000 is below 5 by chance."""
_LAGS = 3
"""So many lags are looked at, each way."""
_LARGEST_OF = 3
_WORD = 4
"""A word is a move that is larger than three on either side, with four moves on either side."""
_AROUND = 64
"""Moves on either side of a word's middle among which equal ones are counted."""
_MOST_HITS = 4_000
_LONGEST_MS = 31 * UNIT_MS["d"]

Codes = NDArray[np.int64]
Spectrum = NDArray[np.complex64]


class Kinship(NamedTuple):
    """How another market's times are ours: ours = scale * theirs + offset_ms; a negative scale runs backwards.

    `r` is the correlation of the `n` moves by which they are known.
    """

    scale: float
    offset_ms: int
    r: float
    n: int


class Lag(NamedTuple):
    """The other's place j lies at ours `lag` + j; backwards at `lag` - j."""

    lag: int
    backwards: bool


class Words(NamedTuple):
    """What moves in a row are, sorted, and the number of the middle one."""

    code: Codes
    middle: Ints


class _Run(NamedTuple):
    """A run of `n` equal moves: the number of one of them in either row, and the sign between them."""

    mine: int
    theirs: int
    sign: float
    n: int


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
        filled[known] = _level(self.moves[known])
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
    def row_bar(self) -> Ints:
        """The bars that moved."""
        return np.flatnonzero(self.mark.move)

    @cached_property
    def row(self) -> Moves:
        """Their moves one after the other, whatever lies between them."""
        return self.mark.move[self.row_bar]

    @cached_property
    def words(self) -> Words:
        return _words(self._word_rows, self._word_at)

    @cached_property
    def backwards(self) -> Moves:
        """The moves of the same closes from the last to the first."""
        return -self.row[::-1]

    @cached_property
    def words_backwards(self) -> Words:
        return _words(-self._word_rows[:, ::-1], len(self.row) - 1 - self._word_at)

    @cached_property
    def _word_at(self) -> Ints:
        """The moves that are larger than the three on either side."""
        size = np.abs(self.row)
        largest = np.zeros(len(size), np.bool_)
        largest[_WORD:-_WORD] = True
        for apart in range(1, _LARGEST_OF + 1):
            above = size[:-apart] > size[apart:]
            largest[:-apart] &= above
            largest[apart:] &= size[apart:] > size[:-apart]
        return np.flatnonzero(largest)

    @cached_property
    def _word_rows(self) -> Moves:
        rows: Moves = self.row[self._word_at[:, None] + np.arange(-_WORD, _WORD + 1)]
        return rows

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


def kinship(own: Comparable, other: Comparable) -> Kinship | None:
    """How `other` is the market `own` under another name; None where it is another market."""
    for found in common_moves(own, other):
        if abs(found.r) >= KIN:
            return found
    run = equal_moves(own, other)
    if run is not None and run.n >= LEAST_EQUAL:
        return run
    return _at_the_same_times(own.mark, other.mark)


def common_moves(own: Comparable, other: Comparable) -> Iterator[Kinship]:
    """What the two would be at each lag that stands out, with the correlation of all that they have in common there."""
    if min(own.mark.n_moved, other.mark.n_moved) < LEAST_COMMON:
        return  # no less than that can be common
    for ours, theirs in _beside(own, other):
        for lag in _lags(ours, theirs):
            found = _at_lag(ours, theirs, lag)
            if found is not None:
                yield found


def _beside(own: Comparable, other: Comparable) -> Iterator[tuple[Comparable, Comparable]]:
    """Both in bars of one length by time, then bar by bar where they have another length, then in hours."""
    one, two = own.mark, other.mark
    if one.length_ms == two.length_ms:
        yield own, other
    length, phase = _grid_of(one, two)
    lengths = {length: phase} if one.length_ms != two.length_ms else {}
    if length < UNIT_MS["h"] and UNIT_MS["h"] % length == 0:
        lengths[UNIT_MS["h"]] = 0
    for length_ms, phase_ms in lengths.items():
        if length_ms <= _LONGEST_MS:
            ours, theirs = (each.at_length(length_ms, phase_ms) for each in (own, other))
            if ours is not None and theirs is not None:
                yield ours, theirs
    if one.length_ms != two.length_ms:
        yield own, other


def _grid_of(one: Mark, two: Mark) -> tuple[int, int]:
    """The shortest bars that both can be made into: their length, and a time at which one closes."""
    length = math.lcm(one.length_ms, two.length_ms)
    longer = max(one, two, key=lambda mark: mark.length_ms)
    return length, longer.first_ms if longer.length_ms == length else 0


def _at_the_same_times(own: Mark, other: Mark) -> Kinship | None:
    """How two that have little in common are one market under the same times."""
    length, phase = _grid_of(own, other)
    common_ms = min(own.close_ms[-1], other.close_ms[-1]) - max(own.close_ms[0], other.close_ms[0])
    if length > _LONGEST_MS or not _LEAST_TIMED <= common_ms // length < LEAST_COMMON:
        return None
    ours, theirs = (each.at_length(length, phase) for each in (own, other))
    if ours is None or theirs is None:
        return None
    _, i, j = np.intersect1d(ours.close_ms, theirs.close_ms, assume_unique=True, return_indices=True)
    x, y = (np.diff(np.cumsum(one.move, dtype=np.float64)[at]) for one, at in ((ours, i), (theirs, j)))
    moved = (x != 0.0) | (y != 0.0)
    x, y, n = x[moved], y[moved], int(np.count_nonzero(moved))
    if n < _LEAST_TIMED:
        return None
    sign = float(np.sign((x * y).sum()))
    n_equal = int(np.count_nonzero(np.abs(x - sign * y) <= _EQUAL_TIMED * np.abs(x).mean()))
    return Kinship(1.0, 0, sign, n_equal) if n_equal >= _SHARE_TIMED * n else None


def _lags(own: Comparable, other: Comparable) -> Iterator[Lag]:
    """Lags at which the moves go together more than by chance, forwards and backwards, the strongest first."""
    a, b = own.mark.n_places, other.mark.n_places
    n = _transform_length(a + b)
    ours, theirs = own.spectrum(n), other.spectrum(n)
    for backwards in (False, True):
        together = np.fft.irfft(ours * (theirs if backwards else theirs.conj()), n)
        size = np.abs(together)
        size *= _per_deviation(a, b, n, backwards)
        for _ in range(_LAGS):
            at = int(np.argmax(size))
            if size[at] < _STANDS_OUT:
                break
            size[at] = 0.0
            yield Lag(at if backwards or at < a else at - n, backwards)


@functools.lru_cache(maxsize=8)
def _per_deviation(a: int, b: int, n: int, backwards: bool) -> Moves:
    """float32[n]: one by the standard deviation of what unrelated moves come to at each lag; 0 where few are common."""
    lag = np.arange(n)
    if backwards:
        common = np.minimum(b, lag + 1) - np.maximum(0, lag - a + 1)
    else:
        lag[a:] -= n
        common = np.minimum(a, lag + b) - np.maximum(0, lag)
    few = common < LEAST_COMMON
    common[few] = 1
    return np.where(few, 0.0, 1.0 / np.sqrt(common)).astype(np.float32)


def _at_lag(own: Comparable, other: Comparable, lag: Lag) -> Kinship | None:
    """What they are at this lag; None where they have too little in common there."""
    a, b, at = own.mark.n_places, other.mark.n_places, lag.lag
    if lag.backwards:
        first, end = max(0, at - a + 1), min(b, at + 1)
        x, y = own.moves[at - end + 1 : at - first + 1][::-1], other.moves[first:end]
    else:
        first, end = max(0, at), min(a, at + b)
        x, y = own.moves[first:end], other.moves[first - at : end - at]
    both = ~(np.isnan(x) | np.isnan(y))
    n = int(np.count_nonzero(both & (x != 0.0) & (y != 0.0)))
    if n < LEAST_COMMON:
        return None
    x, y = _level(x[both].astype(np.float64)), _level(y[both].astype(np.float64))
    spread = math.sqrt(float((x * x).sum()) * float((y * y).sum()))
    r = float((x * y).sum()) / spread if spread > 0.0 else 0.0
    scale = own.mark.length_ms / other.mark.length_ms * (-1 if lag.backwards else 1)
    offset = own.mark.first_ms + at * own.mark.length_ms - scale * other.mark.first_ms
    return Kinship(scale, round(offset), r, n)


def _level(moves: NDArray[Any]) -> NDArray[Any]:
    """The moves clipped, about their mean."""
    n_moved = np.count_nonzero(moves)
    usual = np.abs(moves).sum() / max(1, n_moved)
    clipped = np.clip(moves, -_CLIPPED * usual, _CLIPPED * usual)
    return np.asarray(clipped - clipped.mean())


def _words(rows: Moves, at: Ints) -> Words:
    """Of nine moves in each row: the order of their sizes, and which have the first one's sign.

    Left out are rows with two pairs of the same size, which tell too little.
    """
    size, up = np.abs(rows), rows > 0.0
    code = np.zeros(len(rows), np.int64)
    alike = np.zeros(len(rows), np.int8)
    for i in range(2 * _WORD + 1):
        code = code << 1 | (up[:, i] != up[:, 0])
        for j in range(i):
            code = code << 1 | (size[:, i] < size[:, j])
            alike += size[:, i] == size[:, j]
    kept = np.flatnonzero(alike <= 1)
    order = kept[np.argsort(code[kept], kind="stable")]
    return Words(code[order], at[order])


def equal_moves(own: Comparable, other: Comparable) -> Kinship | None:
    """The longest run of equal moves; None where not even one word is the same."""
    found = None
    for backwards in (False, True):
        ours = own.backwards if backwards else own.row
        run = _run(ours, own.words_backwards if backwards else own.words, other.row, other.words)
        if run is not None and (found is None or run.n > found.n):
            mine = own.row_bar[len(ours) - 1 - run.mine if backwards else run.mine]
            scale = own.mark.length_ms / other.mark.length_ms * (-1 if backwards else 1)
            offset = own.mark.close_ms[mine] - scale * other.mark.close_ms[other.row_bar[run.theirs]]
            found = Kinship(scale, round(float(offset)), run.sign, run.n)
    return found


def _run(a: Moves, a_words: Words, b: Moves, b_words: Words) -> _Run | None:
    low = np.searchsorted(a_words.code, b_words.code, "left")
    many = np.searchsorted(a_words.code, b_words.code, "right") - low
    theirs = np.repeat(b_words.middle, many)
    start = np.repeat(low - np.cumsum(many) + many, many)
    mine = a_words.middle[start + np.arange(len(start))]
    if len(mine) > _MOST_HITS:
        chosen = np.linspace(0, len(mine) - 1, _MOST_HITS).astype(np.int64)
        mine, theirs = mine[chosen], theirs[chosen]
    if not len(mine):
        return None
    around = np.arange(-_AROUND, _AROUND + 1)
    x, y = (_around(row, first, around) for row, first in ((a, mine), (b, theirs)))
    inside = slice(_AROUND - _WORD, _AROUND + _WORD + 1)
    sign = np.sign((x[:, inside] * y[:, inside]).sum(axis=1))
    apart = np.abs(x - sign[:, None] * y)
    equal = apart <= _EQUAL * np.abs(x[:, inside]).mean(axis=1)[:, None]
    after = np.logical_and.accumulate(equal[:, _AROUND:], axis=1)
    before = np.logical_and.accumulate(equal[:, _AROUND - 1 :: -1], axis=1)
    n = after.sum(axis=1) + before.sum(axis=1)
    best = int(np.argmax(n))
    return _Run(int(mine[best]), int(theirs[best]), float(sign[best]), int(n[best]))


def _around(row: Moves, first: Ints, around: Ints) -> Moves:
    """float32[hits, moves]: the moves around each word; NaN beyond the ends."""
    padded = np.concatenate([np.full(_AROUND, np.nan, np.float32), row, np.full(_AROUND, np.nan, np.float32)])
    found: Moves = padded[first[:, None] + around + _AROUND]
    return found


def _transform_length(least: int) -> int:
    """The least number from `least` on that is two or three times a power of two: transforms of it are fast."""
    power = 1 << max(4, (least - 1).bit_length())
    return power * 3 // 4 if power * 3 // 4 >= least else power
