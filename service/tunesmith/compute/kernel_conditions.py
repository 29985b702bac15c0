"""Reading conditions: what the signals of one bar ask for, and the next bar that asks for anything.

Conditions are bytes of 0 or 1, every bar of every point in turn. The next bar is looked for 64 bars at a time: a vector
of 64 bytes becomes a mask of 64 bits, and the formulas below are formulas of masks.
    flat      one side    enter & ~exit
              both        (enter_long & ~exit_long) ^ (enter_short & ~exit_short)
    long      one side    exit_long
              both        exit_long | (enter_short & ~exit_short & ~enter_long); the last: opposing entries cancel
    short                 as long, mirrored
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.extending import intrinsic

from tunesmith.compute.kernel_arrays import Bytes, Conditions
from tunesmith.compute.kernel_cache import inlined

_ZERO = np.uint64(0)
_STRIDE = 64


@intrinsic  # type: ignore[untyped-decorator]
def mask_nb(typing: Any, condition: Any, at: Any) -> Any:
    """Which of the bytes `at` … `at` + 63 of uint8[n] are not zero, as the bits of a uint64; reads all 64."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        vector = ir.VectorType(ir.IntType(8), _STRIDE)
        place = builder.bitcast(builder.gep(array.data, [arguments[1]]), vector.as_pointer())
        loaded = builder.load(place)
        loaded.align = 1
        is_set = builder.icmp_unsigned("!=", loaded, ir.Constant(vector, [0] * _STRIDE))
        return builder.bitcast(is_set, ir.IntType(_STRIDE))

    return types.uint64(condition, types.int64), generate


@intrinsic  # type: ignore[untyped-decorator]
def lowest_bit_nb(typing: Any, mask: Any) -> Any:
    """Position of the lowest bit of a uint64 that is set; the mask must not be zero."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.uint64), generate


@inlined
def wanted_nb(
    conditions: Conditions, at: int, side: float, overdue: bool, trades: tuple[float, float]
) -> tuple[bool, float]:
    """Whether the signals at byte `at` close a position of `side` (0 flat), and the side they enter (0 none).

    `overdue`: max_holding asks for an exit too. `trades`: which sides may be traded, long and short, 1 or 0.
    """
    enter_long = exit_long = enter_short = exit_short = False
    if trades[0] != 0.0:
        exit_long = conditions.exit_long[at] != 0 or (overdue and side > 0.0)
        enter_long = conditions.enter_long[at] != 0 and not exit_long
    if trades[1] != 0.0:
        exit_short = conditions.exit_short[at] != 0 or (overdue and side < 0.0)
        enter_short = conditions.enter_short[at] != 0 and not exit_short
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
def scan_nb(condition: Bytes, first: int, stop: int) -> int:
    """First byte of first … stop - 1 that is set; else `stop`."""
    at = first
    while at < stop and at + _STRIDE <= len(condition):
        found = mask_nb(condition, at)
        if found != _ZERO:
            return min(at + int(lowest_bit_nb(found)), stop)
        at += _STRIDE
    while at < stop and condition[at] == 0:
        at += 1
    return min(at, stop)


@inlined
def scan_entries_nb(enter: Bytes, leave: Bytes, first: int, stop: int) -> int:
    """First byte of first … stop - 1 where `enter` is set and `leave` is not; else `stop`."""
    at = first
    while at < stop and at + _STRIDE <= len(enter):
        found = mask_nb(enter, at) & ~mask_nb(leave, at)
        if found != _ZERO:
            return min(at + int(lowest_bit_nb(found)), stop)
        at += _STRIDE
    while at < stop and (enter[at] == 0 or leave[at] != 0):
        at += 1
    return min(at, stop)


@inlined
def scan_both_entries_nb(conditions: Conditions, first: int, stop: int) -> int:
    """First byte of first … stop - 1 that asks a flat account to enter one side; else `stop`."""
    at = first
    while at < stop and at + _STRIDE <= len(conditions.enter_long):
        long = mask_nb(conditions.enter_long, at) & ~mask_nb(conditions.exit_long, at)
        short = mask_nb(conditions.enter_short, at) & ~mask_nb(conditions.exit_short, at)
        if long ^ short != _ZERO:
            return min(at + int(lowest_bit_nb(long ^ short)), stop)
        at += _STRIDE
    while at < stop:
        goes_long = conditions.enter_long[at] != 0 and conditions.exit_long[at] == 0
        goes_short = conditions.enter_short[at] != 0 and conditions.exit_short[at] == 0
        if goes_long != goes_short:
            break
        at += 1
    return min(at, stop)


@inlined
def scan_both_exits_nb(own: Bytes, again: Bytes, other: Bytes, reverse: Bytes, first: int, stop: int) -> int:
    """First byte of first … stop - 1 that closes a position; else `stop`.

    `own` and `again`: exit and entry of the side that is held; `other` and `reverse`: those of the other side.
    """
    at = first
    while at < stop and at + _STRIDE <= len(own):
        found = mask_nb(own, at) | (mask_nb(reverse, at) & ~mask_nb(other, at) & ~mask_nb(again, at))
        if found != _ZERO:
            return min(at + int(lowest_bit_nb(found)), stop)
        at += _STRIDE
    while at < stop and own[at] == 0 and (reverse[at] == 0 or other[at] != 0 or again[at] != 0):
        at += 1
    return min(at, stop)
