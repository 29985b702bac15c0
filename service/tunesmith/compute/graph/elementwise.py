"""Elementwise operations on arrays: what a value and a condition mean where no kernel is compiled.

A condition is a pair of bool arrays (known true, known false): Kleene's three-valued logic, in which a comparison with
NaN is neither. What finally counts is known true, so `not` over an undefined value gives no signal either.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunesmith.compute.graph.nodes import Node
from tunesmith.domain.array_types import Flags, Floats

Number = Floats
Condition = tuple[Flags, Flags]
Value = Any
"""A `Number` or a `Condition`, as the node's kind says."""


def divide(a: Number, b: Number) -> Number:
    """a / b; NaN where b is 0."""
    return np.where(b == 0, np.nan, a / b)


def floor_divide(a: Number, b: Number) -> Number:
    """floor(a / b); NaN where b is 0."""
    return np.floor(divide(a, b))


def modulo(a: Number, b: Number) -> Number:
    """a - b * floor(a / b); NaN where b is 0."""
    return a - b * floor_divide(a, b)


def power(a: Number, b: Number) -> Number:
    """a to the power b; NaN where that is undefined: 0 to a negative power, a negative to a fraction."""
    return np.where((a == 0) & (b < 0), np.nan, np.power(a, b))


def logarithm(a: Number) -> Number:
    """Natural logarithm; NaN at 0 and below."""
    return np.where(a > 0, np.log(a), np.nan)


def least(a: Number, b: Number) -> Number:
    """The smaller one; NaN where either is."""
    return np.minimum(a, b)


def greatest(a: Number, b: Number) -> Number:
    """The larger one; NaN where either is."""
    return np.maximum(a, b)


def whole_root(a: Number) -> Number:
    """floor(sqrt(a))."""
    return np.floor(np.sqrt(a))


NUMBERS: dict[str, Callable[..., Number]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": divide,
    "floordiv": floor_divide,
    "mod": modulo,
    "pow": power,
    "neg": np.negative,
    "abs": np.abs,
    "min": least,
    "max": greatest,
    "sqrt": np.sqrt,
    "log": logarithm,
    "exp": np.exp,
    "isqrt": whole_root,
}
"""Operations from numbers to a number, by op."""

COMPARISONS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "lt": (np.less, np.greater_equal),
    "le": (np.less_equal, np.greater),
    "gt": (np.greater, np.less_equal),
    "ge": (np.greater_equal, np.less),
    "eq": (np.equal, lambda a, b: (a < b) | (a > b)),
    "ne": (lambda a, b: (a < b) | (a > b), np.equal),
}
"""Comparisons and their opposites, by op."""


def evaluate(nodes: Sequence[Node], order: Sequence[int], known: Mapping[int, Value]) -> dict[int, Value]:
    """Values of the nodes `order` (ascending), given those of the nodes that they begin from.

    Numbers are float64 arrays that broadcast against each other; the last axis is time where a node has one.
    """
    values: dict[int, Value] = dict(known)
    with np.errstate(all="ignore"):
        for index in order:
            if index not in values:
                node = nodes[index]
                values[index] = _apply(node, [values[arg] for arg in node.args])
    return values


def value_of_constants(node: Node, args: Sequence[Node]) -> Value:
    """The value of an elementwise node whose arguments are all constants; arrays of length 1."""
    with np.errstate(all="ignore"):
        return _apply(node, [_constant(arg) for arg in args])


def _apply(node: Node, args: list[Value]) -> Value:
    op = node.op
    if op in NUMBERS:
        return NUMBERS[op](*args)
    if op in COMPARISONS:
        true, false = COMPARISONS[op]
        return true(*args), false(*args)
    if op == "const":
        return _constant(node)
    if op == "and":
        return args[0][0] & args[1][0], args[0][1] | args[1][1]
    if op == "or":
        return args[0][0] | args[1][0], args[0][1] & args[1][1]
    if op == "not":
        return args[0][1], args[0][0]
    if op == "where":
        (true, false), a, b = args
        return np.where(true, a, np.where(false, b, np.nan))
    if op == "prev":
        return _earlier(node, args[0])
    raise KeyError(op)


def _constant(node: Node) -> Value:
    value = np.array([float(node.value)])  # type: ignore[arg-type]
    return (value == 1.0, value == 0.0) if node.kind == "condition" else value


def _earlier(node: Node, value: Value) -> Value:
    if node.kind == "condition":
        return tuple(_shifted(part, False) for part in value)
    return _shifted(value, np.nan)


def _shifted(values: NDArray[Any], missing: Any) -> NDArray[Any]:
    out = np.full_like(values, missing)
    out[..., 1:] = values[..., :-1]
    return out


def choose(codes: Number, choices: Sequence[float]) -> Number:
    """The numbers behind the codes of a numeric choice."""
    return np.asarray(choices, np.float64)[codes.astype(np.int64)]
