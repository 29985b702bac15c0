"""The plan of a rule: what becomes a row, what is fused into the compiled conditions, what is known per point.

Decided once for a rule, never from the points at hand, so that the same point always takes the same path through the
same arithmetic, in whatever company it is evaluated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tunesmith.compute.codegen.emit import Fused, emit
from tunesmith.compute.codegen.families import Family, find_families
from tunesmith.compute.graph.nodes import ELEMENTWISE, Node, reachable
from tunesmith.compute.language.program import Rule


@dataclass(frozen=True, slots=True)
class Plan:
    """Numbers are nodes of the rule's graph.

    `families` of rows are computed in this order; `leaves` are the rows that the fused conditions read, `lags` how many
    bars back each of them is read at most; `scalars` are the point values that they read. `conditions` and `prices`
    name the outputs of the fused kernel `source`, which takes `n_scratch` rows of scratch; `fractions` are the levels
    that are known per point. Where the rule `looks_back`, what the kernel says of bar 0 does not count; where it
    `reads_rough`, it takes rounded rows too.
    """

    families: tuple[Family, ...]
    leaves: tuple[int, ...]
    lags: tuple[int, ...]
    scalars: tuple[int, ...]
    conditions: tuple[str, ...]
    prices: tuple[str, ...]
    fractions: tuple[tuple[str, int], ...]
    source: str
    looks_back: bool
    n_scratch: int
    reads_rough: bool


def make_plan(rule: Rule) -> Plan:
    """The plan of a checked rule."""
    nodes = rule.nodes
    prices = [(name, node) for name, node in rule.levels if nodes[node].varies]
    fractions = [(name, node) for name, node in rule.levels if not nodes[node].varies]
    targets = [node for _, node in (*rule.conditions, *prices)]
    kept = [is_row(nodes, number) for number in range(len(nodes))]
    fused = reachable(nodes, targets, lambda n: kept[n] or not nodes[n].varies)
    leaves = tuple(n for n in fused if kept[n])
    scalars = tuple(n for n in fused if not nodes[n].varies and nodes[n].op != "const")
    conditions = [node for _, node in rule.conditions]
    entries = [name.startswith("enter") for name, _ in rule.conditions]
    written = emit(Fused(nodes, leaves, scalars, conditions, entries, [node for _, node in prices]))
    return Plan(
        find_families(nodes, _rows(nodes, leaves)),
        leaves,
        written.lags,
        scalars,
        tuple(name for name, _ in rule.conditions),
        tuple(name for name, _ in prices),
        tuple(fractions),
        written.source,
        written.looks_back,
        written.n_scratch,
        written.reads_rough,
    )


def is_row(nodes: Sequence[Node], number: int) -> bool:
    """Whether a node used by the conditions is computed beforehand, once for each distinct value of its parameters.

    Row functions and columns are. So is arithmetic over them when that makes no more rows than one of them has anyway:
    when it depends on no parameter, or on those of one of its rows.
    """
    node = nodes[number]
    if not node.varies or node.kind == "condition":
        return False
    if node.op not in ELEMENTWISE:
        return True
    if node.op == "prev":
        return False
    return not node.params or any(nodes[n].params == node.params for n in raw_rows(nodes, number))


def raw_rows(nodes: Sequence[Node], number: int) -> dict[int, int]:
    """The columns and row functions that an elementwise node is made of, and how many bars back it reads each."""
    found: dict[int, int] = {}
    seen: set[tuple[int, int]] = set()
    waiting = [(number, 0)]
    while waiting:
        n, back = waiting.pop()
        node = nodes[n]
        if (n, back) in seen or not node.varies:
            continue
        seen.add((n, back))
        if node.op in ELEMENTWISE:
            waiting.extend((arg, back + (node.op == "prev")) for arg in node.args)
        else:
            found[n] = max(found.get(n, 0), back)
    return found


def _rows(nodes: Sequence[Node], leaves: Sequence[int]) -> set[int]:
    """`leaves` and all rows that they are made of."""
    found: set[int] = set()
    waiting = list(leaves)
    while waiting:
        number = waiting.pop()
        if number not in found:
            found.add(number)
            waiting.extend(row_arguments(nodes, number))
    return found


def row_arguments(nodes: Sequence[Node], number: int) -> dict[int, int]:
    """The rows that a row is computed from, in order, and how many bars back it reads each beside its own window."""
    if nodes[number].op in ELEMENTWISE:
        return raw_rows(nodes, number)
    return {arg: 0 for arg in nodes[number].args if nodes[arg].varies}
