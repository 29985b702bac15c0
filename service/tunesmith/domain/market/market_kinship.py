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
from typing import NamedTuple

import numpy as np

from tunesmith.domain.array_types import Ints
from tunesmith.domain.market.comparable_marks import (
    LEAST_COMMON,
    WORD,
    Comparable,
    OrderedWords,
    Words,
    level,
    short_codes,
)
from tunesmith.domain.market.market_marks import Mark, Moves
from tunesmith.domain.market.timeframes import UNIT_MS

KIN = 0.98
"""The least size of the correlation of all common moves that makes two markets kin."""
LEAST_EQUAL = 50
"""Equal moves in a row that make two markets kin."""

_EQUAL = 0.1
"""Moves are equal that are no further apart than this share of the usual move around them."""
_LEAST_TIMED, _SHARE_TIMED, _EQUAL_TIMED = 20, 0.9, 0.02
"""At the same times: the fewest moves, the share of them that is equal, and how closely."""
_STANDS_OUT = 6.0
"""Standard deviations from which on a lag is looked at; the largest of 100,000 is below 5 by chance."""
_LAGS = 3
"""So many lags are looked at, each way."""
_AROUND = 64
"""Moves on either side of a word's middle among which equal ones are counted."""
_MOST_HITS = 4_000
_LONGEST_MS = 31 * UNIT_MS["d"]


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


class _Run(NamedTuple):
    """A run of `n` equal moves: the number of one of them in either row, and the sign between them."""

    mine: int
    theirs: int
    sign: float
    n: int


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
    common_ms = min(own.last_ms, other.last_ms) - max(own.first_ms, other.first_ms)
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
    product, size = own.room(n)
    for backwards in (False, True):
        np.multiply(ours, theirs if backwards else np.conjugate(theirs, out=product), out=product)
        np.abs(np.fft.irfft(product, n, out=size), out=size)  # type: ignore[arg-type]
        np.multiply(size, _per_deviation(a, b, n, backwards), out=size)
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
    x, y = level(x[both].astype(np.float64)), level(y[both].astype(np.float64))
    spread = math.sqrt(float((x * x).sum()) * float((y * y).sum()))
    r = float((x * y).sum()) / spread if spread > 0.0 else 0.0
    scale = own.mark.length_ms / other.mark.length_ms * (-1 if lag.backwards else 1)
    offset = own.mark.first_ms + at * own.mark.length_ms - scale * other.mark.first_ms
    return Kinship(scale, round(offset), r, n)


def equal_moves(own: Comparable, other: Comparable) -> Kinship | None:
    """The longest run of equal moves; None where not even one word is the same."""
    found = None
    for backwards in (False, True):
        ours = own.backwards if backwards else own.row
        words = own.ordered_words_backwards if backwards else own.ordered_words
        run = _run(ours, words, other.row, other.words)
        if run is not None and (found is None or run.n > found.n):
            mine = own.row_bar[len(ours) - 1 - run.mine if backwards else run.mine]
            scale = own.mark.length_ms / other.mark.length_ms * (-1 if backwards else 1)
            offset = own.mark.close_ms[mine] - scale * other.mark.close_ms[other.row_bar[run.theirs]]
            found = Kinship(scale, round(float(offset)), run.sign, run.n)
    return found


def _run(a: Moves, a_words: OrderedWords, b: Moves, b_words: Words) -> _Run | None:
    likely = np.flatnonzero(a_words.there[short_codes(b_words.code)])
    code = b_words.code[likely]
    low = np.searchsorted(a_words.code, code, "left")
    many = np.searchsorted(a_words.code, code, "right") - low
    theirs = np.repeat(b_words.middle[likely], many)
    start = np.repeat(low - np.cumsum(many) + many, many)
    mine = a_words.middle[start + np.arange(len(start))]
    if len(mine) > _MOST_HITS:
        chosen = np.linspace(0, len(mine) - 1, _MOST_HITS).astype(np.int64)
        mine, theirs = mine[chosen], theirs[chosen]
    if not len(mine):
        return None
    around = np.arange(-_AROUND, _AROUND + 1)
    x, y = (_around(row, first, around) for row, first in ((a, mine), (b, theirs)))
    inside = slice(_AROUND - WORD, _AROUND + WORD + 1)
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
    """A number from `least` on, little larger, whose transforms are fast: it has no factors but 2, 3 and 5."""
    eighth = 1 << max(1, (least - 1).bit_length() - 4)
    return next(times * eighth for times in (8, 9, 10, 12, 15, 16) if times * eighth >= least)
