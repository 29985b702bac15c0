"""What one account's path says beyond its totals: every bar's equity, every closed trade → the path metrics.

One pass over the bars for what runs along them, one over their returns for the moments, and a selection for the
percentiles; then one over the orders. Formulas stand in `domain.metrics`, and tests/reference/metrics.py is the slow
way to the same numbers. What is undefined comes out as NaN.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tunesmith.compute.kernels.compiling import inlined, kernel
from tunesmith.compute.simulation.arrays import ORDER_BAR, ORDER_FEE, ORDER_PRICE, ORDER_SIDE, ORDER_SIZE
from tunesmith.domain.array_types import Floats

(
    OMEGA,
    TAIL_RATIO,
    ULCER_INDEX,
    LONGEST_DRAWDOWN,
    SKEW,
    KURTOSIS,
    TIMING_SHARPE,
    SQN,
    AVERAGE_TRADE,
    MEDIAN_TRADE,
    BEST_TRADE,
    WORST_TRADE,
    AVERAGE_HOLDING,
    BUY_AND_HOLD,
) = range(14)
N_PATH = 14
"""Columns of a row of path metrics, in the order of `domain.metrics.PATH_METRICS`."""

ROUNDING = 1e-12
"""Deviations a bar and drawdowns up to this are rounding, and zero."""
RELATIVE_ROUNDING = 1e-7
"""Deviations up to this share of the root mean square are rounding, and zero."""
SAMPLE = 128
"""Returns that a percentile is guessed from."""
DUST = 1e-9
"""A position up to this share of what was traded since it was flat is none."""


class PathMarket(NamedTuple):
    """Closes and returns of the market, float64[n] each, its first return being 0."""

    closes: Floats
    changes: Floats


class PathTerms(NamedTuple):
    """Initial cash, and bars a year."""

    initial_cash: float
    bars_per_year: float


class PathScratch(NamedTuple):
    """Working space: float64[n] for returns, as much to select from, and one value for each order."""

    returns: Floats
    selected: Floats
    trade_returns: Floats


class Means(NamedTuple):
    """Means over all bars: of the return, and of the net exposure."""

    returns: float
    exposure: float


@kernel
def path_nb(
    marks: Floats,
    market_: tuple[Floats, Floats],
    orders: Floats,
    n_orders: int,
    terms_: tuple[float, float],
    scratch_: tuple[Floats, Floats, Floats],
    values: Floats,
) -> None:
    """Fill `values` float64[N_PATH] from one point's path of n bars.

    `marks` float64[2, n] and `orders` float64[≥ n_orders, N_ORDER_FIELDS] as in `Results`; `market_`, `terms_` and
    `scratch_` are the fields of `PathMarket`, `PathTerms` and `PathScratch`.
    """
    market, terms, scratch = PathMarket(*market_), PathTerms(*terms_), PathScratch(*scratch_)
    closes, returns, trade_returns = market.closes, scratch.returns, scratch.trade_returns
    values[:] = np.nan
    n = len(closes)
    values[BUY_AND_HOLD] = closes[n - 1] / closes[0] - 1.0
    means = run_along_nb(marks, closes, terms.initial_cash, returns, values)
    if n > 1:
        take_moments_nb(returns, market.changes, means, terms.bars_per_year, values)
    n_trades = take_trades_nb(orders, n_orders, terms.initial_cash, trade_returns, values)
    if n_trades > 0:
        middle = n_trades // 2
        upper = select_nb(trade_returns, n_trades, middle)
        lower = upper
        if n_trades % 2 == 0:
            lower = trade_returns[0]
            for j in range(1, middle):
                lower = max(lower, trade_returns[j])
        values[MEDIAN_TRADE] = 0.5 * (lower + upper)
    low = low_percentile_nb(returns, 1.0, 0.05, scratch.selected)
    high = low_percentile_nb(returns, -1.0, 0.05, scratch.selected)
    if abs(low) > ROUNDING:
        values[TAIL_RATIO] = abs(high) / abs(low)


@inlined
def run_along_nb(marks: Floats, closes: Floats, initial_cash: float, returns: Floats, values: Floats) -> Means:
    """Returns, drawdowns and exposure bar by bar; the means of the returns and of the net exposure."""
    n = len(closes)
    before = peak = initial_cash
    total = gains = losses = squares = exposure = 0.0
    run = longest = 0
    for t in range(n):
        equity = marks[0, t]
        change = equity / before - 1.0 if before > 0.0 else 0.0
        returns[t] = change
        total += change
        gains += max(change, 0.0)
        losses -= min(change, 0.0)
        peak = max(peak, equity)
        drawdown = 1.0 - equity / peak
        squares += drawdown * drawdown
        run = run + 1 if drawdown > ROUNDING else 0
        longest = max(longest, run)
        if equity > 0.0:
            exposure += marks[1, t] * closes[t] / equity
        before = equity
    values[ULCER_INDEX] = np.sqrt(squares / n)
    values[LONGEST_DRAWDOWN] = longest
    if losses > ROUNDING * n:
        values[OMEGA] = gains / losses
    return Means(total / n, exposure / n)


@inlined
def take_moments_nb(returns: Floats, changes: Floats, means: Means, bars_per_year: float, values: Floats) -> None:
    """Skew, kurtosis and the Sharpe ratio of the timing returns."""
    mean, exposure = means.returns, means.exposure
    n = len(returns)
    market_mean = 0.0
    for t in range(n):
        market_mean += changes[t]
    market_mean /= n
    second = third = fourth = timing_second = 0.0
    for t in range(n):
        deviation = returns[t] - mean
        square = deviation * deviation
        second += square
        third += square * deviation
        fourth += square * square
        timing = deviation - exposure * (changes[t] - market_mean)
        timing_second += timing * timing
    second /= n
    if np.sqrt(second) > max(ROUNDING, RELATIVE_ROUNDING * abs(mean)):
        values[SKEW] = third / n / second**1.5
        values[KURTOSIS] = fourth / n / (second * second)
    timing_mean = mean - exposure * market_mean
    deviation = np.sqrt(timing_second / (n - 1))
    if deviation > max(ROUNDING, RELATIVE_ROUNDING * abs(timing_mean)):
        values[TIMING_SHARPE] = timing_mean / deviation * np.sqrt(bars_per_year)


@inlined
def take_trades_nb(orders: Floats, n_orders: int, initial_cash: float, trade_returns: Floats, values: Floats) -> int:
    """Put the closed positions' returns in order of closing; how many. What needs no order among them is filled in."""
    n = first = 0
    size = traded = cash = spent = 0.0
    mean = squares = total = bars = 0.0
    best, worst = -np.inf, np.inf
    for row in range(n_orders):
        side, amount, price = orders[row, ORDER_SIDE], orders[row, ORDER_SIZE], orders[row, ORDER_PRICE]
        if traded == 0.0:
            first = row
        size += side * amount
        traded += amount
        cash -= side * amount * price + orders[row, ORDER_FEE]
        if side == orders[first, ORDER_SIDE]:
            spent += amount * price
        if abs(size) <= DUST * traded:
            gain = cash / spent
            trade_returns[n] = gain
            n += 1
            total += gain
            best, worst = max(best, gain), min(worst, gain)
            bars += orders[row, ORDER_BAR] - orders[first, ORDER_BAR]
            deviation = cash - mean
            mean += deviation / n
            squares += deviation * (cash - mean)
            size = traded = cash = spent = 0.0
    if n == 0:
        return 0
    values[AVERAGE_TRADE] = total / n
    values[BEST_TRADE] = best
    values[WORST_TRADE] = worst
    values[AVERAGE_HOLDING] = bars / n
    if n > 1:
        deviation = np.sqrt(squares / (n - 1))
        if deviation > max(ROUNDING * initial_cash, RELATIVE_ROUNDING * abs(mean)):
            values[SQN] = np.sqrt(float(n)) * mean / deviation
    return n


