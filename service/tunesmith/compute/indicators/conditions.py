"""Conditions over earlier bars: crossings, rising and falling values, bars since something held."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tunesmith.compute.graph.graph_builder import GraphBuilder
from tunesmith.compute.indicators.declaration import Argument, Formula, Indicator, number, series, window
from tunesmith.compute.indicators.row_functions import RowFunction
from tunesmith.compute.kernels.compiling import kernel
from tunesmith.domain.array_types import Ints, Rows


@kernel
def since_nb(x: Rows, source: Ints, out: Rows) -> None:
    """Bars since x was last 1; 0 at such a bar, NaN before the first."""
    for j in range(len(source)):
        values = x[source[j]]
        count = np.nan
        for t in range(len(values)):
            count = 0.0 if values[t] == 1.0 else count + 1.0
            out[j, t] = count


def _crossed(now: str, before: str) -> Formula:
    def formula(g: GraphBuilder, a: int, b: int) -> int:
        return g.condition("and", g.condition(now, a, b), g.condition(before, g.previous(a), g.previous(b)))

    return formula


def _never_crosses(name: str) -> Any:
    def refusal(g: GraphBuilder, a: int, b: int) -> str | None:
        varies = g[a].varies or g[b].varies
        return None if varies else f"one side of {name}() must change from bar to bar"

    return refusal


def _beyond(compare: str, extreme: str) -> Formula:
    """x compared with the extreme of its n values before; with the one value before where n is 1."""

    def formula(g: GraphBuilder, x: int, window: int) -> int:
        one = g[window].op == "const" and g[window].value == 1.0
        return g.condition(compare, x, g.previous(x if one else g.row(extreme, x, window)))

    return formula


def _since(g: GraphBuilder, condition: int) -> int:
    return g.row("since", g.as_number(condition))


def _never_changes(g: GraphBuilder, condition: int) -> str | None:
    return None if g[condition].varies else "the condition of since() must change from bar to bar"


def _since_rows(out: Rows, rows: Sequence[Rows], sources: Sequence[Ints], points: Sequence[Any]) -> None:
    since_nb(rows[0], sources[0], out)


DECLARED = (
    Indicator(
        "crossed_above",
        "conditions",
        (number("a"), number("b")),
        "a is above b, and was not at the bar before",
        look_back="1",
        formula=_crossed("gt", "le"),
        refusal=_never_crosses("crossed_above"),
    ),
    Indicator(
        "crossed_below",
        "conditions",
        (number("a"), number("b")),
        "a is below b, and was not at the bar before",
        look_back="1",
        formula=_crossed("lt", "ge"),
        refusal=_never_crosses("crossed_below"),
    ),
    Indicator(
        "rising",
        "conditions",
        (series(), window(1)),
        "x is above each of its n values before",
        look_back="n",
        formula=_beyond("gt", "highest"),
    ),
    Indicator(
        "falling",
        "conditions",
        (series(), window(1)),
        "x is below each of its n values before",
        look_back="n",
        formula=_beyond("lt", "lowest"),
    ),
    Indicator(
        "since",
        "conditions",
        (Argument("condition", "condition"),),
        "bars since the condition last held, 0 where it holds; undefined before it first does",
        look_back="0",
        formula=_since,
        rows=(RowFunction("since", _since_rows, lambda points: 0, "share"),),
        refusal=_never_changes,
    ),
)
