"""What is known of the searches of a book on shuffled markets: plain arrays by search, to be kept and handed back."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeVar

import numpy as np

from tunesmith.compute.decision.nulls.counted_search import REAL
from tunesmith.compute.decision.nulls.draw_table import Drawn, DrawRequest, Finds, Link
from tunesmith.domain.array_types import Floats, Ints

T = TypeVar("T")
Work = Generator[list[DrawRequest], list[Drawn], T]
"""A plan that yields lists of requests and is sent their answers in the same order."""


class Cut(NamedTuple):
    """How draws are cut into requests: so many draws in each, and so many requests at once."""

    draws: int = 25
    requests: int = 4

    def parts(self, draws: Iterable[int]) -> list[tuple[int, ...]]:
        """The draws, as many a request as there may be."""
        numbers = list(draws)
        return [tuple(numbers[at : at + self.draws]) for at in range(0, len(numbers), self.draws)]

    def blocks(self, draws: Sequence[int]) -> list[Sequence[int]]:
        """The draws, as many at once as there may be."""
        size = self.draws * self.requests
        return [draws[at : at + size] for at in range(0, len(draws), size)]


USUAL_CUT = Cut()


@dataclass(frozen=True, eq=False)
class Null:
    """What is known of one search, on the ground that it was made on; nothing else may be said of another ground.

    `best` is the value of its best trial on the real bars, `NOTHING` without any, NaN if not known; `best_point`
    float64[p]. `finds` are those of the draws 0, 1, 2, … `beta` and `holder` as in `Link`: None if not known, of length
    0 where the search is linked to none.
    """

    best: float
    best_point: Floats
    finds: Finds
    holder: str = ""
    beta: Floats | None = None


Nulls = Mapping[str, Null]
"""Nulls by search. One holds for the search as it is, `n_made` included, and for what its owner saw before it."""


def nothing_known(n_parameters: int) -> Null:
    """A null of which nothing is known."""
    none = np.empty(0)
    return Null(math.nan, np.full(n_parameters, np.nan), Finds(none, none, np.empty((0, n_parameters))))


def with_answer(nulls: Nulls, drawn: Drawn) -> dict[str, Null]:
    """`nulls` and what an answer adds to them."""
    found = dict(nulls)
    for name, finds in drawn.finds.items():
        null = found.get(name) or nothing_known(finds.places.shape[1])
        if REAL in drawn.draws:
            at = drawn.draws.index(REAL)
            null = replace(null, best=float(finds.v[at]), best_point=finds.places[at])
        numbers = np.array(drawn.draws)
        made = np.flatnonzero((numbers != REAL) & ~np.isnan(finds.v))
        found[name] = replace(null, finds=_filled(null.finds, numbers[made], finds, made))
    return found


def finds_on(nulls: Nulls, draws: Sequence[int]) -> dict[str, Finds]:
    """What is known on these draws, of each search of which anything is."""
    found = {}
    for name, null in nulls.items():
        reached = [number for number in draws if 0 <= number < len(null.finds.v)]
        if reached and not np.isnan(null.finds.v[reached]).all():
            none = nothing_known(len(null.best_point)).finds
            at = np.array([i for i, number in enumerate(draws) if 0 <= number < len(null.finds.v)])
            whole = _filled(none, np.array([len(draws) - 1]), _blank(len(null.best_point)), np.array([0]))
            found[name] = _filled(whole, at, null.finds, np.array(reached))
    return found


def is_known(null: Null | None, number: int) -> bool:
    """Whether it is known what a search finds on draw `number`."""
    if null is None:
        return False
    if number == REAL:
        return not math.isnan(null.best)
    return number < len(null.finds.v) and not math.isnan(null.finds.v[number])


def best_trials(nulls: Nulls) -> dict[str, tuple[float, Floats]]:
    """The best trials on the real bars, as far as they are known."""
    return {name: (null.best, null.best_point) for name, null in nulls.items() if not math.isnan(null.best)}


def links_of(nulls: Nulls) -> dict[str, Link]:
    """The links of searches that move with an earlier trial of another text."""
    return {
        name: Link(null.holder, nulls[null.holder].best_point, null.beta)
        for name, null in nulls.items()
        if null.beta is not None and null.beta.any()
    }


def _filled(old: Finds, numbers: Ints, new: Finds, rows: Ints) -> Finds:
    """`old` with rows of `new` in the places `numbers` int64[m]; longer where they lie beyond its end."""
    n = max(len(old.v), int(numbers.max()) + 1 if len(numbers) else 0)
    blank = Finds(np.full(n, np.nan), np.zeros(n), np.full((n, old.places.shape[1]), np.nan))
    for whole, before, given in zip(_arrays(blank), _arrays(old), _arrays(new), strict=True):
        whole[: len(before)] = before
        whole[numbers] = given[rows]
    return blank


def _blank(n_parameters: int) -> Finds:
    return Finds(np.full(1, np.nan), np.zeros(1), np.full((1, n_parameters), np.nan))


def _arrays(finds: Finds) -> tuple[Floats, Floats, Floats]:
    return finds.v, finds.lift, finds.places
