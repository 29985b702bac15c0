"""The expression graph: equal sub-expressions are one node, and each node knows the parameters it depends on.

Nodes are numbered in the order in which they were made, so arguments always come before what uses them, and every
walk over a graph is a plain loop over numbers: deep graphs need no recursion.

| op | arguments | value | is |
|---|---|---|---|
| const | | float | a number or a condition |
| param | | | a parameter: number (Int, Float), condition (Bool) |
| choice | | its numbers | the number behind a numeric Choice |
| is_choice | | a code | whether a Choice has this value |
| column | | open, high, low, close, volume | bars' column |
| add, sub, …; lt, …; and, or, not; where | | | elementwise, see `elementwise.py` |
| prev | x | | x one bar earlier |
| at | x | timeframe | x, computed on longer bars, once they have closed |
| anything else | rows, then point numbers | | a row function that an indicator declares |
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["number", "condition"]

NUMBER_OPS = frozenset(
    (
        "add",
        "sub",
        "mul",
        "div",
        "floordiv",
        "mod",
        "pow",
        "neg",
        "abs",
        "min",
        "max",
        "sqrt",
        "log",
        "exp",
        "isqrt",
        "where",
    )
)
CONDITION_OPS = frozenset(("lt", "le", "gt", "ge", "eq", "ne", "and", "or", "not"))
ELEMENTWISE = NUMBER_OPS | CONDITION_OPS | {"prev"}
"""Operations that read one bar (prev: the one before) and keep no state."""

INFINITY = math.inf


@dataclass(frozen=True, slots=True)
class Node:
    """One sub-expression.

    `args` are the numbers of its argument nodes. `varies` says whether it changes from bar to bar; what does not is
    known for a point without bars, and has the bounds `low` to `high` over all allowed points. `whole` says that it
    is a whole number for each of them. `params` are the columns that it depends on, ascending. `lag` is how many bars
    back its elementwise part reads. `frame` is the longer timeframe that it is computed on, None for the bars' own.
    """

    op: str
    args: tuple[int, ...]
    value: object
    kind: Kind
    varies: bool
    params: tuple[int, ...]
    whole: bool = False
    low: float = -INFINITY
    high: float = INFINITY
    lag: int = 0
    frame: str | None = None


def reachable(
    nodes: Sequence[Node], targets: Iterable[int], stop: Callable[[int], bool] = lambda number: False
) -> list[int]:
    """The numbers of all nodes that `targets` are made of, themselves included, ascending.

    Where `stop` holds, the node is listed and its arguments are not looked at.
    """
    found: set[int] = set()
    waiting = list(targets)
    while waiting:
        number = waiting.pop()
        if number not in found:
            found.add(number)
            if not stop(number):
                waiting.extend(nodes[number].args)
    return sorted(found)
