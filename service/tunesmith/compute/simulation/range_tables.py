"""Tables over one market that answer for a whole stretch of bars at once.

While an account is fully invested and long its equity is a constant times the close. So over the bars a … b - 1
    sums of returns, of their squares and of their negative squares   sums[b] - sums[a]
    maximum drawdown                                                  nodes (max, min, drawdown) of disjoint stretches
    first bar that touches a level                                    block extremes first, then bar by bar
A node is exact: the drawdown of two adjacent stretches is the worst of their own and of 1 - min(right) / max(left).
A stretch's own drawdown is looked for only where its extremes, which two overlapping covers of blocks tell, allow one
that is worse than all before.
A block is BLOCK bars, a page BLOCK blocks. All tables are linear in T, about 28 floats a bar; a query touches a few
nodes, and one for each page that it spans.
"""

from __future__ import annotations

import numpy as np

from tunesmith.compute.kernels.compiling import inlined, kernel
from tunesmith.compute.kernels.masks import BITS
from tunesmith.compute.simulation.arrays import Market, Tables, TrailingLevels
from tunesmith.domain.array_types import Floats

BLOCK = 16
_LOG_BLOCK = 4

SUM, SUM_REST, SQUARES, SQUARES_REST, DOWNSIDE, DOWNSIDE_REST = range(6)
MAX, MIN, DRAWDOWN = range(3)
LOW, HIGH = range(2)

_LEVELS = 7
_COVERED = 2 ** (_LEVELS - 1)
_LOG2 = np.array([0] + [n.bit_length() - 1 for n in range(1, _COVERED + 1)], np.int64)


def build_tables(market: Market) -> Tables:
    """Tables for a market of T bars."""
    n = len(market.close)
    n_blocks = (n + BLOCK - 1) // BLOCK
    n_pages = (n_blocks + BLOCK - 1) // BLOCK
    tables = Tables(
        sums=np.zeros((n + 1, 8)),
        head=np.empty((n, 3)),
        tail=np.empty((n, 3)),
        ranges=np.empty((n_blocks, 2)),
        blocks=np.empty((n_blocks, 3)),
        block_head=np.empty((n_blocks, 3)),
        block_tail=np.empty((n_blocks, 3)),
        pages=np.empty((n_pages, 3)),
        covers=np.empty((_LEVELS, 2 * n_blocks)),
        lows=np.concatenate([market.low, np.full(BITS, np.nan)]),
        highs=np.concatenate([market.high, np.full(BITS, np.nan)]),
        changes=np.empty(n),
    )
    build_tables_nb(market, tables)
    return tables


@kernel
def build_tables_nb(market: Market, tables: Tables) -> None:
    """Fill `tables`; their shapes stand in `simulation.arrays.Tables`."""
    close = market.close
    n = len(close)
    n_blocks = len(tables.blocks)
    for t in range(n):
        change = close[t] / close[t - 1] - 1.0 if t > 0 else 0.0
        tables.changes[t] = change
        square = change * change
        add_exactly_nb(tables.sums, t, SUM, change)
        add_exactly_nb(tables.sums, t, SQUARES, square)
        add_exactly_nb(tables.sums, t, DOWNSIDE, square if change < 0.0 else 0.0)
    # Each bar is a node of itself; heads and tails grow from it.
    for t in range(n):
        tables.head[t, MAX] = tables.head[t, MIN] = close[t]
        tables.head[t, DRAWDOWN] = 0.0
    grow_nodes_nb(tables.head, tables.head, tables.tail, tables.blocks)
    grow_nodes_nb(tables.blocks, tables.block_head, tables.block_tail, tables.pages)
    for block in range(n_blocks):
        start, stop = block * BLOCK, min(block * BLOCK + BLOCK, n)
        lowest, highest = market.low[start], market.high[start]
        for t in range(start, stop):
            lowest = min(lowest, market.low[t])
            highest = max(highest, market.high[t])
        tables.ranges[block, LOW] = lowest
        tables.ranges[block, HIGH] = highest
        tables.covers[0, 2 * block + MAX] = tables.blocks[block, MAX]
        tables.covers[0, 2 * block + MIN] = tables.blocks[block, MIN]
    for level in range(1, _LEVELS):
        half = 2 ** (level - 1)
        for block in range(n_blocks):
            other = min(block + half, n_blocks - 1)
            below = tables.covers[level - 1]
            tables.covers[level, 2 * block + MAX] = max(below[2 * block + MAX], below[2 * other + MAX])
            tables.covers[level, 2 * block + MIN] = min(below[2 * block + MIN], below[2 * other + MIN])


@inlined
def add_exactly_nb(sums: Floats, t: int, column: int, value: float) -> None:
    """sums[t + 1] = sums[t] + value, with the rounding error carried in the next column (Knuth's two-sum)."""
    before = sums[t, column]
    after = before + value
    part = after - before
    sums[t + 1, column] = after
    sums[t + 1, column + 1] = sums[t, column + 1] + ((before - (after - part)) + (value - part))


