"""Marks: what is kept of a market's closes so that it is known again under another name, without the candles.

A mark has the logarithm of each ratio of consecutive closes as float16 (two bytes a bar, exact to one part in 2,000),
and where bars are missing. It has no price, so that rescaled prices make the same mark.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tunesmith.domain.array_types import Floats, Ints
from tunesmith.domain.market.timeframes import timeframe_ms

Moves = NDArray[np.float32]

MOST_BARS = 1_000_000
"""The newest bars that a mark is made of: two megabytes."""
_LEAST_MOVE = 6e-8
_WIDEST = 8
"""Where gaps make a series longer than so many times its bars, its bars are numbered as if it had none."""
_SAME_MOVE = 2e-3
_SAME_REST = 1e-6


@dataclass(frozen=True, eq=False, slots=True)
class Mark:
    """The moves of a market's closes.

    `length_ms` is that of a bar, and `first_ms` when the first one closes, UTC milliseconds. Bar i stands at `place[i]`
    (int64[n], from 0, increasing) on a grid of such bars, and `move[i]` (float32[n]) leads to its close from the close
    of the bar before; that of the first is 0.
    """

    length_ms: int
    first_ms: int
    place: Ints
    move: Moves

    def __len__(self) -> int:
        return len(self.move)

    @property
    def close_ms(self) -> Ints:
        """When each bar closes."""
        return self.first_ms + self.place * self.length_ms

    @property
    def last_ms(self) -> int:
        """When the last bar closes."""
        return self.first_ms + int(self.place[-1]) * self.length_ms

    @property
    def n_moved(self) -> int:
        return int(np.count_nonzero(self.move))

    @property
    def n_places(self) -> int:
        return int(self.place[-1]) + 1

    def on_grid(self) -> Moves:
        """float32[n_places]: the move at each place; NaN where it leads across a gap, and in one."""
        if self.n_places == len(self):
            moves = self.move.copy()
            moves[0] = np.nan
            return moves
        moves = np.full(self.n_places, np.nan, np.float32)
        beside = np.flatnonzero(np.diff(self.place) == 1) + 1
        moves[self.place[beside]] = self.move[beside]
        return moves

    def at_length(self, length_ms: int, phase_ms: int) -> Mark | None:
        """The mark of longer bars that close at `phase_ms` and whole multiples from it; None where there are not two.

        A longer bar without its last shorter one is missing.
        """
        if length_ms == self.length_ms and (self.first_ms - phase_ms) % length_ms == 0:
            return self
        close_ms = self.close_ms
        last = np.flatnonzero((close_ms - phase_ms) % length_ms == 0)
        if len(last) < 2:
            return None
        level = np.cumsum(self.move, dtype=np.float64)[last]
        move = np.diff(level, prepend=level[0]).astype(np.float32)
        place = (close_ms[last] - close_ms[last[0]]) // length_ms
        return Mark(length_ms, int(close_ms[last[0]]), place, move)

    def until(self, time_ms: int) -> Mark | None:
        """The mark of the bars that close by `time_ms`; None where there are none."""
        n = int(np.searchsorted(self.close_ms, time_ms, "right"))
        return Mark(self.length_ms, self.first_ms, self.place[:n], self.move[:n]) if n else None

    def has_within(self, other: Mark) -> bool:
        """Whether every bar of `other`, at its time, is among these with the same move; of bars of one length.

        A mark that has as many bars as one may have need not have older ones.
        """
        theirs, moves = other.close_ms, other.move
        if len(self) == MOST_BARS:
            kept = theirs >= self.first_ms
            theirs, moves = theirs[kept], moves[kept]
        at = np.searchsorted(self.close_ms, theirs)
        if other.length_ms != self.length_ms or not len(at) or at[-1] >= len(self):
            return False
        if not np.array_equal(self.close_ms[at], theirs):
            return False
        level, way = (np.cumsum(each, dtype=np.float64)[at] for each in (self.move, np.abs(self.move)))
        apart = np.abs(np.diff(level) - moves[1:])
        return bool(np.all(apart <= _SAME_MOVE * np.diff(way) + _SAME_REST))


def mark_of(timestamp: Ints, close: Floats, timeframe: str) -> Mark:
    """The mark of the newest bars; `timestamp` int64[n] are the opens, UTC milliseconds, and `close` float64[n]."""
    timestamp, close = timestamp[-MOST_BARS:], close[-MOST_BARS:]
    length = timeframe_ms(timeframe)
    place = (timestamp - timestamp[0]) // length
    if np.any(np.diff(place) < 1) or place[-1] > _WIDEST * len(place) + _WIDEST:
        place = np.arange(len(place))
    level = np.log(close)
    move = np.diff(level, prepend=level[0])
    move[np.abs(move) < _LEAST_MOVE] = 0.0
    return Mark(length, int(timestamp[0]) + length, place, move.astype(np.float16).astype(np.float32))


def packed(mark: Mark) -> bytes:
    """A mark as bytes: its head, its gaps as (bar, missing bars), and its moves."""
    step = np.diff(mark.place)
    gap = np.flatnonzero(step > 1)
    head = np.array([mark.length_ms, mark.first_ms, len(gap)], np.int64)
    gaps = np.stack([gap + 1, step[gap] - 1]).astype(np.int64)
    return head.tobytes() + gaps.tobytes() + mark.move.astype(np.float16).tobytes()


def unpacked(content: bytes) -> Mark:
    """The mark that `packed` made of it."""
    length_ms, first_ms, n_gaps = np.frombuffer(content, np.int64, 3).tolist()
    gaps = np.frombuffer(content, np.int64, 2 * n_gaps, 24).reshape(2, n_gaps)
    move = np.frombuffer(content, np.float16, -1, 24 + gaps.nbytes).astype(np.float32)
    step = np.ones(len(move), np.int64)
    step[0] = 0
    step[gaps[0]] += gaps[1]
    return Mark(length_ms, first_ms, np.cumsum(step), move)
