"""Tables over one market that answer for a whole stretch of bars at once.

While an account is fully invested and long its equity is a constant times the close. So over the bars a … b - 1
    sums of returns, of their squares and of their negative squares   sums[b] - sums[a]
    maximum drawdown                                                  nodes (max, min, drawdown) of disjoint stretches
    first bar that touches a level                                    block extremes first, then bar by bar
A node is exact: the drawdown of two adjacent stretches is the worst of their own and of 1 - min(right) / max(left).
Everything is linear in T to build; a query touches one node a block of BLOCK bars.
"""

from __future__ import annotations

import numpy as np

from tunesmith.compute.kernel_arrays import Floats, Market, Tables
from tunesmith.compute.kernel_cache import inlined, kernel

BLOCK = 16
_LOG_BLOCK = 4

SUM, SUM_REST, SQUARES, SQUARES_REST, DOWNSIDE, DOWNSIDE_REST = range(6)
MAX, MIN, DRAWDOWN = range(3)
BLOCK_LOW, BLOCK_HIGH = 3, 4


def build_tables(market: Market) -> Tables:
    """Tables for bars float64[T]; about 15 floats a bar."""
    n = len(market.close)
    tables = Tables(
        sums=np.zeros((n + 1, 8)),
        head=np.empty((n, 3)),
        tail=np.empty((n, 3)),
        blocks=np.empty(((n + BLOCK - 1) // BLOCK, 5)),
    )
    build_tables_nb(market, tables)
    return tables


@kernel
def build_tables_nb(market: Market, tables: Tables) -> None:
    """Fill `tables`.

    sums float64[T + 1, 8]: prefix sums as pairs of a float and what rounding took from it, so that a calm stretch after
    a wild one keeps its digits; one cache line a row. head, tail float64[T, 3]: node from the block's first bar to this
    one, and from this one to the block's last. blocks float64[T / BLOCK, 5]: node, lowest low and highest high.
    """
    close = market.close
    n = len(close)
    sums = tables.sums
    for t in range(n):
        change = close[t] / close[t - 1] - 1.0 if t > 0 else 0.0
        square = change * change
        add_exactly_nb(sums, t, SUM, change)
        add_exactly_nb(sums, t, SQUARES, square)
        add_exactly_nb(sums, t, DOWNSIDE, square if change < 0.0 else 0.0)
    for block in range(len(tables.blocks)):
        start = block * BLOCK
        stop = min(start + BLOCK, n)
        grow_node_nb(tables.head, close, start, start, stop)
        for t in range(stop - 1, start - 1, -1):
            if t == stop - 1:
                tables.tail[t, MAX] = close[t]
                tables.tail[t, MIN] = close[t]
                tables.tail[t, DRAWDOWN] = 0.0
            else:
                tables.tail[t, MAX] = max(close[t], tables.tail[t + 1, MAX])
                tables.tail[t, MIN] = min(close[t], tables.tail[t + 1, MIN])
                tables.tail[t, DRAWDOWN] = max(tables.tail[t + 1, DRAWDOWN], 1.0 - tables.tail[t + 1, MIN] / close[t])
        lowest, highest = market.low[start], market.high[start]
        for t in range(start, stop):
            lowest = min(lowest, market.low[t])
            highest = max(highest, market.high[t])
        for column in range(3):
            tables.blocks[block, column] = tables.tail[start, column]
        tables.blocks[block, BLOCK_LOW] = lowest
        tables.blocks[block, BLOCK_HIGH] = highest


@inlined
def add_exactly_nb(sums: Floats, t: int, column: int, value: float) -> None:
    """sums[t + 1] = sums[t] + value, with the rounding error carried in the next column (Knuth's two-sum)."""
    before = sums[t, column]
    after = before + value
    part = after - before
    sums[t + 1, column] = after
    sums[t + 1, column + 1] = sums[t, column + 1] + ((before - (after - part)) + (value - part))


@inlined
def grow_node_nb(nodes: Floats, close: Floats, anchor: int, start: int, stop: int) -> None:
    """nodes[t] = node of close[anchor … t] for start <= t < stop."""
    for t in range(start, stop):
        price = close[t]
        if t == anchor:
            nodes[t, MAX] = price
            nodes[t, MIN] = price
            nodes[t, DRAWDOWN] = 0.0
        else:
            nodes[t, DRAWDOWN] = max(nodes[t - 1, DRAWDOWN], 1.0 - price / nodes[t - 1, MAX])
            nodes[t, MAX] = max(nodes[t - 1, MAX], price)
            nodes[t, MIN] = min(nodes[t - 1, MIN], price)


@inlined
def stretch_sum_nb(sums: Floats, column: int, start: int, stop: int) -> float:
    """Sum over the bars start … stop - 1 of what `column` adds up."""
    total: float = (sums[stop, column] - sums[start, column]) + (sums[stop, column + 1] - sums[start, column + 1])
    return total


@inlined
def stretch_drawdown_nb(
    close: Floats, tables: Tables, start: int, stop: int, peak: float, worst: float
) -> tuple[float, float]:
    """Peak and worst drawdown after the closes start … stop - 1, given those before; O(1 + (stop - start) / BLOCK)."""
    first = start >> _LOG_BLOCK
    last = (stop - 1) >> _LOG_BLOCK
    if first == last:
        floor = (1.0 - worst) * peak
        for t in range(start, stop):
            price = close[t]
            if price > peak:
                peak = price
                floor = (1.0 - worst) * peak
            elif price < floor:
                worst = 1.0 - price / peak
                floor = price
        return peak, worst
    peak, worst = join_node_nb(tables.tail, start, peak, worst)
    for block in range(first + 1, last):
        peak, worst = join_node_nb(tables.blocks, block, peak, worst)
    return join_node_nb(tables.head, stop - 1, peak, worst)


@inlined
def join_node_nb(nodes: Floats, row: int, peak: float, worst: float) -> tuple[float, float]:
    """Peak and worst drawdown after one more stretch."""
    worst = max(worst, nodes[row, DRAWDOWN])
    if nodes[row, MIN] < (1.0 - worst) * peak:
        worst = 1.0 - nodes[row, MIN] / peak
    return max(peak, nodes[row, MAX]), worst


@inlined
def first_touch_nb(market: Market, tables: Tables, start: int, stop: int, low: float, high: float) -> int:
    """First bar of start … stop - 1 whose low is at or below `low` or whose high is at or above `high`; else `stop`."""
    t = start
    while t < stop:
        if (t & (BLOCK - 1)) == 0:
            block = t >> _LOG_BLOCK
            if tables.blocks[block, BLOCK_LOW] > low and tables.blocks[block, BLOCK_HIGH] < high:
                t += BLOCK
                continue
        if market.low[t] <= low or market.high[t] >= high:
            return t
        t += 1
    return stop


@inlined
def first_trailing_touch_nb(
    market: Market, tables: Tables, start: int, stop: int, side: float, best: float, levels: tuple[float, ...]
) -> tuple[int, float]:
    """As `first_touch_nb` for a position of `side` with a trailing stop, and the best price before that bar.

    `levels`: fixed stop, target, trailing fraction (NaN: none), trailing distance (NaN: none). A short is looked at
    mirrored at zero, so that its levels lie as a long's do.
    """
    fixed, target, fraction, distance = side * levels[0], side * levels[1], side * levels[2], levels[3]
    has_fraction = not np.isnan(fraction)
    best = side * best
    above, below = (BLOCK_HIGH, BLOCK_LOW) if side > 0.0 else (BLOCK_LOW, BLOCK_HIGH)
    highs, lows = (market.high, market.low) if side > 0.0 else (market.low, market.high)
    t = start
    while t < stop:
        if (t & (BLOCK - 1)) == 0 and t + BLOCK <= stop:
            block = t >> _LOG_BLOCK
            block_high = side * tables.blocks[block, above]
            high = max(best, block_high)
            trail = high * (1.0 - fraction) if has_fraction else high - distance
            if side * tables.blocks[block, below] > max(fixed, trail) and block_high < target:
                best = high
                t += BLOCK
                continue
        now = max(best, side * market.open[t])
        trail = now * (1.0 - fraction) if has_fraction else now - distance
        if side * lows[t] <= max(fixed, trail) or side * highs[t] >= target:
            return t, side * best
        best = max(now, side * highs[t])
        t += 1
    return stop, side * best
