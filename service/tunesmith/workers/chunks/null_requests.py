"""What the chunks of counted searches are asked: the book, the verdict's markets, and what of it is wanted."""

from __future__ import annotations

import msgspec
import numpy as np

from tunesmith.compute.decision.nulls.counted_search import CountedSearch
from tunesmith.compute.decision.nulls.draw_table import DrawRequest
from tunesmith.compute.rules.strategy import Strategy
from tunesmith.compute.simulation.execution import Execution
from tunesmith.domain.array_types import Floats
from tunesmith.domain.metrics import Aggregation
from tunesmith.domain.space import encode_points
from tunesmith.workers.chunks.null_payloads import CountedRef
from tunesmith.workers.chunks.payloads import OtherMarket


class NullGround(msgspec.Struct, frozen=True, kw_only=True):
    """The searches of a verdict and the market or markets it is about; see `compute.decision.nulls.counted_search`.

    `book_hash` names the book in a worker's memory: two of one hash are the same. `markets` are in sample, by
    timeframe.
    """

    book: list[CountedRef]
    book_hash: str
    markets: dict[str, list[OtherMarket]]
    aggregate: Aggregation
    key: bytes
    boundary_ms: int


class NullDraws(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for what searches find on draws."""

    ground: NullGround
    request: DrawRequest


class NullsBySymbol(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for what points are worth on each symbol alone: number of a draw, id of a search, its point float64[p]."""

    ground: NullGround
    points: list[tuple[int, str, Floats]]


def search_of(ref: CountedRef, rule: Strategy) -> CountedSearch:
    """The search as its null needs it; `rule` is its strategy."""
    listed = np.concatenate([encode_points(rule.parameters, params) for params in ref.listed]) if ref.listed else None
    return CountedSearch(
        search_id=ref.search_id,
        rule=rule,
        plan=ref.plan,
        execution=Execution(ref.costs, ref.fill, ref.direction, ref.initial_cash),
        timeframe=ref.timeframe,
        n_made=ref.n_made,
        listed=listed,
        seen=frozenset(ref.seen),
        draws_only_p=ref.foreign,
        era_ms=ref.boundaries[0] if ref.boundaries else 0,
    )
