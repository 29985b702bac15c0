"""Values that need no bars: conditions on parameters, fractions, windows. One row of codes is one point."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tunesmith.compute.graph.elementwise import Value, choose, evaluate
from tunesmith.compute.graph.nodes import Node, reachable
from tunesmith.domain.array_types import Flags, Floats
from tunesmith.domain.parameters import Parameter, encode
from tunesmith.errors import Invalid

Points = Floats


def defaults_point(parameters: Sequence[Parameter]) -> Points:
    """The declared defaults as one point, float64[1, p]."""
    return np.array([[encode(parameter, parameter.default) for parameter in parameters]], np.float64).reshape(1, -1)


def point_values(nodes: Sequence[Node], targets: Sequence[int], points: Points) -> dict[int, Value]:
    """Values float64[n] (conditions: pairs of bool[n]) of nodes that do not vary, for `points` float64[n, p].

    Constants come as arrays of length 1 where no parameter takes part.
    """
    order = reachable(nodes, targets)
    known: dict[int, Value] = {}
    for number in order:
        node = nodes[number]
        if node.op in ("param", "choice", "is_choice"):
            known[number] = _parameter_value(node, points)
    return evaluate(nodes, order, known)


def satisfied(nodes: Sequence[Node], parameters: Sequence[Parameter], requires: Sequence[int], points: Points) -> Flags:
    """Which of `points` float64[n, p] are known to fulfil all conditions; bool[n]."""
    values = point_values(nodes, requires, points)
    result = np.ones(len(points), np.bool_)
    for number in requires:
        result &= values[number][0]
    return result


def check_points(parameters: Sequence[Parameter], points: Points) -> None:
    """Raise `Invalid` unless `points` float64[n, p] hold codes within the declared ranges: kernels rely on it."""
    if points.ndim != 2 or points.shape[1] != len(parameters):
        raise Invalid(f"points must have {len(parameters)} columns, found the shape {points.shape}", path="/params")
    for parameter, codes in zip(parameters, points.T, strict=True):
        low, high = code_bounds(parameter)
        whole = parameter.kind != "float"
        good = (codes >= low) & (codes <= high) & ((codes == np.floor(codes)) if whole else True)
        if not good.all():
            wrong = codes[np.argmin(good)]
            raise Invalid(
                f"{wrong:g} is not within {low:g} to {high:g}, the range of {parameter.name}",
                path=f"/params/{parameter.name}",
            )


def code_bounds(parameter: Parameter) -> tuple[float, float]:
    """The least and greatest code of a parameter."""
    if parameter.kind == "choice":
        return 0.0, float(len(parameter.choices) - 1)
    if parameter.kind == "bool":
        return 0.0, 1.0
    return float(parameter.low or 0.0), float(parameter.high or 0.0)


def _parameter_value(node: Node, points: Points) -> Value:
    if node.op == "param":
        codes = points[:, node.params[0]]
        return codes if node.kind == "number" else (codes == 1.0, codes == 0.0)
    codes, detail = points[:, node.params[0]], node.value
    if isinstance(detail, tuple):
        return choose(codes, detail)
    return codes == detail, codes != detail
