"""What each indicator is: lists of floats, one obvious loop each, NaN where undefined. Kernels must equal them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import pairwise

NAN = math.nan
Series = list[float]


def windows(x: Sequence[float], n: int, value: Callable[[Sequence[float]], float]) -> Series:
    """`value` of the last n entries at each bar; NaN where they are not n, or one of them is not finite."""
    out = []
    for t in range(len(x)):
        window = x[t - n + 1 : t + 1] if t >= n - 1 else []
        out.append(value(window) if len(window) == n and all(map(math.isfinite, window)) else NAN)
    return out


def mean(window: Sequence[float]) -> float:
    """The exact mean, rounded once."""
    return float(sum(map(Fraction, window)) / len(window))


def sma(x: Series, n: int) -> Series:
    return windows(x, n, mean)


def wma(x: Series, n: int) -> Series:
    return windows(x, n, lambda w: math.fsum((i + 1) * v for i, v in enumerate(w)) / (n * (n + 1) / 2))


def stddev(x: Series, n: int) -> Series:
    def deviation(window: Sequence[float]) -> float:
        if len(set(window)) == 1:
            return 0.0
        middle = mean(window)
        return math.sqrt(math.fsum((v - middle) ** 2 for v in window) / n)

    return windows(x, n, deviation)


def linreg_slope(x: Series, n: int) -> Series:
    def slope(window: Sequence[float]) -> float:
        if len(set(window)) == 1:
            return 0.0
        time, level = (n - 1) / 2, mean(window)
        spread = math.fsum((i - time) ** 2 for i in range(n))
        return math.fsum((i - time) * (v - level) for i, v in enumerate(window)) / spread

    return windows(x, n, slope)


def cci(x: Series, n: int) -> Series:
    def index(window: Sequence[float]) -> float:
        if len(set(window)) == 1:
            return NAN
        middle = mean(window)
        return (window[-1] - middle) / (0.015 * math.fsum(abs(v - middle) for v in window) / n)

    return windows(x, n, index)


def highest(x: Series, n: int) -> Series:
    return windows(x, n, max)


def lowest(x: Series, n: int) -> Series:
    return windows(x, n, min)


def shift(x: Sequence[float], n: int) -> Series:
    return [x[t - n] if t >= n else NAN for t in range(len(x))]


def percent_rank(x: Series, n: int) -> Series:
    return windows(x, n + 1, lambda w: 100 * sum(v <= w[-1] for v in w[:-1]) / n)


def recursive(x: Series, n: int, step: Callable[[float, float], float]) -> Series:
    """Seeded with the mean of the first n values, then step(average, value); begins anew after what is not finite."""
    out, seed, average = [], [], NAN
    for value in x:
        if not math.isfinite(value):
            seed, average = [], NAN
        elif len(seed) < n:
            seed.append(value)
            if len(seed) == n:
                average = sum(seed) / n
        else:
            average = step(average, value)
        out.append(average if len(seed) == n else NAN)
    return out


def ema(x: Series, n: int) -> Series:
    weight = 2 / (n + 1)
    return recursive(x, n, lambda average, value: (value - average) * weight + average)


def wilder(x: Series, n: int) -> Series:
    return recursive(x, n, lambda average, value: (average * (n - 1) + value) / n)


def share(part: Series, whole: Series) -> Series:
    return [100 * (p / w) if w != 0 else NAN for p, w in zip(part, whole, strict=True)]


def rsi(x: Series, n: int) -> Series:
    changes = [now - before for now, before in zip(x, shift(x, 1), strict=True)]
    gains = wilder([max(c, 0.0) if math.isfinite(c) else NAN for c in changes], n)
    losses = wilder([max(-c, 0.0) if math.isfinite(c) else NAN for c in changes], n)
    return share(gains, [g + s for g, s in zip(gains, losses, strict=True)])


def macd_line(x: Series, fast: int, slow: int) -> Series:
    """Both averages seeded at the bar at which the longer one can be, each with its own last n values; as TA-Lib."""
    longest = max(fast, slow)
    out: Series = []
    start = 0
    for t, value in enumerate(x):
        if not math.isfinite(value):
            start = t + 1
            out.append(NAN)
        elif t - start + 1 < longest:
            out.append(NAN)
        else:
            run = x[start : t + 1]
            out.append(ema(run[longest - fast :], fast)[-1] - ema(run[longest - slow :], slow)[-1])
    return out


def true_range(high: Series, low: Series, close: Series) -> Series:
    rest = [
        max(high[t] - low[t], abs(high[t] - close[t - 1]), abs(low[t] - close[t - 1])) for t in range(1, len(close))
    ]
    return [NAN, *rest]


def directional(high: Series, low: Series, close: Series, n: int) -> tuple[Series, Series, Series]:
    """ADX, +DI and -DI by Wilder's sums: n - 1 movements summed, then sum = sum - sum / n + movement."""
    size = len(close)
    up = [high[t] - high[t - 1] if t else 0.0 for t in range(size)]
    down = [low[t - 1] - low[t] if t else 0.0 for t in range(size)]
    plus_moves = [u if u > 0 and u > d else 0.0 for u, d in zip(up, down, strict=True)]
    minus_moves = [d if d > 0 and d > u else 0.0 for u, d in zip(up, down, strict=True)]
    reaches = true_range(high, low, close)

    def sums(x: Series) -> Series:
        out = [NAN] * min(n, size)
        total = sum(x[1:n])
        for t in range(n, size):
            total = total - total / n + x[t]
            out.append(total)
        return out

    plus, minus, reach = sums(plus_moves), sums(minus_moves), sums(reaches)
    strengths = [
        100 * abs(m - p) / (m + p) if math.isfinite(p) and m + p > 0 else NAN for p, m in zip(plus, minus, strict=True)
    ]
    adx = [NAN] * min(2 * n - 1, size)
    if size > 2 * n - 1:
        average = sum(s for s in strengths[n : 2 * n] if math.isfinite(s)) / n
        adx.append(average)
        for strength in strengths[2 * n :]:
            average = (average * (n - 1) + strength) / n if math.isfinite(strength) else average
            adx.append(average)
    return adx, share(plus, reach), share(minus, reach)


