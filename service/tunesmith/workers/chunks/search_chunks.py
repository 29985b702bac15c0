"""Chunks of a search: which points its trials try, and what each is worth."""

from __future__ import annotations

import resource
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping

import msgspec
import numpy as np
from numpy.typing import NDArray

from tunesmith.compute.engines.engine_table import engine_named
from tunesmith.compute.search.search import Found, Market
from tunesmith.compute.search.search import Search as BoundSearch
from tunesmith.domain.space.space import decode_point
from tunesmith.workers.chunks.payloads import Probe, Probed, Search, SearchSpec, Trials

_KEPT = 4
Bind = Callable[[SearchSpec], tuple[BoundSearch, list[Market]]]

_searches: OrderedDict[str, tuple[BoundSearch, list[Market]]] = OrderedDict()


def run_search(payload: Search, bind: Bind) -> Trials:
    """Evaluate a range of trials; `bind` makes the search of a spec that this worker does not know yet."""
    search, markets = _told(payload, bind)
    found = search.evaluate(markets, payload.start, payload.stop)
    return _trials(search, found, engine_named(markets[0].execution.engine).no_numbers)


def propose_points(payload: Search, bind: Bind) -> list[str]:
    """The parameters of a range of trials as JSON texts, without evaluating them."""
    search, _ = _told(payload, bind)
    return _params(search, search.sampler.ask(payload.start, min(payload.stop, search.sampler.ready)))


def probe_search(payload: Probe, bind: Bind) -> Probed:
    """Evaluate a range of trials twice, the first time to load and compile, and measure the second."""
    run_search(payload.search, bind)
    began = time.perf_counter()
    found = run_search(payload.search, bind)
    seconds = time.perf_counter() - began
    n = max(1, len(found.params))
    return Probed(
        seconds_per_trial=seconds / n,
        bytes_per_trial=sum(map(len, found.params)) / n,
        memory_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    )


def _told(payload: Search, bind: Bind) -> tuple[BoundSearch, list[Market]]:
    """The search, told exactly the trials before the range; kept from chunk to chunk, as telling all takes its time."""
    known = _searches.pop(payload.spec.id, None)
    told = payload.told
    if known is None or (told is not None and known[0].n_told > len(told.points)):
        known = bind(payload.spec)
    search = known[0]
    if told is not None and len(told.points) > search.n_told:
        fresh = slice(search.n_told, None)
        search.tell(told.points[fresh], told.scores[fresh])
    _searches[payload.spec.id] = known
    while len(_searches) > _KEPT:
        _searches.popitem(last=False)
    return known


def _trials(search: BoundSearch, found: Found, no_numbers: str | None) -> Trials:
    """The trials as the daemon takes them; `no_numbers` says why the engine may have none for a valid point."""
    valid = search.region.valid(found.points).tolist()
    errors = [None if keeps else "breaks a condition between the parameters" for keeps in valid]
    if no_numbers is not None:
        unknown = np.isnan(found.metrics["total_return"]).tolist()
        errors = [error or (no_numbers if nan else None) for error, nan in zip(errors, unknown, strict=True)]
    return Trials(
        start=found.start,
        params=_params(search, found.points),
        metrics=dict(found.metrics),
        values=found.values,
        eligible=found.eligible,
        errors=errors,
        by_symbol=None if found.by_symbol is None else _by_symbol(found.by_symbol, len(found.points)),
        points=found.points,
        scores=np.where(found.eligible[:, np.newaxis], found.scores, np.nan),
    )


def _params(search: BoundSearch, points: NDArray[np.float64]) -> list[str]:
    encode = msgspec.json.Encoder().encode
    return [encode(decode_point(search.rule.parameters, point)).decode() for point in points]


def _by_symbol(metrics: Mapping[str, Mapping[str, NDArray[np.float64]]], n: int) -> list[str]:
    """For each trial the metrics of each symbol, as JSON text; undefined ones are null."""
    columns = {symbol: {name: values.tolist() for name, values in each.items()} for symbol, each in metrics.items()}
    encode = msgspec.json.Encoder().encode
    return [
        encode({s: {name: values[i] for name, values in each.items()} for s, each in columns.items()}).decode()
        for i in range(n)
    ]
