"""Where the trades of a long account begin and end, when signals, time and fixed levels alone decide it.

None of these waits for the account, so that trades are found first and accounted for afterwards (see `long_path`): a
processor does much of both at once.
"""

from __future__ import annotations

import numpy as np

from tunesmith.compute.kernels.compiling import inlined
from tunesmith.compute.kernels.mask_comparisons import at_most_nb, lowest_bit_nb
from tunesmith.compute.kernels.masks import BITS
from tunesmith.compute.simulation.arrays import Block, Market, Sides, Tables, Terms, Trades
from tunesmith.compute.simulation.signal_reading import next_signal_nb
from tunesmith.domain.array_types import Ints, Words

_ZERO, _ONE, _ONES = np.uint64(0), np.uint64(1), np.uint64(2**64 - 1)
_LAST = np.uint64(63)
_LONG_ALONE = Sides(1.0, 0.0)


@inlined
def held_mask_nb(enter: np.uint64, leave: np.uint64, before: np.uint64) -> np.uint64:
    """Bars of 64 after whose signals a position is wanted; `before`: all ones where one was wanted before the first.

    From each entry the addition carries through the bars that do not leave, to the one before the next exit (the
    MatchStar of Cameron et al., Bitwise Data Parallelism in Regular Expression Matching, 2014).
    """
    stay = ~leave >> _ONE
    entered = enter & ~leave
    held = (((entered & stay) + stay) ^ stay) | entered
    return held | (before & ~leave & (leave - _ONE))


@inlined
def find_signalled_nb(enter: Words, leave: Words, start: int, lag: int, n_bars: int, times: Ints) -> int:
    """Fill `times` from signals alone; the number of trades. Exits win over entries of the same bar."""
    events = 0
    before = _ZERO
    skipped = _ONES << np.uint64(start & 63)
    for word in range(start >> 6, len(enter)):
        held = held_mask_nb(enter[word] & skipped, leave[word], before)
        changes = held ^ (held << _ONE | before >> _LAST)
        before = _ZERO if held >> _LAST == _ZERO else _ONES
        skipped = _ONES
        bar = BITS * word + lag
        while changes != _ZERO:
            times[events >> 1, events & 1] = bar + lowest_bit_nb(changes)
            changes &= changes - _ONE
            events += 1
    times[events >> 1, events & 1] = n_bars
    n_trades = (events + 1) >> 1
    if n_trades > 0 and times[n_trades - 1, 0] >= n_bars:
        return n_trades - 1
    return n_trades


@inlined
def bits_from_nb(masks: Words, bar: int) -> np.uint64:
    """The 64 bits from `bar` on; zeros after the last word."""
    word, shift = bar >> 6, np.uint64(bar & 63)
    bits: np.uint64 = masks[word] >> shift
    if word + 1 < len(masks):
        bits |= masks[word + 1] << _ONE << (_LAST - shift)
    return bits


@inlined
def first_exit_nb(
    tables: Tables, leave: Words, start: int, latest: int, stop: float, target: float
) -> tuple[int, bool]:
    """First bar from `start` on that touches a level or whose signals leave, `latest` at last, and whether it touches.

    Whether orders are filled at the close or at the next open: a bar whose signals leave is checked against the levels
    before its order is filled, and the bar after it is not.
    """
    last = min(latest, len(tables.lows) - BITS - 1)
    bar = start
    while bar <= last:
        touched = at_most_nb(tables.lows, bar, stop, 0) | at_most_nb(target, 0, tables.highs, bar)
        either = touched | bits_from_nb(leave, bar)
        if either != _ZERO:
            bit = lowest_bit_nb(either)
            if bar + bit > last:
                break
            return bar + bit, touched >> np.uint64(bit) & _ONE != _ZERO
        bar += BITS
    return latest, False


@inlined
def find_guarded_nb(
    market: Market, tables: Tables, block: Block, terms: Terms, i: int, trades: Trades
) -> tuple[int, float]:
    """Fill `trades`, times and sales, of point `i` from signals, holding time, stop and target.

    The number of trades, and of bars that touched stop and target both.
    """
    times, sales = trades.times, trades.sales
    limits, prices = block.limits, block.prices
    n_bars = len(market.close)
    at_open = terms.at_open != 0.0
    lag = 1 if at_open else 0
    fills = market.open if at_open else market.close
    longest = limits.max_holding[i]
    leave = block.conditions.exit_long[i]
    n_trades, n_ambiguous = 0, 0.0
    bar = int(terms.start)
    while True:
        signal = next_signal_nb(block.conditions, i, n_bars, bar, 0.0, _LONG_ALONE)
        entry = signal + lag
        if entry >= n_bars:
            return n_trades, n_ambiguous
        latest = n_bars - lag
        if longest > 0.0:
            latest = min(latest, signal + int(min(longest, float(n_bars))))
        paid = fills[entry] * (1.0 + terms.slippage_rate)
        stop = paid * (1.0 - limits.stop_loss[i])
        if prices.stop_loss.shape[0] > 0:
            stop = prices.stop_loss[i, signal]
        target = paid * (1.0 + limits.take_profit[i])
        if prices.take_profit.shape[0] > 0:
            target = prices.take_profit[i, signal]
        stop = -np.inf if np.isnan(stop) else stop
        target = np.inf if np.isnan(target) else target
        bar, touches = first_exit_nb(tables, leave, signal + 1, latest, stop, target)
        leaving = bar if touches else bar + lag
        sale = fills[min(leaving, n_bars - 1)]
        if touches:
            opened = market.open[bar]
            if opened <= stop or opened >= target:
                sale = opened
            elif market.low[bar] <= stop:
                sale = stop
                n_ambiguous += 1.0 if market.high[bar] >= target else 0.0
            else:
                sale = target
        else:
            bar += 1
        times[n_trades, 0] = entry
        times[n_trades, 1] = leaving
        sales[n_trades] = sale
        n_trades += 1
