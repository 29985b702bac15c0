"""How each function of the language is made of graph nodes.

What can be expressed by others is: bands are an average and a deviation, so that their factor costs no rows of its own.
Each maker takes the builder and the numbers of the argument nodes, in the order of the language's table, and returns a
node, or one for each field. Row functions (`sma`, `wilder`, …) are in `row_functions.py`.
"""

from __future__ import annotations

from collections.abc import Callable

from tunesmith.compute.language.graph import GraphBuilder
from tunesmith.compute.language.nodes import Node

Made = int | tuple[int, ...]
Maker = Callable[..., Made]


def column(g: GraphBuilder, name: str) -> int:
    """One of the bars' columns."""
    return g.leaf(Node("column", (), name, "number", True, ()))


def _row(op: str) -> Maker:
    return lambda g, *args: g.row(op, *args)


def _elementwise(op: str) -> Maker:
    return lambda g, *args: g.number(op, *args)


def _where(g: GraphBuilder, condition: int, a: int, b: int) -> int:
    if g[a].kind == "number":
        return g.number("where", condition, a, b)
    then = g.condition("and", condition, a)
    otherwise = g.condition("and", g.condition("not", condition), b)
    return g.condition("or", then, otherwise)


def _shift(g: GraphBuilder, x: int, bars: int) -> int:
    count = g[bars]
    if not g[x].varies:
        return x
    if count.op == "const" and count.value in (0.0, 1.0):
        return x if count.value == 0.0 else g.previous(x)
    if g[x].kind == "condition":
        return g.condition("gt", g.row("shift", g.as_number(x), bars), g.const(0.5))
    return g.row("shift", x, bars)


def _atr(g: GraphBuilder, window: int) -> int:
    ranges = g.row("true_range", column(g, "high"), column(g, "low"), column(g, "close"))
    return g.row("wilder", ranges, window)


def _crossed(now: str, before: str) -> Maker:
    def make(g: GraphBuilder, a: int, b: int) -> int:
        return g.condition("and", g.condition(now, a, b), g.condition(before, g.previous(a), g.previous(b)))

    return make


def _moving(compare: str, extreme: str) -> Maker:
    def make(g: GraphBuilder, x: int, window: int) -> int:
        one = g[window].op == "const" and g[window].value == 1.0
        return g.condition(compare, x, g.previous(x if one else g.row(extreme, x, window)))

    return make


def _since(g: GraphBuilder, condition: int) -> int:
    return g.row("since", g.as_number(condition))


def _typical(g: GraphBuilder) -> int:
    total = g.number("add", g.number("add", column(g, "high"), column(g, "low")), column(g, "close"))
    return g.number("div", total, g.const(3))


def _dema(g: GraphBuilder, x: int, window: int) -> int:
    once = g.row("ema", x, window)
    return g.number("sub", g.number("mul", g.const(2), once), g.row("ema", once, window))


def _tema(g: GraphBuilder, x: int, window: int) -> int:
    once = g.row("ema", x, window)
    twice = g.row("ema", once, window)
    return g.number("add", g.number("mul", g.const(3), g.number("sub", once, twice)), g.row("ema", twice, window))


def _hma(g: GraphBuilder, x: int, window: int) -> int:
    half = g.row("wma", x, g.number("floordiv", window, g.const(2)))
    ahead = g.number("sub", g.number("mul", g.const(2), half), g.row("wma", x, window))
    return g.row("wma", ahead, g.number("isqrt", window))


def _vwap(g: GraphBuilder, window: int) -> int:
    volume = column(g, "volume")
    traded = g.row("sma", g.number("mul", _typical(g), volume), window)
    return g.number("div", traded, g.row("sma", volume, window))


def _share(g: GraphBuilder, part: int, whole: int) -> int:
    return g.number("mul", g.const(100), g.number("div", part, whole))


def _stoch(g: GraphBuilder, window: int, smooth: int, signal: int) -> Made:
    lowest = g.row("lowest", column(g, "low"), window)
    reach = g.number("sub", g.row("highest", column(g, "high"), window), lowest)
    k = g.row("sma", _share(g, g.number("sub", column(g, "close"), lowest), reach), smooth)
    return k, g.row("sma", k, signal)


