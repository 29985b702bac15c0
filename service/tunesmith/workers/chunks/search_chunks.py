"""Chunks of a search: which points its trials try, and what each is worth."""

from __future__ import annotations

import resource
import time
from collections import OrderedDict
from collections.abc import Mapping

import msgspec
import numpy as np

from tunesmith.compute.engines.engine_table import engine_named
from tunesmith.compute.search.search import Found, Market
from tunesmith.compute.search.search import Search as BoundSearch
from tunesmith.compute.search.selection import knee, pareto_front
from tunesmith.domain.array_types import Flags, Floats
from tunesmith.domain.parameters import decode_point
from tunesmith.workers.chunks.payloads import Front, Probe, Probed, Search, SearchSpec, Trials
from tunesmith.workers.chunks.work_loading import execution_of, load_work

_KEPT = 4

_searches: OrderedDict[str, tuple[BoundSearch, list[Market]]] = OrderedDict()


def search(payload: Search) -> Trials:
    """Evaluate a range of trials."""
    bound, markets = _told(payload)
    found = bound.evaluate(markets, payload.start, payload.stop)
    return _trials(bound, found, engine_named(markets[0].execution.engine).no_numbers)


def propose(payload: Search) -> list[str]:
    """The parameters of a range of trials as JSON texts, without evaluating them."""
    bound, _ = _told(payload)
    return _params(bound, bound.sampler.ask(payload.start, min(payload.stop, bound.sampler.ready)))


def probe(payload: Probe) -> Probed:
    """Evaluate a range of trials twice, the first time to load and compile, and measure the second."""
    search(payload.search)
    began = time.perf_counter()
    found = search(payload.search)
    seconds = time.perf_counter() - began
    n = max(1, len(found.params))
    return Probed(
        seconds_per_trial=seconds / n,
        bytes_per_trial=sum(map(len, found.params)) / n,
        memory_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    )


def front(payload: tuple[Floats, Flags]) -> Front:
    """The Pareto front of scores float64[n, k] among the eligible, and its knee."""
    scores, keep = payload
    chosen = pareto_front(scores, keep)
    at = knee(scores[chosen])
    return Front(front=chosen.tolist(), knee=-1 if at is None else int(chosen[at]))


def _told(payload: Search) -> tuple[BoundSearch, list[Market]]:
    """The search, told exactly the trials before the range; kept from chunk to chunk, as telling all takes its time."""
    known = _searches.pop(payload.spec.id, None)
    told = payload.told
    if known is None or (told is not None and known[0].n_told > len(told.points)):
        known = _bind(payload.spec)
    bound = known[0]
    if told is not None and len(told.points) > bound.n_told:
        fresh = slice(bound.n_told, None)
        bound.tell(told.points[fresh], told.scores[fresh])
    _searches[payload.spec.id] = known
    while len(_searches) > _KEPT:
        _searches.popitem(last=False)
    return known


def _bind(spec: SearchSpec) -> tuple[BoundSearch, list[Market]]:
    markets = []
    for symbol, work in zip(spec.symbols, spec.works, strict=True):
        rule, bars = load_work(work)
        markets.append(Market(symbol, bars, execution_of(work), work.first))
    return BoundSearch(rule, spec.plan), markets


def _trials(bound: BoundSearch, found: Found, no_numbers: str | None) -> Trials:
    """The trials as the daemon takes them; `no_numbers` says why the engine may have none for a valid point."""
    valid = bound.region.valid(found.points).tolist()
    errors = [None if keeps else "breaks a condition between the parameters" for keeps in valid]
    if no_numbers is not None:
        unknown = np.isnan(found.metrics["total_return"]).tolist()
        errors = [error or (no_numbers if nan else None) for error, nan in zip(errors, unknown, strict=True)]
    return Trials(
        start=found.start,
        params=_params(bound, found.points),
        metrics=dict(found.metrics),
        values=found.values,
        eligible=found.eligible,
        errors=errors,
        by_symbol=None if found.by_symbol is None else _by_symbol(found.by_symbol, len(found.points)),
        points=found.points,
        scores=np.where(found.eligible[:, np.newaxis], found.scores, np.nan),
    )


def _params(bound: BoundSearch, points: Floats) -> list[str]:
    encode = msgspec.json.Encoder().encode
    return [encode(decode_point(bound.rule.parameters, point)).decode() for point in points]


def _by_symbol(metrics: Mapping[str, Mapping[str, Floats]], n: int) -> list[str]:
    """For each trial the metrics of each symbol, as JSON text; undefined ones are null."""
    columns = {symbol: {name: values.tolist() for name, values in each.items()} for symbol, each in metrics.items()}
    encode = msgspec.json.Encoder().encode
    return [
        encode({s: {name: values[i] for name, values in each.items()} for s, each in columns.items()}).decode()
        for i in range(n)
    ]
