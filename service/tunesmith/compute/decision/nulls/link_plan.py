"""Plans that find out how trials depend on one another: their statistics on the draws 0 to 98 are asked for."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from tunesmith.compute.decision.nulls.counted_search import REAL, CountedSearch
from tunesmith.compute.decision.nulls.draw_table import NOTHING, DrawRequest, ForeignLink
from tunesmith.compute.decision.nulls.lineage import Lineage
from tunesmith.compute.decision.nulls.links import (
    LEAST_CORRELATION,
    LEAST_DEVIATIONS,
    LINKED_WHOLE,
    N_CONFIRMED,
    N_LINKED,
    RELATED,
    SAME,
    betas,
    correlations,
    correlations_of_pairs,
    to_link,
)
from tunesmith.compute.decision.nulls.null_vectors import Cut, Null, Nulls, Work
from tunesmith.domain.array_types import Floats, Ints


def link_searches(lineage: Lineage, nulls: Nulls, cut: Cut) -> Work[dict[str, Null]]:
    """Link every own search to the best trial before it, where that is of another text; `nulls` with the links."""
    found = dict(nulls)
    linked: list[tuple[str, str]] = []
    for name in lineage.own:
        if found[name].beta is None:
            holder = _holder(lineage, found, name)
            if holder and lineage[holder].text != lineage[name].text and not lineage.adds_nothing(name):
                linked.append((name, holder))
            else:
                found[name] = replace(found[name], beta=np.empty(0))
    trials = yield from _trials_of(lineage, [name for name, _ in linked])
    asked = [(name, trials[name][0][trials[name][1]]) for name, _ in linked]
    asked += [(holder, found[holder].best_point[np.newaxis]) for _, holder in linked]
    series = yield from _series(asked, range(N_LINKED), cut)
    for (name, holder), own, best in zip(linked, series, series[len(linked) :], strict=False):
        points, rows = trials[name]
        beta = np.zeros(len(points))
        beta[rows] = betas(own, best[0])
        if lineage[name].points is None:
            # Its trials are others on each draw: all of them move like that which moves most.
            beta = np.array([beta.max(initial=0.0)])
        found[name] = replace(found[name], holder=holder, beta=beta)
    return found


def link_foreign(lineage: Lineage, asked_id: str, point: Floats, cut: Cut) -> Work[dict[str, ForeignLink]]:
    """Link the submitted `point` float64[p] of search `asked_id` to what other users' searches found, where it depends.

    So are those trials of the asked search that are as good as the point: else one would narrow down around another
    user's winner.
    """
    asked = lineage[asked_id]
    foreign = [name for name, search in lineage.searches.items() if search.draws_only_p and name != asked_id]
    elsewhere = [name for name in foreign if lineage[name].timeframe != asked.timeframe]
    here = [name for name in foreign if name not in elsewhere]
    if not foreign:
        return {}
    trials = yield from _trials_of(lineage, [asked_id, *foreign])
    chosen = {name: points[rows] for name, (points, rows) in trials.items()}
    mine = np.concatenate([point[np.newaxis], chosen[asked_id]])
    asked_for = [(asked_id, mine), *((name, chosen[name]) for name in here)]
    series = yield from _series(asked_for, range(N_LINKED), cut)
    near = correlations(series[0], series[0][:1])[:, 0] >= RELATED
    near[0] = True
    pairs = {}
    for name, theirs in zip(here, series[1:], strict=True):
        pair = _nearest(mine[near], chosen[name], correlations(series[0][near], theirs))
        if pair is not None:
            pairs[name] = pair
    links = yield from _confirmed(asked_id, pairs, cut)
    return links | (yield from _linked_elsewhere(lineage, asked_id, mine[near], {n: chosen[n] for n in elsewhere}))


def _linked_elsewhere(
    lineage: Lineage, asked_id: str, mine: Floats, chosen: Mapping[str, Floats]
) -> Work[dict[str, ForeignLink]]:
    """The links of points `mine` to trials on other timeframes: they earn at the same times on the real bars.

    The limit is higher where few stretches of time tell it: the largest of many correlations must not reach it by
    chance.
    """
    links = {}
    for name, theirs in chosen.items():
        there, here = lineage[name].timeframe, lineage[asked_id].timeframe
        (answer,) = yield [DrawRequest((REAL,), blocks=((asked_id, mine, there), (name, theirs, here)))]
        ours, others = answer.blocks
        if not ours.shape[1] or not len(theirs):
            continue
        rho = correlations(ours, others)
        nearest = np.argmax(rho, axis=1)
        most = np.minimum(rho[np.arange(len(mine)), nearest], SAME)
        kept = most >= max(LEAST_CORRELATION, LEAST_DEVIATIONS / math.sqrt(ours.shape[1]))
        if kept.any():
            links[name] = ForeignLink(asked_id, False, mine[kept], theirs[nearest[kept]], most[kept])
    return links


def _nearest(mine: Floats, theirs: Floats, rho: Floats) -> tuple[Floats, Floats] | None:
    """Of the points `mine` those that depend on a trial, and that trial of `theirs`; None where none does.

    `rho` float64[k, m] are their correlations.
    """
    if not rho.size:
        return None
    nearest = np.argmax(rho, axis=1)
    kept = rho[np.arange(len(rho)), nearest] >= LEAST_CORRELATION
    return (mine[kept], theirs[nearest[kept]]) if kept.any() else None


def _confirmed(asked_id: str, pairs: Mapping[str, tuple[Floats, Floats]], cut: Cut) -> Work[dict[str, ForeignLink]]:
    """The links of pairs that correlate on four times the draws too.

    The largest of thousands of correlations over 99 draws is often above the limit by chance: then anybody could raise
    another user's p-value by searches that have nothing to do with his.
    """
    asked_for = [each for name, (mine, theirs) in pairs.items() for each in ((asked_id, mine), (name, theirs))]
    series = yield from _series(asked_for, range(N_CONFIRMED), cut)
    links = {}
    for i, (name, (mine, theirs)) in enumerate(pairs.items()):
        rho = correlations_of_pairs(*series[2 * i : 2 * i + 2])
        kept = rho >= LEAST_CORRELATION
        if kept.any():
            links[name] = ForeignLink(asked_id, bool((rho >= SAME).any()), mine[kept], theirs[kept], rho[kept])
    return links


def _holder(lineage: Lineage, nulls: Nulls, name: str) -> str:
    """The search that has the best trial of those before, the first of equals; "" where none has any."""
    before = [each for each in lineage.seen(name) if nulls[each].best > NOTHING]
    return max(before, key=lambda each: nulls[each].best, default="")


def _trials_of(lineage: Lineage, names: Sequence[str]) -> Work[dict[str, tuple[Floats, Ints]]]:
    """The points of searches, float64[n, p], and which of them are linked; made again where they are not listed."""
    points: dict[str, Floats | None] = {name: lineage[name].points for name in names}
    remade = tuple(name for name, listed in points.items() if listed is None)
    if remade:
        (answer,) = yield [DrawRequest((REAL,), remade)]
        points |= dict(answer.tried)
    found = {name: listed for name, listed in points.items() if listed is not None}
    large = [name for name in names if len(found[name]) > LINKED_WHOLE]
    real: dict[str, Floats] = {}
    if large:
        (answer,) = yield [DrawRequest((REAL,), series=tuple((name, found[name]) for name in large))]
        real = {name: column[:, 0] for name, column in zip(large, answer.series, strict=True)}
    return {
        name: (listed, to_link(real.get(name, np.zeros(len(listed))), _seed(lineage[name])))
        for name, listed in found.items()
    }


def _series(asked: Sequence[tuple[str, Floats]], draws: range, cut: Cut) -> Work[list[Floats]]:
    """The statistics of points on the draws: float64[m, n] for each array of points."""
    if not asked:
        return []
    answers = yield [DrawRequest(part, series=tuple(asked)) for part in cut.parts(draws)]
    return [np.concatenate([answer.series[i] for answer in answers], axis=1) for i in range(len(asked))]


def _seed(search: CountedSearch) -> int:
    return int.from_bytes(hashlib.sha256(f"linked|{search.search_id}".encode()).digest()[:8])