def _macd(g: GraphBuilder, x: int, fast: int, slow: int, signal: int) -> Made:
    line = g.row("macd_line", x, fast, slow)
    average = g.row("ema", line, signal)
    return line, average, g.number("sub", line, average)


def _roc(g: GraphBuilder, x: int, window: int) -> int:
    before = _shift(g, x, window)
    return _share(g, g.number("sub", x, before), before)


def _mom(g: GraphBuilder, x: int, window: int) -> int:
    return g.number("sub", x, _shift(g, x, window))


def _cci(g: GraphBuilder, window: int) -> int:
    return g.row("cci", _typical(g), window)


def _of_bars(op: str) -> Maker:
    return lambda g, *points: g.row(op, column(g, "high"), column(g, "low"), column(g, "close"), *points)


def _zscore(g: GraphBuilder, x: int, window: int) -> int:
    away = g.number("sub", x, g.row("sma", x, window))
    return g.number("div", away, g.row("stddev", x, window))


def _bands(g: GraphBuilder, middle: int, reach: int, width: int) -> Made:
    half = g.number("mul", width, reach)
    return g.number("add", middle, half), middle, g.number("sub", middle, half)


def _bbands(g: GraphBuilder, x: int, window: int, width: int) -> Made:
    return _bands(g, g.row("sma", x, window), g.row("stddev", x, window), width)


def _keltner(g: GraphBuilder, window: int, width: int, atr_window: int) -> Made:
    return _bands(g, g.row("ema", column(g, "close"), window), _atr(g, atr_window), width)


def _supertrend(g: GraphBuilder, window: int, factor: int) -> Made:
    args = (column(g, "high"), column(g, "low"), column(g, "close"), _atr(g, window), factor)
    return g.row("supertrend_line", *args), g.row("supertrend_direction", *args)


def _donchian(g: GraphBuilder, window: int) -> Made:
    upper = g.row("highest", column(g, "high"), window)
    lower = g.row("lowest", column(g, "low"), window)
    return upper, g.number("div", g.number("add", upper, lower), g.const(2)), lower


def _obv(g: GraphBuilder) -> int:
    return g.row("obv", column(g, "close"), column(g, "volume"))


def _mfi(g: GraphBuilder, window: int) -> int:
    typical = _typical(g)
    before = g.previous(typical)
    flow = g.number("mul", typical, column(g, "volume"))
    zero = g.const(0)
    up = g.row("sma", g.number("where", g.condition("gt", typical, before), flow, zero), window)
    down = g.row("sma", g.number("where", g.condition("lt", typical, before), flow, zero), window)
    return _share(g, up, g.number("add", up, down))


MAKERS: dict[str, Maker] = {
    "where": _where,
    "shift": _shift,
    **{name: _elementwise(name) for name in ("abs", "min", "max", "sqrt", "log", "exp")},
    "crossed_above": _crossed("gt", "le"),
    "crossed_below": _crossed("lt", "ge"),
    "rising": _moving("gt", "highest"),
    "falling": _moving("lt", "lowest"),
    "since": _since,
    **{
        name: _row(name)
        for name in ("sma", "ema", "wma", "rsi", "stddev", "linreg_slope", "percent_rank", "highest", "lowest")
    },
    "dema": _dema,
    "tema": _tema,
    "hma": _hma,
    "vwap": _vwap,
    "stoch": _stoch,
    "macd": _macd,
    "cci": _cci,
    "roc": _roc,
    "mom": _mom,
    **{name: _of_bars(name) for name in ("true_range", "adx", "plus_di", "minus_di")},
    "atr": _atr,
    "zscore": _zscore,
    "bbands": _bbands,
    "keltner": _keltner,
    "supertrend": _supertrend,
    "donchian": _donchian,
    "obv": _obv,
    "mfi": _mfi,
}
"""The maker of every function in the language's table but `at`, which `expressions.py` makes, by name."""