@inlined
def low_percentile_nb(numbers: Floats, sign: float, share: float, scratch: Floats) -> float:
    """The percentile of sign * `numbers` float64[n ≥ 1], for a `share` below a half, linear between neighbours.

    `scratch` float64[n]. A sample says what lies beyond the percentile; only what lies before that is selected from.
    """
    n = len(numbers)
    place = share * (n - 1)
    k = int(place)
    bound = np.inf
    if n > 4 * SAMPLE:
        step = n // SAMPLE
        for j in range(SAMPLE):
            scratch[j] = sign * numbers[j * step]
        beyond = int(share * SAMPLE + 3.0 * np.sqrt(share * SAMPLE)) + 1
        bound = select_nb(scratch, SAMPLE, beyond)
    kept = gather_nb(numbers, sign, bound, scratch)
    if kept < k + 2:
        kept = gather_nb(numbers, sign, np.inf, scratch)
    lower: float = select_nb(scratch, kept, k)
    if k + 1 >= n:
        return lower
    upper = scratch[k + 1]
    for j in range(k + 2, kept):
        upper = min(upper, scratch[j])
    between: float = lower + (upper - lower) * (place - k)
    return between


@inlined
def gather_nb(numbers: Floats, sign: float, bound: float, kept: Floats) -> int:
    """Put those of sign * `numbers` that are at most `bound` into `kept`; how many."""
    n = 0
    for j in range(len(numbers)):
        number = sign * numbers[j]
        kept[n] = number
        n += number <= bound
    return n


@inlined
def select_nb(numbers: Floats, n: int, k: int) -> float:
    """The k-th smallest (from 0) of the first n, put at k with none larger before it and none smaller behind it."""
    low, high = 0, n - 1
    while low < high:
        pivot = numbers[(low + high) // 2]
        i, j = low, high
        while i <= j:
            while numbers[i] < pivot:
                i += 1
            while numbers[j] > pivot:
                j -= 1
            if i <= j:
                numbers[i], numbers[j] = numbers[j], numbers[i]
                i += 1
                j -= 1
        if k <= j:
            high = j
        elif k >= i:
            low = i
        else:
            break
    found: float = numbers[k]
    return found
