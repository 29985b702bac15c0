"""Searches by methods that learn, made again on a shuffled market: only where their ranges are too large to be listed.

Genetic search, nsga2, zoom and staged search are made as they were, for as many trials. tpe and gaussian_process take
seconds a search, and are replaced by the better of two: a genetic search of as many trials from the same warm points,
and an ascent from the best of a random sample. A search that follows a winner (see `lead`) is made in its own
coordinates: what it tries is moved before it is evaluated, which is the same as moving its ranges and warm points.
"""

from __future__ import annotations

import hashlib
import hmac
import itertools
from collections.abc import Sequence

import msgspec
import numpy as np

from tunesmith.compute.decision.nulls.counted_search import CountedSearch, Ground
from tunesmith.compute.decision.nulls.lead import Lead
from tunesmith.compute.decision.nulls.point_table import PointTable
from tunesmith.compute.decision.nulls.shuffled_ground import statistics_of_points
from tunesmith.compute.search.feasible_space import Region
from tunesmith.compute.search.samplers.axes import Axes
from tunesmith.compute.search.samplers.sampler import Sampler
from tunesmith.compute.search.search import Market, Search
from tunesmith.domain.array_types import Floats
from tunesmith.domain.search.methods import MethodOptions
from tunesmith.domain.search.search_plan import SearchPlan
from tunesmith.errors import Internal

SLOW = ("tpe", "gaussian_process")
"""Methods that are not made again."""

_LEAST_SAMPLE = 1000
_N_CLIMBS = 5
_MOST_MOVES = 60
_ALL_CORNERS = 4
"""Up to so many axes a climb looks at all points one step away in any of them together."""
_CONTINUOUS_STEP = 0.05
_PART = 8192


def remake(search: CountedSearch, markets: Sequence[Market], ground: Ground, lead: Lead | None) -> Floats:
    """The distinct points that a search tries on these markets, following `lead` if any; float64[m, p]."""
    plan = search.plan
    if plan is None or search.region is None:
        raise Internal("points that were listed are not made again")
    placed = [_placed(market, search) for market in markets]
    if plan.method not in SLOW:
        return _tried(search, plan, placed, lead)
    n_targets = Search(search.rule, plan).objective.n_targets
    method = "genetic" if n_targets == 1 else "nsga2"
    bred = msgspec.structs.replace(plan, method=method, options=MethodOptions(), n_trials=search.n_made)
    return np.unique(
        np.concatenate([_tried(search, bred, placed, lead), _climbed(search, placed, ground, lead)]), axis=0
    )


class Following:
    """The sampler `inner`, whose points are moved by `lead` before anybody sees them."""

    def __init__(self, inner: Sampler, lead: Lead) -> None:
        self._inner, self._lead, self._n_told = inner, lead, 0

    @property
    def n_trials(self) -> int:
        """See `Sampler.n_trials`."""
        return self._inner.n_trials

    @property
    def ready(self) -> int:
        """See `Sampler.ready`."""
        return self._inner.ready

    def ask(self, start: int, stop: int) -> Floats:
        """See `Sampler.ask`."""
        return self._lead.follow(self._inner.ask(start, stop))

    def tell(self, points: Floats, scores: Floats) -> None:
        """See `Sampler.tell`; `points` are the moved ones."""
        stop = self._n_told + len(points)
        self._inner.tell(self._inner.ask(self._n_told, stop), scores)
        self._n_told = stop


def _tried(search: CountedSearch, plan: SearchPlan, markets: Sequence[Market], lead: Lead | None) -> Floats:
    """What a plan tries in as many trials as were made, told of its target on these markets; float64[m, p]."""
    again = Search(search.rule, plan)
    if lead is not None:
        again.sampler = Following(again.sampler, lead)
    parts: list[Floats] = [np.empty((0, len(search.rule.parameters)))]
    at = 0
    while at < search.n_made:
        part = again.evaluate(markets, at, min(search.n_made, at + _PART))
        if not len(part.points):
            break
        again.tell(part.points, np.where(part.eligible[:, np.newaxis], part.scores, np.nan))
        parts.append(part.points)
        at += len(part.points)
    return np.unique(np.concatenate(parts), axis=0)


def _climbed(search: CountedSearch, markets: Sequence[Market], ground: Ground, lead: Lead | None) -> Floats:
    """A random sample of the search's ranges, the same on every draw, and what climbs from its best points try."""
    region = search.region
    if region is None:
        raise Internal("points that were listed are not made again")

    def placed(points: Floats) -> Floats:
        return points if lead is None else lead.follow(points)

    table = PointTable(
        len(search.rule.parameters),
        lambda points: statistics_of_points(
            search.rule, markets, search.family.execution, placed(points), ground.aggregate
        ),
    )
    label = f"sample|{search.search_id}".encode()
    seed = int.from_bytes(hmac.new(ground.key, label, hashlib.sha256).digest()[:8])
    seen = np.unique(region.draw(seed, 0, max(search.n_made, _LEAST_SAMPLE)), axis=0)
    heights = _heights(table, seen)
    tops = [seen[i] for i in np.argsort(-heights, kind="stable")[:_N_CLIMBS] if heights[i] > -np.inf]
    tried = [seen]
    for _ in range(_MOST_MOVES):
        around = [around_point(region, top) for top in tops]
        if not around:
            break
        tried.extend(around)
        table.make(around)
        moved = []
        for top, points in zip(tops, around, strict=True):
            heights = _heights(table, points)
            if len(points) and heights.max() > _heights(table, top[np.newaxis])[0]:
                moved.append(points[int(np.argmax(heights))])
        tops = moved
    return placed(np.unique(np.concatenate(tried), axis=0))


def around_point(region: Region, point: Floats) -> Floats:
    """The points of a region one step away from `point` float64[p] that keep its conditions; float64[m, p].

    Of up to four axes with an order, in any of them together; of more, in one at a time. Choices change one at a time.
    """
    axes = Axes(region)
    here = region.to_unit(point[np.newaxis])[0]
    step = np.where(axes.sizes > 0, axes.cell, _CONTINUOUS_STEP)
    ordered = np.flatnonzero(~axes.categorical)
    if len(ordered) <= _ALL_CORNERS:
        signs = np.array(list(itertools.product((-1.0, 0.0, 1.0), repeat=len(ordered)))).reshape(-1, len(ordered))
    else:
        signs = np.concatenate([np.eye(len(ordered)), -np.eye(len(ordered))])
    cells = np.repeat(here[np.newaxis], len(signs), axis=0)
    cells[:, ordered] += signs * step[ordered]
    choices = []
    for axis in np.flatnonzero(axes.categorical):
        other = np.repeat(here[np.newaxis], axes.sizes[axis], axis=0)
        other[:, axis] = (np.arange(axes.sizes[axis]) + 0.5) / axes.sizes[axis]
        choices.append(other)
    cells = np.concatenate([cells, *choices])
    inside = ((cells >= 0.0) & (cells <= 1.0)).all(axis=1)
    points = np.unique(region.from_unit(cells[inside]), axis=0)
    return np.asarray(points[region.valid(points) & (points != point).any(axis=1)])


def _heights(table: PointTable, points: Floats) -> Floats:
    table.make([points])
    found = table.look(points)
    return np.where(found.counts, found.t, -np.inf)


def _placed(market: Market, search: CountedSearch) -> Market:
    return Market(market.symbol, market.bars, search.family.execution, market.first)
