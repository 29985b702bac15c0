"""Parts that several formulas have: what they are made of is computed once, whichever of them a rule uses."""

from __future__ import annotations

from tunesmith.compute.graph.graph_builder import GraphBuilder


def typical_price(g: GraphBuilder) -> int:
    """(high + low + close) / 3."""
    total = g.number("add", g.number("add", g.column("high"), g.column("low")), g.column("close"))
    return g.number("div", total, g.const(3))


def share(g: GraphBuilder, part: int, whole: int) -> int:
    """100 * part / whole."""
    return g.number("mul", g.const(100), g.number("div", part, whole))
