"""What a verdict is told of all searches that count: how many tries they are, and the p-value of its winner among them.

Both are plans of work like those of `null_plan`; daemon and library follow them, each in its own way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np

from tunesmith.compute.decision.nulls.counted_search import REAL, CountedSearch
from tunesmith.compute.decision.nulls.draw_table import DrawRequest
from tunesmith.compute.decision.nulls.null_plan import Counted, SearchTest, count_searches, cut_for, search_p_value
from tunesmith.compute.decision.nulls.null_vectors import Nulls, Work
from tunesmith.compute.decision.statistics.levels import with_imports
from tunesmith.compute.decision.statistics.record_clock import TRY
from tunesmith.domain.array_types import Floats

Evidence = dict[str, Any]


@dataclass(frozen=True, eq=False)
class AskedBook:
    """The searches that count in a verdict, in their order, and what it asks: a `point` float64[p] of one of them.

    `n_opened` of them are others' whose results the asker opened, `n_related` were made on related markets alone, and
    those named in `parts` stand for the same searches on other bars that they were given.
    `n_unmade` trials count beside them that cannot be made again here. `boundaries` are the instants at which the
    hold-out began whenever one of them was asked for, and now.
    """

    searches: Sequence[CountedSearch]
    asked_id: str
    point: Floats
    n_opened: int = 0
    n_related: int = 0
    parts: frozenset[str] = frozenset()
    n_unmade: int = 0
    boundaries: frozenset[int] = frozenset()

    @property
    def own(self) -> list[CountedSearch]:
        """Those that the clock counts."""
        return [search for search in self.searches if not search.draws_only_p]


def count_asked(book: AskedBook, known: Nulls) -> Work[tuple[Evidence, Counted]]:
    """Count the searches, and evaluate the submitted point on the real bars.

    The evidence: `n` searches of which so many are own, opened and related, their trials, `ticks` of the record clock,
    what each added to it, and `t`, the point's statistic.
    """
    counted = yield from count_searches(book.searches, known, cut_for(book.searches))
    answers = yield [DrawRequest((REAL,), series=((book.asked_id, book.point[np.newaxis]),))]
    n = len(book.own) - len(book.parts)
    evidence = {
        "n": n,
        "n_own": n - book.n_opened - book.n_related,
        "n_opened": book.n_opened,
        "n_related": book.n_related,
        "n_parts": len(book.parts),
        "n_trials": sum(search.n_made for search in book.own if search.search_id not in book.parts),
        "n_unmade": book.n_unmade,
        "ticks": counted.ticks + TRY * _eras_not_counted(book),
        "added": counted.added,
        "t": float(answers[0].series[0][0, 0]),
    }
    return evidence, counted


def test_asked(
    book: AskedBook, counted: Counted, t: float, n_draws: int, stop_at: int
) -> Work[tuple[Evidence, SearchTest]]:
    """The p-value of `t` among all searches; trials that cannot be made again count as independent rules."""
    test = yield from search_p_value(book.searches, counted, book.point, book.asked_id, t, n_draws, stop_at)
    evidence = {
        "p": with_imports(test.p, t, [book.n_unmade]),
        "n": test.n,
        "n_reached": test.n_reached,
        "n_draws": n_draws,
        "stop_at": stop_at,
        "real": t,
        "n_foreign": len(test.foreign),
    }
    return evidence, test


def _eras_not_counted(book: AskedBook) -> int:
    """Hold-outs under which somebody asked, or asks now, and at which no search began: each is a whole try as well."""
    counted = [era for era, _ in groupby(search.era_ms for search in book.own)]
    return max(0, len(book.boundaries | set(counted)) - len(counted))
