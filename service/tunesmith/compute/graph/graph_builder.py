"""The builder of expression graphs: makes each distinct node once, folds constants and keeps bounds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from tunesmith.compute.graph.elementwise import value_of_constants
from tunesmith.compute.graph.nodes import INFINITY, Kind, Node, reachable


class TooManyNodes(Exception):
    """The rule has grown over the limit."""


class NotFinite(Exception):
    """A constant expression has no finite value."""


class GraphBuilder:
    """Makes nodes, each distinct one once. Arguments are node numbers."""

    def __init__(self, max_nodes: int) -> None:
        self.nodes: list[Node] = []
        self._numbers: dict[tuple[object, ...], int] = {}
        self._max_nodes = max_nodes

    def __getitem__(self, number: int) -> Node:
        return self.nodes[number]

    def const(self, value: float) -> int:
        whole = value == math.floor(value)
        return self._add(Node("const", (), float(value), "number", False, (), whole, value, value))

    def truth(self, value: bool) -> int:
        return self._add(Node("const", (), float(value), "condition", False, ()))

    def leaf(self, node: Node) -> int:
        """A parameter or a column."""
        return self._add(node)

    def column(self, name: str) -> int:
        """One of the bars' columns: open, high, low, close or volume."""
        return self.leaf(Node("column", (), name, "number", True, ()))

    def number(self, op: str, *args: int) -> int:
        """An elementwise number."""
        return self._elementwise(op, args, "number")

    def condition(self, op: str, *args: int) -> int:
        """A comparison, or a combination of conditions."""
        return self._elementwise(op, args, "condition")

    def previous(self, x: int) -> int:
        """`x` one bar earlier; undefined (a condition: unknown) at the first bar. Constants stay as they are."""
        node = self.nodes[x]
        if not node.varies:
            return x
        if node.lag:
            if node.kind == "condition":
                return self.condition("gt", self.row("shift", self.as_number(x), self.const(1)), self.const(0.5))
            return self.row("shift", x, self.const(1))
        return self._add(replace(node, op="prev", args=(x,), value=None, lag=1))

    def as_number(self, condition: int) -> int:
        """1 where the condition holds, 0 where it does not, undefined where it is unknown."""
        return self.number("where", condition, self.const(1), self.const(0))

    def row(self, op: str, *args: int, value: object = None) -> int:
        """A function over the history of its arguments: those that vary come as rows, the others as point numbers."""
        frame = next((self.nodes[a].frame for a in args if self.nodes[a].varies), None)
        frame = None if op == "at" else frame
        return self._add(Node(op, args, value, "number", True, self._params(args), frame=frame))

    def on_frame(self, target: int, frame: str) -> int:
        """The same expression over the columns of another timeframe."""
        moved: dict[int, int] = {}
        for number in reachable(self.nodes, [target]):
            node = self.nodes[number]
            args = tuple(moved[arg] for arg in node.args)
            moved[number] = self._add(replace(node, args=args, frame=frame)) if node.varies else number
        return moved[target]

    def _elementwise(self, op: str, args: tuple[int, ...], kind: Kind) -> int:
        given = [self.nodes[arg] for arg in args]
        varies = any(node.varies for node in given)
        whole = all(node.whole for node in given if node.kind == "number") and op not in ("div", "pow", "exp", "log")
        low, high = (-INFINITY, INFINITY) if varies or kind == "condition" else bounds(op, given)
        node = Node(
            op,
            args,
            None,
            kind,
            varies,
            self._params(args),
            whole and not varies and op != "sqrt",
            low,
            high,
            max(node.lag for node in given),
            next((node.frame for node in given if node.varies), None),
        )
        if all(node.op == "const" for node in given):
            return self._folded(node)
        return self._add(node)

    def _folded(self, node: Node) -> int:
        result = value_of_constants(node, [self.nodes[arg] for arg in node.args])
        if node.kind == "condition":
            return self.truth(bool(result[0][0]))
        if not np.isfinite(result[0]):
            raise NotFinite
        return self.const(float(result[0]))

    def _params(self, args: Iterable[int]) -> tuple[int, ...]:
        return tuple(sorted({p for arg in args for p in self.nodes[arg].params}))

    def _add(self, node: Node) -> int:
        key = (node.op, node.args, repr(node.value), node.kind, node.frame, node.params)
        if key not in self._numbers:
            if len(self.nodes) >= self._max_nodes:
                raise TooManyNodes
            self._numbers[key] = len(self.nodes)
            self.nodes.append(node)
        return self._numbers[key]


def bounds(op: str, args: Sequence[Node]) -> tuple[float, float]:
    """The least and greatest value that an operation on point numbers can have; infinite where that is not known."""
    if op in ("where", "pow", "div", "mod", "log", "exp", "sqrt"):
        return (min(a.low for a in args[1:]), max(a.high for a in args[1:])) if op == "where" else _UNKNOWN
    a = args[0]
    if op in ("neg", "abs", "isqrt"):
        return _bounds_of_one(op, a)
    b = args[1]
    if op == "add":
        return a.low + b.low, a.high + b.high
    if op == "sub":
        return a.low - b.high, a.high - b.low
    if op in ("min", "max"):
        pick = min if op == "min" else max
        return pick(a.low, b.low), pick(a.high, b.high)
    if op == "floordiv" and b.low <= 0 <= b.high:
        return _UNKNOWN
    pairs = [(x, y) for x in (a.low, a.high) for y in (b.low, b.high)]
    corners = [x * y if op == "mul" else float(x // y) for x, y in pairs]
    return _UNKNOWN if any(math.isnan(c) for c in corners) else (min(corners), max(corners))


_UNKNOWN = (-INFINITY, INFINITY)


def _bounds_of_one(op: str, a: Node) -> tuple[float, float]:
    if op == "neg":
        return -a.high, -a.low
    if op == "abs":
        return (0.0 if a.low <= 0 <= a.high else min(abs(a.low), abs(a.high))), max(abs(a.low), abs(a.high))
    if a.low < 0 or a.high == INFINITY:
        return _UNKNOWN
    return float(math.isqrt(int(a.low))), float(math.isqrt(int(a.high)))
