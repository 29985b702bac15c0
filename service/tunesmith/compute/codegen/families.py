"""Families: rows of one form, such as ema(close, fast) and ema(close, slow), are computed together, each value once.

Two nodes are of one family when their expressions are the same but for the parameters' names. A search over pairs of
averages so holds one row for each window, not one for each window and side.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tunesmith.compute.graph.nodes import Node
from tunesmith.domain.array_types import Floats, Ints

_DENSE = 4


@dataclass(frozen=True, slots=True)
class Family:
    """Row nodes of one form, ascending, and for each the parameters in the order in which its expression reads them."""

    members: tuple[int, ...]
    params: tuple[tuple[int, ...], ...]

    @property
    def model(self) -> int:
        """The member from whose expression the rows are computed."""
        return self.members[0]


class Distinct(NamedTuple):
    """The k distinct rows of a family for n points.

    `member` int64[k] and `point` int64[k]: a member and a point that need each row; `inverse` int64[n] for each member
    node: which row a point needs.
    """

    member: Ints
    point: Ints
    inverse: dict[int, Ints]

    def __len__(self) -> int:
        return len(self.point)


def find_families(nodes: Sequence[Node], rows: Iterable[int]) -> tuple[Family, ...]:
    """The families of the row nodes `rows`, ordered so that each comes after those that it is computed from."""
    found: dict[object, list[tuple[int, tuple[int, ...]]]] = {}
    for number in sorted(rows):
        form, params = _form(nodes, number)
        found.setdefault(form, []).append((number, params))
    families = [Family(tuple(n for n, _ in members), tuple(p for _, p in members)) for members in found.values()]
    return tuple(sorted(families, key=lambda family: family.model))


def _form(nodes: Sequence[Node], root: int) -> tuple[object, tuple[int, ...]]:
    """An expression with its parameters numbered in reading order, and those parameters."""
    places: dict[int, int] = {}
    params: dict[int, int] = {}
    form: list[object] = []
    waiting = [(root, False)]
    while waiting:
        number, is_read = waiting.pop()
        if number in places:
            continue
        node = nodes[number]
        if not is_read:
            waiting.append((number, True))
            waiting.extend((arg, False) for arg in reversed(node.args))
            continue
        own = tuple(params.setdefault(p, len(params)) for p in node.params) if not node.args else ()
        places[number] = len(places)
        form.append((node.op, repr(node.value), node.kind, node.frame, own, tuple(places[arg] for arg in node.args)))
    return tuple(form), tuple(params)


class Needs:
    """Which distinct rows points float64[n, p] need of each family; each family is looked at once."""

    def __init__(self, points: Floats) -> None:
        self.points = points
        self._known: dict[int, Distinct] = {}

    def of(self, family: Family) -> Distinct:
        """The distinct rows of a family."""
        if family.model not in self._known:
            self._known[family.model] = self._find(family)
        return self._known[family.model]

    def examples(self, family: Family) -> Floats:
        """Points float64[k, p] for which the family's model is each of its distinct rows."""
        distinct = self.of(family)
        points = self.points[distinct.point]
        for i, params in enumerate(family.params[1:], 1):
            chosen = distinct.member == i
            points[np.ix_(chosen, list(family.params[0]))] = self.points[distinct.point[chosen]][:, list(params)]
        return points

    def _find(self, family: Family) -> Distinct:
        n = len(self.points)
        codes = np.zeros(n * len(family.members), np.int64)
        first = codes[:1]
        for columns in zip(*family.params, strict=True):
            values = np.concatenate([self.points[:, column] for column in columns])
            distinct, rank = _ranked(values)
            first, codes = _ranked(codes * len(distinct) + rank)
        inverse_of = {member: codes[i * n : (i + 1) * n] for i, member in enumerate(family.members)}
        return Distinct(first // max(n, 1), first % max(n, 1), inverse_of)


def _ranked(values: NDArray[Any]) -> tuple[Ints, Ints]:
    """Where each distinct value stands first, ascending by value, int64[k], and each one's rank int64[n].

    Whole numbers in a narrow range, as windows are, are counted instead of sorted.
    """
    if len(values) and (values.dtype.kind == "i" or (values == np.floor(values)).all()):
        low = values.min()
        if values.max() - low < _DENSE * len(values) + 1000:
            offset = (values - low).astype(np.int64)
            place = np.full(int(offset.max()) + 1, -1, np.int64)
            place[offset[::-1]] = np.arange(len(values) - 1, -1, -1)
            present = np.flatnonzero(place >= 0)
            rank = np.empty(len(place), np.int64)
            rank[present] = np.arange(len(present))
            return place[present], rank[offset]
    _, first, inverse = np.unique(values, return_index=True, return_inverse=True)
    return first.astype(np.int64), inverse.astype(np.int64).reshape(len(values))
