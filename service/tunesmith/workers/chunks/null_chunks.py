"""The chunks of a verdict's counted searches: what they find on permuted markets, in a worker."""

from __future__ import annotations

from collections import OrderedDict

from tunesmith.compute.decision.nulls.counted_search import Ground
from tunesmith.compute.decision.nulls.draw_table import Drawn, draw
from tunesmith.compute.decision.nulls.lineage import Lineage
from tunesmith.compute.decision.nulls.symbols_apart import values_by_symbol
from tunesmith.compute.search.search import Market
from tunesmith.domain.array_types import Floats
from tunesmith.workers import worker
from tunesmith.workers.chunks.null_requests import NullDraws, NullGround, NullsBySymbol, search_of
from tunesmith.workers.chunks.work_loading import execution_of, load_work, strategy_of

_BOOKS: OrderedDict[str, Lineage] = OrderedDict()
"""The books that this worker used last, by their hash: to list a search's points again costs more than a draw."""
_N_BOOKS = 2


def null_draws(payload: NullDraws) -> Drawn:
    """What the searches of a book find on the draws of a request. Raises `Draining` once it is cancelled."""
    return draw(_book(payload.ground), _ground(payload.ground), payload.request, worker.stop_if_cancelled)


def null_symbols(payload: NullsBySymbol) -> dict[str, Floats]:
    """What points are worth on each symbol alone, each on its own draw: symbol → float64[n]."""
    book = _book(payload.ground)
    asked = [(number, book[name], point) for number, name, point in payload.points]
    return values_by_symbol(_ground(payload.ground), asked)


def _ground(ref: NullGround) -> Ground:
    markets = {
        timeframe: tuple(
            Market(each.symbol, load_work(each.work)[1], execution_of(each.work), each.work.first) for each in works
        )
        for timeframe, works in ref.markets.items()
    }
    return Ground(markets, ref.aggregate, ref.key, ref.boundary_ms)


def _book(ref: NullGround) -> Lineage:
    if ref.book_hash not in _BOOKS:
        _BOOKS[ref.book_hash] = Lineage([search_of(search, strategy_of(search.strategy)) for search in ref.book])
        while len(_BOOKS) > _N_BOOKS:
            _BOOKS.popitem(last=False)
    _BOOKS.move_to_end(ref.book_hash)
    return _BOOKS[ref.book_hash]
