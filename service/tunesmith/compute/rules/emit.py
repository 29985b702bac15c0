"""The fused conditions of a rule as the source of one compiled function.

The function writes, for the points lo to hi, one byte a bar for each condition and one float64 for each price:

    conditions(rows f8[R, T], index i8[n, L], values f8[n, Q], lo, hi, flags u1[C, m, T], prices f8[P, m, T])

m = hi - lo. `index[i]` says which row each leaf of point i is, `values[i]` holds its scalars. The inner loop has no
branch, and an unsigned index, which numba need not wrap around, so that the compiler vectorizes it. A rule that looks
one bar back is written from bar 1 on: bar 0 is not the kernel's. Long series are cut into tiles that stay in the
processor's cache while the block's points pass over them. A condition is emitted as "known true" or "known false"
(three-valued logic resolved here, at no cost): comparisons with NaN are neither. Every name in the source is made of
node numbers, every constant is the `repr` of a float: nothing of the user's text gets in.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tunesmith.compute.rules.nodes import Node

TILE = 4096

Part = tuple[int, int, str]
"""What the loop needs: a node, how many bars back, and n (number), t (known true) or f (known false)."""

_COMPARE = {
    "lt": ("{0} < {1}", "{0} >= {1}"),
    "le": ("{0} <= {1}", "{0} > {1}"),
    "gt": ("{0} > {1}", "{0} <= {1}"),
    "ge": ("{0} >= {1}", "{0} < {1}"),
    "eq": ("{0} == {1}", "({0} < {1}) | ({0} > {1})"),
    "ne": ("({0} < {1}) | ({0} > {1})", "{0} == {1}"),
}
_NUMBERS = {
    "add": "{0} + {1}",
    "sub": "{0} - {1}",
    "mul": "{0} * {1}",
    "div": "{0} / {1} if {1} != 0.0 else nan",
    "floordiv": "np.floor({0} / {1}) if {1} != 0.0 else nan",
    "mod": "{0} - {1} * np.floor({0} / {1}) if {1} != 0.0 else nan",
    "pow": "nan if ({0} == 0.0) & ({1} < 0.0) else {0} ** {1}",
    "neg": "-{0}",
    "abs": "abs({0})",
    "min": "{0} if ({0} <= {1}) | ({0} != {0}) else {1}",
    "max": "{0} if ({0} >= {1}) | ({0} != {0}) else {1}",
    "sqrt": "np.sqrt({0})",
    "log": "np.log({0}) if {0} > 0.0 else nan",
    "exp": "np.exp({0})",
}

_HEAD = '''"""Conditions of one rule, generated from its expression graph."""

import numpy as np
from numba import njit

nan = np.nan
one = np.uint64(1)


@njit(cache=True, nogil=True, error_model="numpy", _nrt=False)
def conditions(rows, index, values, lo, hi, flags, prices):
    n_bars = rows.shape[1]
    for tile in range(0, n_bars, {tile}):
        stop = np.uint64(min(tile + {tile}, n_bars))
        start = np.uint64(max(tile, {skipped}))
        for point in range(lo, hi):
            at = point - lo
'''


class Fused(NamedTuple):
    """What is to be emitted; all are node numbers."""

    nodes: Sequence[Node]
    leaves: Sequence[int]
    scalars: Sequence[int]
    conditions: Sequence[int]
    prices: Sequence[int]


class Emitted(NamedTuple):
    """The source; for each leaf how many bars back it is read at most; whether one is, and bar 0 so left out."""

    source: str
    lags: tuple[int, ...]
    looks_back: bool


def emit(fused: Fused) -> Emitted:
    """The source of the fused conditions."""
    parts = _needed(fused)
    lagging = any(back for _, back, _ in parts)
    lines = [_HEAD.format(tile=TILE, skipped=int(lagging)).rstrip("\n")]
    for i, number in enumerate(fused.scalars):
        lines += [f"            {line}" for line in _scalar(fused.nodes[number], number, i)]
    lines += [f"            r{n} = rows[index[point, {i}]]" for i, n in enumerate(fused.leaves)]
    lines += [f"            c{i} = flags[{i}, at]" for i in range(len(fused.conditions))]
    lines += [f"            p{i} = prices[{i}, at]" for i in range(len(fused.prices))]
    lines.append("            for t in range(start, stop):")
    lines += [f"                {line}" for line in _body(fused, parts)]
    lags = tuple(max(back for n, back, _ in parts if n == leaf) for leaf in fused.leaves)
    return Emitted("\n".join(lines) + "\n", lags, lagging)


def _needed(fused: Fused) -> list[Part]:
    """All parts that the outputs are made of, each after what it reads."""
    found: set[Part] = set()
    waiting: list[Part] = [(n, 0, "t") for n in fused.conditions] + [(n, 0, "n") for n in fused.prices]
    while waiting:
        part = waiting.pop()
        if part not in found:
            found.add(part)
            waiting.extend(_reads(fused, part))
    return sorted(found, key=lambda part: (part[0], -part[1], part[2]))


def _reads(fused: Fused, part: Part) -> list[Part]:
    number, back, form = part
    node = fused.nodes[number]
    if number in fused.leaves or not node.varies:
        return []
    if node.op == "prev":
        return [(node.args[0], back + 1, form)]
    if node.op == "not":
        return [(node.args[0], back, _opposite(form))]
    if node.op == "where":
        condition, a, b = node.args
        return [(condition, back, "t"), (condition, back, "f"), (a, back, "n"), (b, back, "n")]
    return [(arg, back, form if node.op in ("and", "or") else "n") for arg in node.args]


def _opposite(form: str) -> str:
    return "f" if form == "t" else "t"


def _scalar(node: Node, number: int, i: int) -> list[str]:
    if node.kind == "number":
        return [f"s{number}n = values[point, {i}]"]
    return [f"s{number}t = values[point, {i}] > 0.5", f"s{number}f = values[point, {i}] < 0.5"]


def _body(fused: Fused, parts: Sequence[Part]) -> list[str]:
    lines = []
    for part in parts:
        node = fused.nodes[part[0]]
        if node.varies:
            lines.append(f"{_name(fused, part)} = {_expression(fused, part)}")
    lines += [f"c{i}[t] = {_name(fused, (n, 0, 't'))}" for i, n in enumerate(fused.conditions)]
    lines += [f"p{i}[t] = {_name(fused, (n, 0, 'n'))}" for i, n in enumerate(fused.prices)]
    return lines


def _name(fused: Fused, part: Part) -> str:
    number, back, form = part
    node = fused.nodes[number]
    if node.op == "const":
        if node.kind == "condition":
            return str((node.value == 1.0) == (form == "t"))
        return f"({float(node.value)!r})"  # type: ignore[arg-type]
    return f"v{number}_{back}{form}" if node.varies else f"s{number}{form}"


def _expression(fused: Fused, part: Part) -> str:
    number, back, form = part
    node = fused.nodes[number]
    if number in fused.leaves:
        return f"r{number}[t - one]" if back else f"r{number}[t]"
    names = [_name(fused, read) for read in _reads(fused, part)]
    if node.op in ("prev", "not"):
        return names[0]
    if node.op in ("and", "or"):
        return f"{names[0]} {'&' if (node.op == 'and') == (form == 't') else '|'} {names[1]}"
    if node.op == "where":
        true, false, a, b = names
        return f"{a} if {true} else ({b} if {false} else nan)"
    if node.op in _COMPARE:
        return _COMPARE[node.op][form == "f"].format(*names)
    return _NUMBERS[node.op].format(*names)
