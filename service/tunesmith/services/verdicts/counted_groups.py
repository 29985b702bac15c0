"""Counted tasks made searches of: single backtests of one text are one search, the same search made again is one.

What they have in common is what their null depends on: a user, a text, an execution, a timeframe, and points.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import msgspec

from tunesmith.compute.decision.nulls.counted_search import trials_that_count
from tunesmith.compute.search.samplers import SAMPLERS
from tunesmith.domain.parameters import ParamValues
from tunesmith.domain.search.search_plan import SearchPlan
from tunesmith.errors import Internal
from tunesmith.services.market.market_windows import Window
from tunesmith.services.tasks.task_kinds import KINDS
from tunesmith.services.tasks.tried import Tried
from tunesmith.storage.tables.counted_table import CountedRow
from tunesmith.workers.chunks.null_payloads import CountedRef
from tunesmith.workers.chunks.payloads import StrategyRef

_NO_POINTS = ("target", "n_trials", "bounds", "aggregate")
"""What does not decide which points are tried by a method that does not learn, whose trials are counted apart."""


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """A counted task that has results: who made it, what it tried, how many trials count, since when they are visible.

    `n_made` as `trials_that_count` has it.
    """

    id: int
    task_id: str
    user: str
    n_made: int
    visible_from: int
    tried: Tried


class Openings:
    """Who was delivered results of whom, and when."""

    def __init__(self, at: Mapping[tuple[str, int], int]) -> None:
        self._at = at

    def visible_to(self, user: str, member: Member) -> int | None:
        """The highest counted id there was when `user` first could see results of the task; None: never."""
        return member.visible_from if member.user == user else self._at.get((user, member.id))

    def opened(self, user: str, counted_id: int) -> bool:
        return (user, counted_id) in self._at


@dataclass(frozen=True)
class Group:
    """Tasks that count as one search, oldest first."""

    members: list[Member]

    @property
    def first(self) -> Member:
        return self.members[0]

    @property
    def search_id(self) -> str:
        return self.first.task_id

    @cached_property
    def points(self) -> list[ParamValues]:
        """The points of pooled backtests, each once, in the order in which they were tried."""
        found = {_text(member.tried.params): member.tried.params for member in self.members}
        return [params for params in found.values() if params is not None]

    @property
    def n_made(self) -> int:
        return self.first.n_made if self.first.tried.plan is not None else len(self.points)

    def visible_to(self, user: str, openings: Openings) -> int | None:
        """The highest counted id there was when `user` first could see any of its results; None: never."""
        found = [openings.visible_to(user, member) for member in self.members]
        return min((each for each in found if each is not None), default=None)

    def ref(self, seen: list[str], *, foreign: bool) -> CountedRef:
        """The search as it travels to a worker."""
        tried, window = self.first.tried, self.first.tried.windows[0]
        return CountedRef(
            search_id=self.search_id,
            counted_id=self.first.id,
            user=self.first.user,
            strategy=tried.strategy,
            plan=tried.plan,
            costs=window.costs,
            fill=window.fill,
            direction=window.direction,
            initial_cash=window.initial_cash,
            timeframe=window.timeframe,
            n_made=self.n_made,
            listed=self.points if tried.plan is None else [],
            seen=seen,
            foreign=foreign,
            tasks=[member.task_id for member in self.members],
            spans=sorted({_span(each) for member in self.members for each in member.tried.windows}, key=_text),
            boundaries=sorted({each.boundary_ms for member in self.members for each in member.tried.windows}),
        )


def _span(window: Window) -> tuple[str, str, int, int | None]:
    return window.venue, window.symbol, window.start_ms, None if window.withheld else window.end_ms


def member_of(row: CountedRow) -> Member:
    """The counted task of a row, as its kind says what it tried."""
    kind = KINDS[row.kind]
    if kind.counts is None:
        raise Internal(f"tasks of the kind {row.kind} count nothing, but {row.task_id} is counted")
    tried = kind.counts(msgspec.json.decode(row.request, type=kind.request))
    n_planned = 0 if tried.plan is None else tried.plan.n_trials
    return Member(
        id=row.id,
        task_id=row.task_id,
        user=row.user,
        n_made=trials_that_count(n_planned, row.n_made, by_clock=row.by_clock),
        visible_from=row.visible_from if row.visible_from is not None else row.id,
        tried=tried,
    )


def grouped(members: Iterable[Member]) -> list[Group]:
    """The searches that the tasks, oldest first, count as; in the order in which the first of each began."""
    groups: dict[str, list[Member]] = {}
    for member in members:
        groups.setdefault(_text(_identity(member)), []).append(member)
    return [Group(found) for found in groups.values()]


def text_identity(strategy: StrategyRef) -> tuple[str, str, str]:
    """What tells one rule from another, whatever it is called: a compiled one is known by its name as well."""
    return strategy.kind, strategy.id if strategy.kind == "kernel" else "", strategy.code_hash


def _identity(member: Member) -> list[Any]:
    tried = member.tried
    window = tried.windows[0]
    about = [
        member.user,
        text_identity(tried.strategy),
        [window.costs, window.fill, window.direction, window.initial_cash],
        window.timeframe,
    ]
    if tried.plan is None:
        return about
    bars = [[each.venue, each.symbol, each.timeframe, each.start_ms, each.end_ms] for each in tried.windows]
    return [*about, _points_of(tried.plan), member.n_made, bars]


def _points_of(plan: SearchPlan) -> dict[str, Any]:
    about: dict[str, Any] = msgspec.to_builtins(plan)
    if not SAMPLERS[plan.method].learns:
        for name in _NO_POINTS:
            del about[name]
    return about


def _text(value: Any) -> str:
    return msgspec.json.encode(value, order="sorted").decode()
