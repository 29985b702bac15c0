"""How each function of the language is made of graph nodes.

What can be expressed by others is: bands are an average and a deviation, so that their factor costs no rows of its own.
Each maker takes the builder and the numbers of the argument nodes, in the order of the language's table, and returns a
node, or one for each field. Row functions (`sma`, `wilder`, …) are in `row_functions.py`.
"""

from __future__ import annotations

from collections.abc import Callable

from tunesmith.compute.rules.graph import GraphBuilder
from tunesmith.compute.rules.nodes import Node

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


def _true_range(g: GraphBuilder) -> int:
    return g.row("true_range", column(g, "high"), column(g, "low"), column(g, "close"))


def _atr(g: GraphBuilder, window: int) -> int:
    return g.row("wilder", _true_range(g), window)


def _crossed(now: str, before: str) -> Maker:
    def make(g: GraphBuilder, a: int, b: int) -> int:
        return g.condition("and", g.condition(now, a, b), g.condition(before, g.previous(a), g.previous(b)))

    return make


def _moving(compare: str, extreme: str) -> Maker:
    def make(g: GraphBuilder, x: int, window: int) -> int:
        one = g[window].op == "const" and g[window].value == 1.0
        return g.condition(compare, x, g.previous(x if one else g.row(extreme, x, window)))

    return make


MAKERS: dict[str, Maker] = {
    "where": _where,
    "shift": _shift,
    **{name: _elementwise(name) for name in ("abs", "min", "max", "sqrt", "log", "exp")},
    **{name: _row(name) for name in ("sma", "ema", "rsi")},
    "true_range": _true_range,
    "atr": _atr,
    "crossed_above": _crossed("gt", "le"),
    "crossed_below": _crossed("lt", "ge"),
    "rising": _moving("gt", "highest"),
    "falling": _moving("lt", "lowest"),
}
"""The maker of every function in the language's table, by name."""
