"""Reading conditions: what the signals of one bar ask for, and the next bar that asks for anything.

Conditions are masks of 64 bars (see `masks`), and what is asked is a formula of masks.
    flat      (enter_long & ~exit_long) ^ (enter_short & ~exit_short)
    long      exit_long | (enter_short & ~exit_short & ~(enter_long & ~exit_long)): opposing entries cancel
    short     as long, mirrored
A side that is not traded asks for nothing.
"""

from __future__ import annotations

import numpy as np

from tunesmith.compute.kernels.compiling import inlined
from tunesmith.compute.kernels.mask_comparisons import lowest_bit_nb
from tunesmith.compute.simulation.arrays import Conditions, Sides

_ZERO, _ONE, _ONES = np.uint64(0), np.uint64(1), np.uint64(2**64 - 1)
_LOG_BITS, _LAST = 6, 63


@inlined
def wanted_nb(conditions: Conditions, i: int, bar: int, side: float, overdue: bool, sides: Sides) -> tuple[bool, float]:
    """Whether the signals of a bar close a position of `side` (0 flat) of point `i`, and the side they enter (0 none).

    `overdue`: max_holding asks for an exit too.
    """
    word, bit = bar >> _LOG_BITS, _ONE << np.uint64(bar & _LAST)
    enter_long = exit_long = enter_short = exit_short = False
    if sides.long != 0.0:
        exit_long = conditions.exit_long[i, word] & bit != _ZERO or (overdue and side > 0.0)
        enter_long = conditions.enter_long[i, word] & bit != _ZERO and not exit_long
    if sides.short != 0.0:
        exit_short = conditions.exit_short[i, word] & bit != _ZERO or (overdue and side < 0.0)
        enter_short = conditions.enter_short[i, word] & bit != _ZERO and not exit_short
    if enter_long and enter_short:
        enter_long = enter_short = False
    entry = 1.0 if enter_long else -1.0 if enter_short else 0.0
    if side > 0.0:
        return exit_long or enter_short, entry
    if side < 0.0:
        return exit_short or enter_long, entry
    return False, entry


@inlined
def wanted_mask_nb(conditions: Conditions, i: int, word: int, side: float, sides: Sides) -> np.uint64:
    """Which of 64 bars ask point `i` for an order while it holds `side` (0 flat)."""
    enter_long = exit_long = enter_short = exit_short = _ZERO
    if sides.long != 0.0:
        exit_long = conditions.exit_long[i, word]
        enter_long = conditions.enter_long[i, word] & ~exit_long
    if sides.short != 0.0:
        exit_short = conditions.exit_short[i, word]
        enter_short = conditions.enter_short[i, word] & ~exit_short
    if side > 0.0:
        return exit_long | (enter_short & ~enter_long)
    if side < 0.0:
        return exit_short | (enter_long & ~enter_short)
    return enter_long ^ enter_short


@inlined
def next_signal_nb(conditions: Conditions, i: int, n_bars: int, start: int, side: float, sides: Sides) -> int:
    """First bar from `start` on whose signals ask point `i` of `side` for an order; `n_bars` when there is none."""
    if start >= n_bars:
        return n_bars
    word, last = start >> _LOG_BITS, (n_bars - 1) >> _LOG_BITS
    found = wanted_mask_nb(conditions, i, word, side, sides) & (_ONES << np.uint64(start & _LAST))
    while found == _ZERO and word < last:
        word += 1
        found = wanted_mask_nb(conditions, i, word, side, sides)
    return min((word << _LOG_BITS) + int(lowest_bit_nb(found)), n_bars)
