"""Permutation tests of a winner: its statistic on permuted markets, drawn in any parts and counted in their order."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from tunesmith.compute.decision.inputs import WorkInputs, WorkRequest
from tunesmith.compute.decision.statistics.permuted_markets import Sequential, Tally, draw_orders, p_value, permuted
from tunesmith.compute.decision.winner import Winner, statistic_by_symbol
from tunesmith.errors import Draining

ALL_MARKETS = ""
"""The column of drawn statistics that decides: the one number of all markets."""

DrawnStatistics = dict[str, list[float]]
"""Statistics of permuted markets in their order: in the column `ALL_MARKETS`, and of several markets by symbol too."""


class PermutationTest:
    """Counts drawn statistics: all markets together decide when the test ends, each alone gets its own p-value."""

    def __init__(self, request: WorkRequest) -> None:
        self._request = request
        self._together = Sequential(request.real, request.n_draws, request.stop_at or request.n_draws + 1)
        self._parts: dict[int, DrawnStatistics] = {}

    def add(self, start: int, drawn: DrawnStatistics) -> Tally:
        """Take the draws from number `start` on; parts may come in any order."""
        self._parts[start] = drawn
        return self._together.add(start, drawn[ALL_MARKETS])

    def evidence(self, seed: int) -> dict[str, Any]:
        """What is kept of the test: its p-value, how many draws it took, and all that it takes to draw them again."""
        request, tally = self._request, self._together.tally
        evidence: dict[str, Any] = {
            "p": tally.p,
            "n": tally.n,
            "n_reached": tally.n_reached,
            "n_draws": request.n_draws,
            "stop_at": request.stop_at,
            "real": request.real,
            "seed": seed,
        }
        if request.by_symbol:
            evidence["apart"] = {
                symbol: p_value(real, self._drawn_of(symbol, tally.n)) for symbol, real in request.by_symbol.items()
            }
        return evidence

    def _drawn_of(self, symbol: str, n: int) -> list[float]:
        """The first n draws of a symbol, in their order."""
        return [value for start in sorted(self._parts) for value in self._parts[start][symbol]][:n]


def draw_statistics(winner: Winner, inputs: WorkInputs, choose: Callable[[int], Winner | None]) -> DrawnStatistics:
    """The statistics of the winners that `choose` finds in the permutations `start` to `stop` of the inputs.

    They are NaN where it finds none. Raises `Draining` once the inputs are cancelled.
    """
    columns = [ALL_MARKETS, *(market.symbol for market in winner.markets if winner.others)]
    drawn: list[Mapping[str, float]] = []
    for index in range(inputs.start, inputs.stop):
        if inputs.is_cancelled():
            raise Draining("the work was cancelled before it was done")
        chosen = choose(index)
        drawn.append(dict.fromkeys(columns, math.nan) if chosen is None else _statistics(chosen))
    return {column: [each[column] for each in drawn] for column in columns}


def on_permuted_markets(winner: Winner, seed: int, index: int, starts: Sequence[int]) -> Winner:
    """The winner on its markets in permutation `index`; several move together, bars before `starts` stay."""
    orders = draw_orders([market.bars.timestamp for market in winner.markets], seed, index, starts)
    moved = zip(winner.markets, orders, strict=True)
    return winner.on([replace(market, bars=permuted(market.bars, order)) for market, order in moved])


def _statistics(winner: Winner) -> dict[str, float]:
    together, each = statistic_by_symbol(winner)
    return {ALL_MARKETS: together, **(each if winner.others else {})}
