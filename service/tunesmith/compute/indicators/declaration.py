"""What an indicator declares: its name, arguments, look-back and text, and how it is computed.

    MIDPOINT = Indicator(
        "midpoint",
        "extremes",
        (series(), window(14)),
        "the middle between the largest and the smallest of the last n values",
        look_back="n - 1",
        rows=(windowed("midpoint", midpoint_nb, less=1),),
    )

computes by a kernel of its own, named in `rows`; with a `formula` it is made of others. Once it is registered (see
`registry`), rules can use it, the language's reference lists it, and the contract tests hold it to its look-back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

from tunesmith.compute.graph.graph_builder import GraphBuilder
from tunesmith.compute.indicators.row_functions import RowFunction

MAX_WINDOW = 100_000

ArgumentKind = Literal["series", "number", "condition", "any", "window", "factor", "timeframe"]
"""series: a number that changes from bar to bar; number: any number; any: a number or a condition; window: a whole
number of bars, from constants and Int parameters; factor: a number that does not change from bar to bar."""

Formula = Callable[..., int | tuple[int, ...]]
"""Takes the graph's builder and the nodes of the arguments; returns a node, or one for each field."""


class Argument(NamedTuple):
    """One argument of an indicator. `least` and `most` bound a window."""

    name: str
    kind: ArgumentKind
    default: float | None = None
    least: int = 1
    most: int = MAX_WINDOW

    @property
    def written(self) -> str:
        """As it stands in a signature: the name, and the default where there is one."""
        return self.name if self.default is None else f"{self.name}={self.default:g}"


@dataclass(frozen=True, slots=True)
class Indicator:
    """One function of the rule language.

    `look_back` says, for the reference, at which bar (from 0) the first value is defined when the arguments always are:
    arithmetic over the arguments' names and n, the first window. "…; d: signal - 1 more" adds to it for the field d,
    "…; middle: n - 1" replaces it for the field middle. `inputs` are columns of the bars that it reads before its
    arguments. `rows` are the row functions that it brings. Without a `formula` it is the row function of its own name
    over `inputs` and arguments. `refusal`, given the builder and the nodes of the arguments, says what is wrong with
    them together.
    """

    name: str
    group: str
    arguments: tuple[Argument, ...]
    doc: str
    look_back: str
    fields: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    rows: tuple[RowFunction, ...] = ()
    formula: Formula | None = None
    refusal: Callable[..., str | None] | None = None

    @property
    def signature(self) -> str:
        """As it is written: name and arguments with their defaults."""
        return f"{self.name}({', '.join(argument.written for argument in self.arguments)})"

    def nodes(self, g: GraphBuilder, arguments: list[int]) -> int | tuple[int, ...]:
        """Add the indicator to a graph: its node, or one for each field."""
        if self.formula is not None:
            return self.formula(g, *arguments)
        return g.row(self.name, *(g.column(name) for name in self.inputs), *arguments)


def series(name: str = "x") -> Argument:
    """A number that changes from bar to bar."""
    return Argument(name, "series")


def number(name: str) -> Argument:
    """Any number."""
    return Argument(name, "number")


def any_value(name: str = "x") -> Argument:
    """A number or a condition."""
    return Argument(name, "any")


def window(default: float | None = None, name: str = "window", *, least: int = 1, most: int = MAX_WINDOW) -> Argument:
    """A whole number of bars."""
    return Argument(name, "window", default, least, most)