def supertrend(high: Series, low: Series, close: Series, atr: Series, factor: float) -> tuple[Series, Series]:
    """Line and direction (1 up, -1 down), as in Pine Script's reference."""
    lines, directions = [], []
    upper = lower = NAN
    up = False
    for t in range(len(close)):
        if math.isnan(atr[t]):
            lines.append(NAN)
            directions.append(NAN)
            continue
        middle = (high[t] + low[t]) / 2
        above, below = middle + factor * atr[t], middle - factor * atr[t]
        if math.isnan(upper):
            upper, lower, up = above, below, False
        else:
            upper = above if above < upper or close[t - 1] > upper else upper
            lower = below if below > lower or close[t - 1] < lower else lower
            if up and close[t] < lower:
                up = False
            elif not up and close[t] > upper:
                up = True
        lines.append(lower if up else upper)
        directions.append(1.0 if up else -1.0)
    return lines, directions


def obv(close: Series, volume: Series) -> Series:
    signs = [0.0, *((b > a) - (b < a) for a, b in pairwise(close))]
    return [
        math.fsum([volume[0], *(s * v for s, v in zip(signs[: t + 1], volume, strict=False))])
        for t in range(len(close))
    ]


def mfi(typical: Series, volume: Series, n: int) -> Series:
    flow = [p * v for p, v in zip(typical, volume, strict=True)]
    up = [NAN, *(flow[t] if typical[t] > typical[t - 1] else 0.0 for t in range(1, len(flow)))]
    down = [NAN, *(flow[t] if typical[t] < typical[t - 1] else 0.0 for t in range(1, len(flow)))]
    ups, downs = sma(up, n), sma(down, n)
    return share(ups, [u + d for u, d in zip(ups, downs, strict=True)])
