"""Reading conditions: what the signals of one bar ask for, and the next bar that asks for anything.

Conditions are bytes of 0 or 1. The next bar is looked for eight bars at a time, as 64-bit words; the same formulas hold
for a byte and for a word of eight.
    flat      one side    enter & ~exit
              both        (enter_long & ~exit_long) ^ (enter_short & ~exit_short)
    long      one side    exit_long
              both        exit_long | (enter_short & ~exit_short & ~enter_long); the last: opposing entries cancel
    short                 as long, mirrored
"""

from __future__ import annotations

import numpy as np

from tunesmith.compute.kernel_arrays import Conditions, Words
from tunesmith.compute.kernel_cache import inlined

_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
_ONES = np.uint64(0x0101010101010101)
_ZERO = np.uint64(0)
_ONE = np.uint64(1)
_TOP = np.uint64(56)


@inlined
def is_set_nb(words: Words, at: int) -> bool:
    """Whether byte `at` is 1."""
    return bool((words[at >> 3] >> np.uint64((at & 7) << 3)) & _ONE != _ZERO)


@inlined
def wanted_nb(
    conditions: Conditions, at: int, side: float, overdue: bool, trades: tuple[float, float]
) -> tuple[bool, float]:
    """Whether the signals at byte `at` close a position of `side` (0 flat), and the side they enter (0 none).

    `overdue`: max_holding asks for an exit too. `trades`: which sides may be traded, long and short, 1 or 0.
    """
    enter_long = exit_long = enter_short = exit_short = False
    if trades[0] != 0.0:
        exit_long = is_set_nb(conditions.exit_long, at) or (overdue and side > 0.0)
        enter_long = is_set_nb(conditions.enter_long, at) and not exit_long
    if trades[1] != 0.0:
        exit_short = is_set_nb(conditions.exit_short, at) or (overdue and side < 0.0)
        enter_short = is_set_nb(conditions.enter_short, at) and not exit_short
    if enter_long and enter_short:
        enter_long = enter_short = False
    entry = 1.0 if enter_long else -1.0 if enter_short else 0.0
    if side > 0.0:
        return exit_long or enter_short, entry
    if side < 0.0:
        return exit_short or enter_long, entry
    return False, entry


@inlined
def next_signal_nb(
    conditions: Conditions, i: int, n_bars: int, start: int, side: float, trades: tuple[float, float]
) -> int:
    """First bar from `start` on whose signals ask point `i` of `side` for an order; `n_bars` when there is none."""
    if trades[0] == 0.0 and trades[1] == 0.0:
        return n_bars
    first = i * n_bars + start
    stop = i * n_bars + n_bars
    if trades[0] != 0.0 and trades[1] != 0.0:
        if side == 0.0:
            found = scan_both_entries_nb(conditions, first, stop)
        elif side > 0.0:
            found = scan_both_exits_nb(
                conditions.exit_long, conditions.enter_long, conditions.exit_short, conditions.enter_short, first, stop
            )
        else:
            found = scan_both_exits_nb(
                conditions.exit_short, conditions.enter_short, conditions.exit_long, conditions.enter_long, first, stop
            )
    elif side == 0.0:
        if trades[0] != 0.0:
            found = scan_entries_nb(conditions.enter_long, conditions.exit_long, first, stop)
        else:
            found = scan_entries_nb(conditions.enter_short, conditions.exit_short, first, stop)
    else:
        found = scan_nb(conditions.exit_long if side > 0.0 else conditions.exit_short, first, stop)
    return found - i * n_bars


@inlined
def scan_nb(words: Words, first: int, stop: int) -> int:
    """First byte of first … stop - 1 that is not zero; else `stop`."""
    w = first >> 3
    end = (stop + 7) >> 3
    if w >= end:
        return stop
    found = words[w] & _bytes_from_nb(first)
    while found == _ZERO:
        w += 1
        while w + 4 <= end and (words[w] | words[w + 1] | words[w + 2] | words[w + 3]) == _ZERO:
            w += 4
        if w >= end:
            return stop
        found = words[w]
    return min((w << 3) + _lowest_byte_nb(found), stop)


@inlined
def scan_entries_nb(enter: Words, leave: Words, first: int, stop: int) -> int:
    """First byte of first … stop - 1 where `enter` is set and `leave` is not; else `stop`."""
    at = scan_nb(enter, first, stop)
    while at < stop and is_set_nb(leave, at):
        at = scan_nb(enter, at + 1, stop)
    return at


@inlined
def scan_both_entries_nb(conditions: Conditions, first: int, stop: int) -> int:
    """First byte of first … stop - 1 that asks a flat account to enter one side; else `stop`."""
    end = (stop + 7) >> 3
    mask = _bytes_from_nb(first)
    for w in range(first >> 3, end):
        long = conditions.enter_long[w] & ~conditions.exit_long[w]
        short = conditions.enter_short[w] & ~conditions.exit_short[w]
        found = (long ^ short) & mask
        if found != _ZERO:
            return min((w << 3) + _lowest_byte_nb(found), stop)
        mask = _ALL
    return stop


@inlined
def scan_both_exits_nb(own: Words, again: Words, other: Words, reverse: Words, first: int, stop: int) -> int:
    """First byte of first … stop - 1 that closes a position; else `stop`.

    `own` and `again`: exit and entry of the side that is held; `other` and `reverse`: those of the other side.
    """
    end = (stop + 7) >> 3
    mask = _bytes_from_nb(first)
    for w in range(first >> 3, end):
        found = (own[w] | (reverse[w] & ~other[w] & ~again[w])) & mask
        if found != _ZERO:
            return min((w << 3) + _lowest_byte_nb(found), stop)
        mask = _ALL
    return stop


@inlined
def _bytes_from_nb(first: int) -> np.uint64:
    """Mask of the bytes from position `first` of its word on."""
    return _ALL << np.uint64((first & 7) << 3)


@inlined
def _lowest_byte_nb(word: np.uint64) -> int:
    """Position of the lowest byte that is 1, in a word of bytes 0 and 1: the bytes below it, counted."""
    lowest = word & (~word + _ONE)
    return int((((lowest - _ONE) & _ONES) * _ONES) >> _TOP)
