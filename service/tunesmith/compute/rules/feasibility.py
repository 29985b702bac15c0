"""Conditions between parameters: a strategy's require(…), and those that a request adds in the same language."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tunesmith.compute.graph.graph_builder import GraphBuilder, TooManyNodes
from tunesmith.compute.graph.nodes import Node
from tunesmith.compute.language.expressions import Expressions
from tunesmith.compute.language.mistakes import Mistake, mistake_at
from tunesmith.compute.language.points import point_values
from tunesmith.compute.language.program import MAX_NODES, in_characters, parsed
from tunesmith.compute.language.scanner import scan
from tunesmith.compute.rules.strategy import Strategy
from tunesmith.domain.array_types import Flags, Floats
from tunesmith.domain.parameters import Parameter
from tunesmith.errors import FieldError, Invalid

RANGES_PATH = "/data/param_ranges"
"""Where a request is at fault when it leaves no point that keeps the strategy's own conditions."""


@dataclass(frozen=True, slots=True, eq=False)
class Condition:
    """One condition: a node of a graph over parameters, the text that it was read from and that text's path."""

    nodes: Sequence[Node]
    number: int
    text: str
    path: str

    @property
    def columns(self) -> tuple[int, ...]:
        """The columns of a point that it reads, ascending."""
        return self.nodes[self.number].params

    def holds(self, points: Floats) -> Flags:
        """Which of `points` float64[n, p] are known to keep it; bool[n]."""
        known_true: Flags = point_values(self.nodes, (self.number,), points)[self.number][0]
        return np.broadcast_to(known_true, len(points))


def required(strategy: Strategy, path: str = RANGES_PATH) -> tuple[Condition, ...]:
    """The strategy's own conditions, its require(…); none for a compiled one. `path` is that of the ranges."""
    if strategy.rule is None:
        return ()
    nodes = strategy.rule.nodes
    text = f"what {strategy.id} requires"
    return tuple(Condition(nodes, part, text, path) for n in strategy.rule.requires for part in _conjuncts(nodes, n))


def read_conditions(
    texts: Sequence[str], parameters: Sequence[Parameter], path: str = "/data/conditions"
) -> tuple[Condition, ...]:
    """Conditions such as "fast_period < slow_period", in the rule language's expressions over parameters' names.

    Raises `Invalid` with one `FieldError` for each text that is wrong, its path being `path`/index: line, column, what
    was found and the nearest right name.
    """
    expressions = Expressions(GraphBuilder(MAX_NODES))
    for parameter in parameters:
        expressions.add_parameter(parameter)
    found: list[Condition] = []
    errors: list[FieldError] = []
    for i, given in enumerate(texts):
        where, text = f"{path}/{i}", given.strip()
        try:
            number = _read(expressions, text)
        except Mistake as mistake:
            errors.append(FieldError(where, str(in_characters(mistake, text))))
        except TooManyNodes:
            errors.append(FieldError(where, f"these conditions are too large: more than {MAX_NODES} expressions"))
            break
        else:
            parts = _conjuncts(expressions.graph.nodes, number)
            found += [Condition(expressions.graph.nodes, part, text, where) for part in parts]
    if errors:
        raise Invalid(errors[0].message, errors=tuple(errors))
    return tuple(found)


def _read(expressions: Expressions, text: str) -> int:
    scan(text)
    statements = parsed(text).body
    first = statements[0] if statements else ast.Pass(lineno=1, col_offset=0)
    if len(statements) != 1 or not isinstance(first, ast.Expr):
        raise mistake_at([first, *statements][-1], "one condition is needed, such as fast_period < slow_period")
    place = first.value
    number = expressions.condition(place, "what is between parameters")
    if expressions.graph[number].varies:
        raise mistake_at(place, "a condition compares parameters; this changes from bar to bar")
    return number


def _conjuncts(nodes: Sequence[Node], number: int) -> Iterator[int]:
    """The parts of a condition that "and" joins: each binds fewer parameters than the whole."""
    waiting = [number]
    while waiting:
        node = nodes[waiting[-1]]
        if node.op == "and":
            waiting[-1:] = reversed(node.args)
        else:
            yield waiting.pop()
