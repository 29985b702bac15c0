"""What the searches of a book find on shuffled markets: the work that a worker does.

On each draw the bars are shuffled once, and the distinct points of all searches of one family are evaluated together;
what a search finds is then looked up. Searches that follow others wait for these, round by round.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from tunesmith.compute.decision.nulls.counted_search import REAL, CountedSearch, Family, Ground
from tunesmith.compute.decision.nulls.lead import Lead
from tunesmith.compute.decision.nulls.lineage import Lineage
from tunesmith.compute.decision.nulls.point_table import PointTable
from tunesmith.compute.decision.nulls.real_blocks import real_blocks
from tunesmith.compute.decision.nulls.remade_search import remake
from tunesmith.compute.decision.nulls.shuffled_ground import Statistics, shuffled_markets, statistics_of_points
from tunesmith.compute.decision.statistics.permuted_markets import TIE
from tunesmith.compute.search.search import Market
from tunesmith.domain.array_types import Floats

NOTHING = -math.inf
"""What a search without any result finds."""


@dataclass(frozen=True, eq=False)
class Finds:
    """What one search finds on n draws: `v` float64[n] is the value of its best trial, `NOTHING` without any, NaN where
    not made; `lift` float64[n], by how much that is imagined (see `links`); `places` float64[n, p], the trial's point.
    """

    v: Floats
    lift: Floats
    places: Floats


@dataclass(frozen=True, eq=False)
class Link:
    """How the trials of a search depend on the best trial before it, of another text: see `links`.

    `beta` float64[n] for each of its points, float64[1] of a search that is made again; `holder` is the search that has
    the best trial, `point` float64[p].
    """

    holder: str
    point: Floats
    beta: Floats


@dataclass(frozen=True, eq=False)
class ForeignLink:
    """How the submitted point depends on what another user's search found: see `links`.

    `whole`: a trial of it is as good as the submitted point itself. Else the points `mine` float64[k, p] depend on its
    trials `theirs` float64[k, q] with the correlations `rho` float64[k].
    """

    asked: str
    whole: bool
    mine: Floats
    theirs: Floats
    rho: Floats


@dataclass(frozen=True, eq=False)
class DrawRequest:
    """Ask for what `searches` find on the draws, by number; plain values, to be sent to a worker.

    `known` is what these and other searches find on the same draws, as far as it is known; `best` are the best trials
    on the real bars that searches follow: value and point. `series`: points whose statistics are wanted on each draw,
    with the search whose family they are of. `blocks`: points of which is wanted what they earn in stretches of time on
    the real bars, with their search and the timeframe whose bars have the same stretches (see `real_blocks`). With
    `reaches` a draw is over once any search is known to reach it.
    """

    draws: tuple[int, ...]
    searches: tuple[str, ...] = ()
    known: Mapping[str, Finds] = field(default_factory=dict)
    best: Mapping[str, tuple[float, Floats]] = field(default_factory=dict)
    links: Mapping[str, Link] = field(default_factory=dict)
    foreign: Mapping[str, ForeignLink] = field(default_factory=dict)
    series: tuple[tuple[str, Floats], ...] = ()
    blocks: tuple[tuple[str, Floats, str], ...] = ()
    reaches: float | None = None


@dataclass(frozen=True, eq=False)
class Drawn:
    """The answer to a request: what was made of it, in the order of its draws.

    `foreign` float64[n] is the greatest value that other users' searches give the submitted point, NaN where not made.
    `series` float64[m, n] for each that was asked, 0 where undefined, and `blocks` float64[m, k]; on the real bars
    `tried` has the trials of searches that were made again, float64[m, p].
    """

    draws: tuple[int, ...]
    finds: Mapping[str, Finds]
    foreign: Floats
    series: tuple[Floats, ...]
    tried: Mapping[str, Floats]
    blocks: tuple[Floats, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """What one search finds on one draw: see `Finds`."""

    v: float
    lift: float = 0.0
    place: Floats | None = None


def draw(
    book: Sequence[CountedSearch] | Lineage,
    ground: Ground,
    request: DrawRequest,
    before_each: Callable[[], None] = lambda: None,
) -> Drawn:
    """Do what a request asks for. The answer depends on the book, the ground and the request alone.

    Whoever does several requests on one book makes its `Lineage` once. `before_each` is called before every draw; it
    may raise what ends the work.
    """
    lineage = book if isinstance(book, Lineage) else Lineage(book)
    made = [_Draw(lineage, ground, request, i) for i in range(len(request.draws))]
    for one in made:
        before_each()
        one.run()
    names = [name for name in lineage.searches if any(name in one.made for one in made)]
    return Drawn(
        draws=request.draws,
        finds={name: _stacked([one.made.get(name) for one in made], lineage[name]) for name in names},
        foreign=np.array([one.foreign for one in made]),
        series=tuple(np.stack([one.series[i] for one in made], axis=1) for i in range(len(request.series)) if made),
        tried={name: points for one in made for name, points in one.tried.items()},
        blocks=tuple(_blocks_of(lineage, ground, *asked) for asked in request.blocks),
    )


def _blocks_of(lineage: Lineage, ground: Ground, name: str, points: Floats, timeframe: str) -> Floats:
    search = lineage[name]
    markets, beside = ground.markets[search.timeframe], ground.markets[timeframe]
    return real_blocks(search.rule, search.family.execution, points, markets, beside)


class _Draw:
    """One draw. `made` are findings by search, `foreign` and `series` as in `Drawn`."""

    def __init__(self, lineage: Lineage, ground: Ground, request: DrawRequest, i: int) -> None:
        self.made: dict[str, Finding] = {}
        self.foreign = math.nan
        self.series: list[Floats] = []
        self.tried: dict[str, Floats] = {}
        self._lineage, self._ground, self._request = lineage, ground, request
        self._number = request.draws[i]
        self._known = {name: _finding(finds, i) for name, finds in request.known.items() if not np.isnan(finds.v[i])}
        self._markets: dict[str, tuple[Market, ...]] = {}
        self._tables: dict[Family, PointTable] = {}

    def run(self) -> None:
        """Make everything that was asked; with `reaches`, until something reaches it."""
        for search_id, points in self._request.series:
            statistics = self._look(self._lineage[search_id], [points])
            self.series.append(np.nan_to_num(statistics.t, nan=0.0))
        waits, waited_for = self._waiting()
        ready = [name for name, n in waits.items() if not n]
        while ready:
            names = self._cheapest(ready)
            self._find(names)
            if self._is_over(names):
                return
            ready = [name for name in ready if name not in self._known]
            for later in (later for name in names for later in waited_for.get(name, ())):
                waits[later] -= 1
                if not waits[later]:
                    ready.append(later)
        self.foreign = self._foreign()

    def _waiting(self) -> tuple[dict[str, int], dict[str, list[str]]]:
        """The searches to be made, those that others need among them: for how many each waits, and who waits for it."""
        waits: dict[str, int] = {}
        waited_for: dict[str, list[str]] = {}
        wanted = [name for name in self._request.searches if name not in self._known]
        while wanted:
            name = wanted.pop()
            if name in waits:
                continue
            needs = [need for need in self._needs(name) if need not in self._known]
            waits[name] = len(needs)
            for need in needs:
                waited_for.setdefault(need, []).append(name)
            wanted.extend(needs)
        return {name: waits[name] for name in self._lineage.searches if name in waits}, waited_for

    def _needs(self, name: str) -> Sequence[str]:
        """The searches whose findings on this draw decide about those of search `name`."""
        if self._number == REAL or self._lineage.adds_nothing(name):
            return ()
        if name in self._request.links:
            return self._lineage.seen(name)
        leaders = self._lineage.leaders(name)
        never_moves = self._lineage.frame(name).stays and not any(n in self._request.links for n in leaders)
        return () if never_moves else leaders

    def _cheapest(self, ready: Iterable[str]) -> list[str]:
        """Of the searches that are ready, those of the family that has the least to evaluate."""
        families: dict[Family, list[str]] = {}
        for name in ready:
            families.setdefault(self._lineage[name].family, []).append(name)
        return min(families.values(), key=lambda names: sum(self._lineage[name].price for name in names))

    def _find(self, names: Sequence[str]) -> None:
        """Make the findings of searches of one family, whose points are evaluated together."""
        moved: dict[str, Floats] = {}
        leads = {name: self._lead(name) for name in names}
        for name in names:
            search, lead = self._lineage[name], leads[name]
            if self._lineage.adds_nothing(name):
                self._keep(name, Finding(NOTHING))
            elif search.points is None:
                moved[name] = self._remade(search, lead)
            else:
                moved[name] = search.points if lead is None else lead.follow(search.points)
        if not moved:
            return
        table = self._table(self._lineage[names[0]])
        table.make([*moved.values(), *self._beside(self._lineage[names[0]].family)])
        for name, points in moved.items():
            self._keep(name, self._best(name, points, table.look(points), leads[name]))

    def _best(self, name: str, points: Floats, found: Statistics, lead: Lead | None) -> Finding:
        added = np.full(len(points), 0.0 if lead is None else lead.lift)
        link = self._request.links.get(name)
        if link is not None and self._number != REAL:
            added = np.maximum(added, link.beta * self._climbed(name, link))
        value = np.where(found.counts, found.t + added, NOTHING)
        best = int(np.argmax(value)) if len(value) else 0
        if not len(value) or value[best] == NOTHING:
            return Finding(NOTHING)
        return Finding(float(value[best]), float(added[best]), points[best])

    def _climbed(self, name: str, link: Link) -> float:
        """By how much all searches before reach higher than their real best trial is worth on this draw; at least 0."""
        reached = max(self._known[each].v for each in self._lineage.seen(name))
        holder = self._look(self._lineage[link.holder], [link.point[np.newaxis]])
        return max(0.0, reached - float(np.nan_to_num(holder.t[0], nan=0.0)))

    def _lead(self, name: str) -> Lead | None:
        """What a search follows on this draw; None where it stays."""
        leaders = () if self._number == REAL else self._lineage.leaders(name)
        known = [each for each in leaders if each in self._known]
        best = [(self._request.best[each][0], each) for each in leaders]
        real = max(best, key=lambda pair: pair[0], default=(NOTHING, ""))
        found = max((self._known[each] for each in known), key=lambda finding: finding.v, default=Finding(NOTHING))
        if found.place is None or real[0] == NOTHING:
            return None
        point = self._request.best[real[1]][1]
        return Lead(self._lineage[name], self._lineage.frame(name), found.place, point, found.lift)

    def _foreign(self) -> float:
        """The greatest value that searches of other users give the submitted point, see `ForeignLink`."""
        greatest = NOTHING
        for name, link in self._request.foreign.items():
            reached = self._known[name].v
            if link.whole:
                greatest = max(greatest, reached)
            elif len(link.rho):
                mine = self._look(self._lineage[link.asked], [link.mine])
                if self._lineage[name].timeframe == self._lineage[link.asked].timeframe:
                    theirs = np.nan_to_num(self._look(self._lineage[name], [link.theirs]).t, nan=0.0)
                    value = mine.t + link.rho * np.maximum(0.0, reached - theirs)
                else:
                    value = link.rho * reached + np.sqrt(1.0 - link.rho**2) * mine.t
                greatest = max(greatest, float(np.max(value, where=mine.counts, initial=NOTHING)))
        return greatest

    def _beside(self, family: Family) -> list[Floats]:
        """Points that links will look up in this family, so that they are evaluated with the others."""
        links = self._request.links.values()
        points = [link.point[np.newaxis] for link in links if self._lineage[link.holder].family == family]
        for name, link in self._request.foreign.items():
            points += [link.mine] if self._lineage[link.asked].family == family else []
            points += [link.theirs] if self._lineage[name].family == family else []
        return points

    def _remade(self, search: CountedSearch, lead: Lead | None) -> Floats:
        markets = self._markets_of(search.timeframe)
        points = remake(search, markets, self._ground, lead)
        if self._number == REAL:
            self.tried[search.search_id] = points
        return points

    def _look(self, search: CountedSearch, points: Sequence[Floats]) -> Statistics:
        table = self._table(search)
        table.make(points)
        return table.look(np.concatenate(points))

    def _table(self, search: CountedSearch) -> PointTable:
        if search.family not in self._tables:
            markets, how = self._markets_of(search.timeframe), self._ground.aggregate
            execution = search.family.execution
            self._tables[search.family] = PointTable(
                len(search.rule.parameters),
                lambda points: statistics_of_points(search.rule, markets, execution, points, how),
            )
        return self._tables[search.family]

    def _markets_of(self, timeframe: str) -> tuple[Market, ...]:
        if timeframe not in self._markets:
            self._markets[timeframe] = shuffled_markets(self._ground, timeframe, self._number)
        return self._markets[timeframe]

    def _keep(self, name: str, finding: Finding) -> None:
        self.made[name] = self._known[name] = finding

    def _is_over(self, names: Sequence[str]) -> bool:
        reaches = self._request.reaches
        own = [name for name in names if not self._lineage[name].draws_only_p]
        return reaches is not None and any(self._known[name].v >= reaches - TIE for name in own)


def _finding(finds: Finds, i: int) -> Finding:
    v = float(finds.v[i])
    return Finding(v) if v == NOTHING else Finding(v, float(finds.lift[i]), finds.places[i])


def _stacked(findings: Sequence[Finding | None], search: CountedSearch) -> Finds:
    """The findings of one search on several draws; None where not made."""
    n, p = len(findings), len(search.rule.parameters)
    stacked = Finds(np.full(n, np.nan), np.zeros(n), np.full((n, p), np.nan))
    for i, finding in enumerate(findings):
        if finding is not None:
            stacked.v[i], stacked.lift[i] = finding.v, finding.lift
            if finding.place is not None:
                stacked.places[i] = finding.place
    return stacked
