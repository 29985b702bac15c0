"""Random rules of the language's whole grammar, and random bars, for laws that must hold for every rule."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from tunesmith.compute.indicators.registry import INDICATORS
from tunesmith.domain.market.bars import Bars

HOUR_MS = 3_600_000

HEADER = """n = Int(5, 2, 9)
m = Int(3, 1, 12)
k = Float(1.5, -2.0, 3.0)
level = Choice(20, [20, 50, 80])
mode = Choice("fast", ["fast", "slow", "off"])
use = Bool(True)
"""

COLUMNS = ("open", "high", "low", "close", "volume")
OF_SERIES = (
    "shift",
    *(
        indicator.name
        for indicator in INDICATORS.values()
        if [argument.kind for argument in indicator.arguments] == ["series", "window"]
        and indicator.group != "conditions"
        and not indicator.fields
    ),
)
OF_BARS = (
    "atr({w})",
    "true_range()",
    "vwap({w})",
    "obv()",
    "mfi({w})",
    "cci({w})",
    "adx({w})",
    "plus_di({w})",
    "minus_di({w})",
    "stoch({w}, {w}, {w}).k",
    "stoch({w}, 2, {w}).d",
    "donchian({w}).upper",
    "donchian({w}).middle",
    "donchian({w}).lower",
    "keltner({w}, k, {w}).upper",
    "keltner({w}, 1, {w}).middle",
    "keltner({w}, 1.5, {w}).lower",
    "supertrend({w}, 1.5).line",
    "supertrend({w}, abs(k)).direction",
)
OF_SERIES_IN_PARTS = (
    "macd({x}, {w}, {w}, {w}).line",
    "macd({x}, {w}, {w}, {w}).signal",
    "macd({x}, {w}, {w}, {w}).hist",
    "bbands({x}, {w}, k).upper",
    "bbands({x}, {w}, 1).middle",
    "bbands({x}, {w}, 2).lower",
)
PRICES = (
    *COLUMNS[:4],
    *("sma(close, {w})", "ema(close, {w})", "wma(open, {w})", "hma(close, m + 1)", "dema(high, {w})", "tema(low, {w})"),
    *("vwap({w})", "bbands(close, {w}, k).upper", "keltner({w}, 1, m).lower", "donchian({w}).middle"),
    *("supertrend({w}, 1.5).line", "shift(highest(high, {w}))", "shift(lowest(low, {w}))", "where(use, close, open)"),
    *('at("4h", ema(close, 3))', "(close + open) / 2", "close * (1 + k / 100)", "exp(log(close))", "sqrt(high * low)"),
    "(high ** 2 / high)",
)
LIVELY = (
    *("crossed_above({p}, {q})", "crossed_below({p}, {q})", "{p} > {q}", "low < {p} <= high", "rising({p}, 2)"),
    *("rsi(close, n) < level", "mfi(m + 1) > level", "zscore(close, 7) < -1", "stoch(7, 2, 3).k < 30", "cci(n) > 50"),
    *(
        "adx(5) > 25 and close > {p}",
        '{p} > at("4h", sma(close, n))',
        'at("2h", close < open)',
        "since({p} > {q}) == n",
    ),
    *("macd(close, 3, 7, 4).hist > 0", "shift(close > open, n)", "where({p} > {q}, use, {q} > open)", "falling(close)"),
    *("close // 2 % 3 == 1", "supertrend(n, 1.5).direction > 0", "volume > sma(volume, n) * 1.5", "mom(close, n) > k"),
)
LEVELS = (
    *("stop_loss(close - abs(k) * atr(n))", "stop_loss(abs(k) / 20)", "stop_loss(where(use, 0.02, 0))"),
    *('stop_loss(at("4h", lowest(low, n)))', "stop_loss(0.004)"),
    *("take_profit(where(use, 1.1 * close, x))", "take_profit(0.05)", "take_profit(donchian(n).upper + atr(n))"),
    *("take_profit(close + abs(k) * true_range())", "take_profit(0.006)"),
    *("trailing_stop(0.03)", "trailing_stop(lowest(low, n))", "trailing_stop(close - 3 * atr(m + 1))"),
    *("trailing_stop(k / 60)", "max_holding(m)", "max_holding(where(use, 2 * n, 0))"),
)
"""Orders with a level or a time: fractions and prices, constant, from parameters, and from longer bars."""
BRACKETS = (
    *(line for line in LEVELS if not line.startswith("trailing")),
    *("max_holding(40 * m)", "stop_loss(0.3)"),
)
SELDOM = ("volume < 0", "falling(close, 7)", "close < 0.9 * sma(close, n)", "rsi(close, m + 9) > 70 + n")
FREQUENT = ("close > 0", "{p} != {q}", "not falling(close, 2)", "use or {p} > {q}")

ELEMENTWISE = (
    *("abs({a})", "min({a}, {b})", "max({a}, {b})", "sqrt({a})", "-{a}", "{a} % {b}", "{a} // 7"),
    *("log({a})", "exp({a} / 1000)", "({a}) ** 2"),
)
WINDOWS = st.sampled_from(["n", "m + 1", "2", "3", "7", "n * 2", "max(n, m)", "n // 2 + 1"])
CONSTANTS = st.sampled_from(["0", "1", "2.5", "-1", "30", "0.01", "k", "level", "n", "(k + 1)", "k * level", "n / m"])


@st.composite
def series(draw: st.DrawFn, depth: int = 3, longer: bool = True) -> str:
    """A number that changes from bar to bar."""
    if depth == 0:
        return draw(st.sampled_from(COLUMNS))
    kind = draw(st.integers(0, 11))
    inner = series(depth - 1, longer)
    if kind <= 2:
        return f"{draw(st.sampled_from(OF_SERIES))}({draw(inner)}, {draw(WINDOWS)})"
    if kind == 3:
        text = draw(st.sampled_from(OF_BARS))
        return text.format(w=draw(WINDOWS))
    if kind == 4:
        return draw(st.sampled_from(OF_SERIES_IN_PARTS)).format(x=draw(inner), w=draw(WINDOWS))
    if kind <= 7:
        other = draw(st.one_of(inner, CONSTANTS))
        return f"({draw(inner)} {draw(st.sampled_from(['+', '-', '*', '/']))} {other})"
    if kind == 8:
        return f"where({draw(condition(depth - 1, longer))}, {draw(inner)}, {draw(st.one_of(inner, CONSTANTS))})"
    if kind == 9:
        text = draw(st.sampled_from(ELEMENTWISE))
        return text.format(a=draw(inner), b=draw(st.one_of(inner, CONSTANTS)))
    if kind == 10 and longer:
        return f'at("{draw(st.sampled_from(["2h", "4h"]))}", {draw(series(depth - 1, False))})'
    return f"since({draw(inner)} > {draw(st.one_of(inner, CONSTANTS))})"


@st.composite
def condition(draw: st.DrawFn, depth: int = 3, longer: bool = True) -> str:
    """A condition that may change from bar to bar."""
    inner = series(depth, longer)
    kind = draw(st.integers(0, 9 if depth else 3))
    if kind <= 2:
        compare = draw(st.sampled_from(["<", "<=", ">", ">=", "==", "!="]))
        return f"({draw(inner)} {compare} {draw(st.one_of(inner, CONSTANTS))})"
    if kind == 3:
        return draw(st.sampled_from(["use", 'mode == "fast"', 'mode != "off"', "n < m", "k > 0", "True"]))
    if kind <= 5:
        word = draw(st.sampled_from(["crossed_above", "crossed_below"]))
        return f"{word}({draw(inner)}, {draw(st.one_of(inner, CONSTANTS))})"
    if kind == 6:
        return f"{draw(st.sampled_from(['rising', 'falling']))}({draw(inner)}, {draw(WINDOWS)})"
    if kind == 7:
        return f"not {draw(condition(depth - 1, longer))}"
    if kind == 8:
        return f"shift({draw(condition(depth - 1, longer))}, {draw(WINDOWS)})"
    word = draw(st.sampled_from(["and", "or"]))
    return f"({draw(condition(depth - 1, longer))} {word} {draw(condition(depth - 1, longer))})"


@st.composite
def lively(draw: st.DrawFn) -> str:
    """A condition that holds now and then on most markets, so that a rule trades."""
    price = st.sampled_from(PRICES)
    p, q = (draw(price).format(w=draw(WINDOWS)) for _ in range(2))
    return draw(st.sampled_from(LIVELY)).format(p=p, q=q)


@st.composite
def rules(draw: st.DrawFn, depth: int = 3) -> str:
    """A whole rule: named parts, orders of every kind."""
    lines = [f"x = {draw(series(depth))}", f"y = {draw(series(depth))}", "z = x - y"]
    lines += draw(
        st.lists(st.sampled_from(["require(n > 2 or m > 2)", "top, centre, bottom = bbands(close, n)"]), max_size=1)
    )
    asked = st.one_of(condition(depth), lively(), lively(), lively())
    crossing = st.sampled_from(["crossed_below(x, y)", "crossed_above(z, k)", "z > k", "not x > y"])
    sides = draw(st.sampled_from(["long", "long", "both", "both", "short"]))
    if sides != "short":
        lines.append(f"enter_long({draw(asked)})")
        lines += draw(st.lists(asked.map("enter_long({})".format), max_size=1))
        lines.append(f"exit_long({draw(st.one_of(crossing, asked, lively(), lively()))})")
    if sides != "long":
        lines.append(f"enter_short({draw(asked)})")
        lines.append(f"exit_short({draw(st.one_of(crossing, asked, lively(), lively()))})")
    lines += draw(st.lists(st.sampled_from(LEVELS), max_size=3, unique_by=lambda line: line.split("(")[0]))
    return HEADER + "\n".join(lines) + "\n"


@st.composite
def held_rules(draw: st.DrawFn) -> str:
    """A long rule that seldom sells: stops, targets and time end its trades, or nothing; it often enters at once."""
    price = st.sampled_from(PRICES)
    p, q = (draw(price).format(w=draw(WINDOWS)) for _ in range(2))
    lines = ["x = high + low", f"enter_long({draw(st.sampled_from((*FREQUENT, *LIVELY[:4]))).format(p=p, q=q)})"]
    lines.append(f"exit_long({draw(st.sampled_from(SELDOM))})")
    lines += draw(st.lists(st.sampled_from(BRACKETS), max_size=2, unique_by=lambda line: line.split("(")[0]))
    return HEADER + "\n".join(lines) + "\n"


def points(n: int, seed: int) -> np.ndarray[Any, Any]:
    """Random points float64[n, 6] of the header's parameters, repeating their values."""
    random = np.random.default_rng(seed)
    columns = [
        random.integers(2, 10, n),
        random.integers(1, 13, n),
        np.round(random.uniform(-2, 3, n), 1),
        random.integers(0, 3, n),
        random.integers(0, 3, n),
        random.integers(0, 2, n),
    ]
    return np.stack(columns, axis=1).astype(np.float64)


def random_bars(n: int, seed: int) -> Bars:
    """Hourly bars of a random market with ties, flat stretches, jumps and bars without volume."""
    random = np.random.default_rng(seed)
    steps = random.normal(0, 0.01, n) * random.choice([0.0, 1.0, 1.0, 4.0], n)
    steps[n // 2 : n // 2 + random.integers(0, 15)] = 0.0
    close = np.round(100 * np.exp(np.cumsum(steps)), 1) + 0.1
    opened = np.concatenate([[close[0]], close[:-1]])
    reach = np.round(random.choice([0.0, 0.3, 1.0], n), 1)
    return Bars.from_arrays(
        np.arange(n, dtype=np.int64) * HOUR_MS + 1_700_000_000_000 // HOUR_MS * HOUR_MS,
        {
            "open": opened,
            "high": np.maximum(opened, close) + reach,
            "low": np.minimum(opened, close) - reach / 2,
            "close": close,
            "volume": np.round(random.exponential(10, n) * random.choice([0.0, 1.0, 1.0], n), 2),
        },
        symbol="TEST/USDT",
        timeframe="1h",
    )
