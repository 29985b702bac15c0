"""All searches that count on a market, in their order: which of them each one could follow, and which add nothing."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from tunesmith.compute.decision.nulls.counted_search import CountedSearch
from tunesmith.compute.decision.nulls.frame import Frame, frame_of
from tunesmith.compute.decision.nulls.point_table import keys_of
from tunesmith.domain.array_types import Words
from tunesmith.errors import Internal

_FEW = 16
"""Points that are looked for first: mostly one of them is new, which is all that is asked."""


class Lineage:
    """The searches of `book`, which stand in the order in which they began to count."""

    def __init__(self, book: Sequence[CountedSearch]) -> None:
        """Raises `Internal` where two searches have one id."""
        self.searches = {search.search_id: search for search in book}
        if len(self.searches) != len(book):
            raise Internal("two searches of the book have one id")
        self._frames: dict[str, Frame] = {}
        self._seen: dict[str, tuple[str, ...]] = {}
        self._leaders: dict[str, tuple[str, ...]] = {}
        self._place = {name: i for i, name in enumerate(self.searches)}

    def __getitem__(self, search_id: str) -> CountedSearch:
        return self.searches[search_id]

    @property
    def own(self) -> tuple[str, ...]:
        """The searches that the clock counts."""
        return tuple(name for name, search in self.searches.items() if not search.draws_only_p)

    def adds_nothing(self, search_id: str) -> bool:
        """Whether every point of a search was tried by earlier ones: it can find nothing that they cannot."""
        return search_id in self._covered

    def seen(self, search_id: str) -> tuple[str, ...]:
        """The earlier searches on the timeframe of this one whose results its owner could see, in their order.

        For one that adds nothing, those stand that tried its points before.
        """
        if search_id not in self._seen:
            search = self.searches[search_id]
            named = {*search.seen}.union(*(self._covered.get(name, ()) for name in search.seen))
            before = sorted(
                self._place[name]
                for name in named
                if self._place.get(name, len(self._place)) < self._place[search_id]
                and name not in self._covered
                and not self.searches[name].draws_only_p
                and self.searches[name].timeframe == search.timeframe
            )
            names = list(self.searches)
            self._seen[search_id] = tuple(names[place] for place in before)
        return self._seen[search_id]

    def leaders(self, search_id: str) -> tuple[str, ...]:
        """Those of `seen` that are of the same text: the search follows the best of them."""
        if search_id not in self._leaders:
            text = self.searches[search_id].text
            same = (name for name in self.seen(search_id) if self.searches[name].text == text)
            self._leaders[search_id] = tuple(same)
        return self._leaders[search_id]

    def frame(self, search_id: str) -> Frame:
        """In which a search follows its leaders."""
        if search_id not in self._frames:
            search = self.searches[search_id]
            others = [self.searches[name].uses for name in self.leaders(search_id)]
            self._frames[search_id] = frame_of(search.rule.parameters, search.uses, others)
        return self._frames[search_id]

    @cached_property
    def _covered(self) -> dict[str, frozenset[str]]:
        """Searches that add nothing, and those earlier ones that tried their points.

        Only such as it has seen count: then a search's null depends on nothing that is not in its past.
        """
        keys: dict[str, Words] = {}
        covered: dict[str, frozenset[str]] = {}
        for name, search in self.searches.items():
            if search.points is None or search.draws_only_p:
                continue
            keys[name] = np.sort(keys_of(search.points))
            before = [each for each in keys if each in search.seen and self.searches[each].family == search.family]
            tried = [keys[each] for each in before]
            if _all_in(keys[name][:_FEW], tried) and _all_in(keys[name], tried):
                covered[name] = frozenset(each for each in before if each not in covered)
        return covered


def _all_in(keys: Words, tried: Sequence[Words]) -> bool:
    """Whether each of `keys` is in one of the arrays `tried`, which ascend."""
    for one in tried:
        if not len(keys):
            break
        if len(one):
            at = np.minimum(np.searchsorted(one, keys), len(one) - 1)
            keys = keys[one[at] != keys]
    return not len(keys)
