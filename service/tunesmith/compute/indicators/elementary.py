"""Functions of one bar or of an earlier one: choices, arithmetic, `shift`, and longer bars."""

from __future__ import annotations

import numpy as np

from tunesmith.compute.graph.graph_builder import GraphBuilder
from tunesmith.compute.indicators.declaration import Argument, Formula, Indicator, any_value, number, window
from tunesmith.compute.indicators.row_functions import windowed
from tunesmith.compute.kernels.compiling import kernel
from tunesmith.domain.array_types import Ints, Rows


@kernel
def shift_nb(x: Rows, source: Ints, window: Ints, out: Rows) -> None:
    """x[t - n], n >= 0; row j is defined from n on."""
    for j in range(len(window)):
        values = x[source[j]]
        n = min(window[j], len(values))
        out[j, :n] = np.nan
        for t in range(len(values) - n):
            out[j, t + n] = values[t]


def where(g: GraphBuilder, condition: int, a: int, b: int) -> int:
    """a where the condition is known true, b where it is known false: numbers or conditions."""
    if g[a].kind == "number":
        return g.number("where", condition, a, b)
    then = g.condition("and", condition, a)
    otherwise = g.condition("and", g.condition("not", condition), b)
    return g.condition("or", then, otherwise)


def shift(g: GraphBuilder, x: int, bars: int) -> int:
    """x as it was some bars ago: by one bar without a row of its own."""
    count = g[bars]
    if not g[x].varies:
        return x
    if count.op == "const" and count.value in (0.0, 1.0):
        return x if count.value == 0.0 else g.previous(x)
    if g[x].kind == "condition":
        return g.condition("gt", g.row("shift", g.as_number(x), bars), g.const(0.5))
    return g.row("shift", x, bars)


def _two_kinds(g: GraphBuilder, condition: int, a: int, b: int) -> str | None:
    return None if g[a].kind == g[b].kind else "a and b of where() must be both numbers or both conditions"


def _elementwise(op: str) -> Formula:
    return lambda g, *args: g.number(op, *args)


def _arithmetic(name: str, arguments: tuple[Argument, ...], doc: str) -> Indicator:
    return Indicator(name, "values", arguments, doc, look_back="0", formula=_elementwise(name))


DECLARED = (
    Indicator(
        "where",
        "values",
        (Argument("condition", "condition"), any_value("a"), any_value("b")),
        "a where the condition holds, b where it does not; undefined where that is unknown",
        look_back="0",
        formula=where,
        refusal=_two_kinds,
    ),
    Indicator(
        "shift",
        "values",
        (any_value(), window(1, "bars", least=0)),
        "x as it was n bars ago",
        look_back="n",
        formula=shift,
        rows=(windowed("shift", shift_nb, measures="argument"),),
    ),
    Indicator(
        "at",
        "values",
        (Argument("timeframe", "timeframe"), any_value()),
        'x as computed on longer bars, as in at("4h", sma(close, 20)); known once such a bar has closed',
        look_back="x's, in longer bars",
    ),
    _arithmetic("abs", (number("x"),), "the magnitude of x"),
    _arithmetic("min", (number("a"), number("b")), "the smaller one"),
    _arithmetic("max", (number("a"), number("b")), "the larger one"),
    _arithmetic("sqrt", (number("x"),), "the square root; undefined below 0"),
    _arithmetic("log", (number("x"),), "the natural logarithm; undefined at 0 and below"),
    _arithmetic("exp", (number("x"),), "e to the power x"),
)