@inlined
def grow_nodes_nb(nodes: Floats, head: Floats, tail: Floats, groups: Floats) -> None:
    """For each group of BLOCK nodes: head[i] from its first to i, tail[i] from i to its last, and the group's own.

    `head` may be `nodes` itself.
    """
    for group in range(len(groups)):
        start, stop = group * BLOCK, min(group * BLOCK + BLOCK, len(nodes))
        for i in range(stop - 1, start - 1, -1):
            high, low, worst = nodes[i, MAX], nodes[i, MIN], nodes[i, DRAWDOWN]
            if i < stop - 1:
                worst = max(max(worst, tail[i + 1, DRAWDOWN]), 1.0 - tail[i + 1, MIN] / high)
                high, low = max(high, tail[i + 1, MAX]), min(low, tail[i + 1, MIN])
            tail[i, MAX], tail[i, MIN], tail[i, DRAWDOWN] = high, low, worst
        high, low, worst = nodes[start, MAX], nodes[start, MIN], nodes[start, DRAWDOWN]
        for i in range(start, stop):
            if i > start:  # a node's own low may come before its high
                worst = max(max(worst, nodes[i, DRAWDOWN]), 1.0 - nodes[i, MIN] / high)
                high, low = max(high, nodes[i, MAX]), min(low, nodes[i, MIN])
            head[i, MAX], head[i, MIN], head[i, DRAWDOWN] = high, low, worst
        groups[group, MAX], groups[group, MIN], groups[group, DRAWDOWN] = high, low, worst


@inlined
def stretch_sum_nb(sums: Floats, column: int, start: int, stop: int) -> float:
    """Sum over the bars start … stop - 1 of what `column` adds up."""
    total: float = (sums[stop, column] - sums[start, column]) + (sums[stop, column + 1] - sums[start, column + 1])
    return total


@inlined
def stretch_extremes_nb(close: Floats, tables: Tables, start: int, stop: int) -> tuple[float, float]:
    """Highest and lowest of the closes start … stop - 1, of which there is one at least."""
    first = start >> _LOG_BLOCK
    last = (stop - 1) >> _LOG_BLOCK
    if first == last:
        high = low = close[start]
        for t in range(start + 1, stop):
            high, low = max(high, close[t]), min(low, close[t])
        return high, low
    high = max(tables.tail[start, MAX], tables.head[stop - 1, MAX])
    low = min(tables.tail[start, MIN], tables.head[stop - 1, MIN])
    n_between = last - first - 1
    if n_between > 0:
        level = _LOG2[min(n_between, _COVERED)]
        covers, step = tables.covers[level], 1 << level
        at = last - step
        high, low = max(high, covers[2 * at + MAX]), min(low, covers[2 * at + MIN])
        # Two covers that overlap are enough but for the longest stretches.
        for at in range(first + 1, last - step, step):
            high, low = max(high, covers[2 * at + MAX]), min(low, covers[2 * at + MIN])
    return high, low


@inlined
def stretch_drawdown_nb(
    close: Floats, tables: Tables, start: int, stop: int, peak: float, worst: float
) -> tuple[float, float]:
    """Peak and worst drawdown after the closes start … stop - 1, given those before."""
    high, low = stretch_extremes_nb(close, tables, start, stop)
    worst = max(worst, 1.0 - low / peak)
    # A fall within the stretch counts only where it is deeper than all before, which is seldom.
    if low < (1.0 - worst) * high:
        worst = max(worst, own_drawdown_nb(close, tables, start, stop))
    return max(peak, high), worst


@inlined
def own_drawdown_nb(close: Floats, tables: Tables, start: int, stop: int) -> float:
    """Maximum drawdown of the closes start … stop - 1 by themselves."""
    first = start >> _LOG_BLOCK
    last = (stop - 1) >> _LOG_BLOCK
    peak, worst = close[start], 0.0
    if first == last:
        for t in range(start, stop):
            peak = max(peak, close[t])
            worst = max(worst, 1.0 - close[t] / peak)
        return worst
    peak, worst = join_node_nb(tables.tail, start, peak, worst)
    first_page = (first + 1) >> _LOG_BLOCK
    last_page = (last - 1) >> _LOG_BLOCK
    if last - first > 1:
        if first_page == last_page:
            for block in range(first + 1, last):
                peak, worst = join_node_nb(tables.blocks, block, peak, worst)
        else:
            peak, worst = join_node_nb(tables.block_tail, first + 1, peak, worst)
            for page in range(first_page + 1, last_page):
                peak, worst = join_node_nb(tables.pages, page, peak, worst)
            peak, worst = join_node_nb(tables.block_head, last - 1, peak, worst)
    return join_node_nb(tables.head, stop - 1, peak, worst)[1]


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
            if tables.ranges[block, LOW] > low and tables.ranges[block, HIGH] < high:
                t += BLOCK
                continue
        if market.low[t] <= low or market.high[t] >= high:
            return t
        t += 1
    return stop


@inlined
def first_trailing_touch_nb(
    market: Market, tables: Tables, start: int, stop: int, side: float, best: float, levels: TrailingLevels
) -> tuple[int, float]:
    """As `first_touch_nb` for a position of `side` with a trailing stop, and the best price before that bar.

    A short is looked at mirrored at zero, so that its levels lie as a long's do.
    """
    fixed, target, fraction, distance = (
        side * levels.stop,
        side * levels.target,
        side * levels.fraction,
        levels.distance,
    )
    has_fraction = not np.isnan(fraction)
    best = side * best
    above, below = (HIGH, LOW) if side > 0.0 else (LOW, HIGH)
    highs, lows = (market.high, market.low) if side > 0.0 else (market.low, market.high)
    t = start
    while t < stop:
        if (t & (BLOCK - 1)) == 0 and t + BLOCK <= stop:
            block = t >> _LOG_BLOCK
            block_high = side * tables.ranges[block, above]
            high = max(best, block_high)
            trail = high * (1.0 - fraction) if has_fraction else high - distance
            if side * tables.ranges[block, below] > max(fixed, trail) and block_high < target:
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
