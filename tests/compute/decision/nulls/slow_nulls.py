"""The nulls of a book made slowly: every search alone, draw by draw and point by point, as the design words it.

For searches whose points are listed (no method is made again) and whose parameters are whole numbers.
"""

from __future__ import annotations

import hashlib
import hmac
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tunesmith.compute.decision.nulls.counted_search import REAL, CountedSearch, Ground
from tunesmith.compute.engines.evaluate import evaluate_points
from tunesmith.compute.search.search import Market
from tunesmith.domain.array_types import Floats
from tunesmith.domain.market.bars import COLUMNS, Bars

HOW = {"mean": np.mean, "median": np.median, "minimum": np.min}
N = 99
Point = tuple[float, ...]


class Best(NamedTuple):
    """The best trial of a search on one draw: its value, the point, and what of the value is imagined."""

    v: float
    place: Point | None
    lift: float


@dataclass
class SlowNulls:
    """`searches` in their order, on `ground`; `ranges` the values that each used of each parameter, by search."""

    searches: Sequence[CountedSearch]
    ground: Ground
    ranges: Mapping[str, Sequence[Sequence[float]]]

    def __post_init__(self) -> None:
        self.by_id = {search.search_id: search for search in self.searches}
        self.found: dict[tuple[str, int], Best] = {}
        self.worth: dict[tuple[str, int, Point], tuple[float, bool]] = {}
        self.bars: dict[tuple[str, int], list[Market]] = {}

    def null(self, name: str, n: int = N) -> Floats:
        """The values of a search on the draws 0 to n - 1."""
        return np.array([self.best(name, draw).v for draw in range(n)])

    def best(self, name: str, draw: int) -> Best:
        """The best trial of a search on a draw."""
        if (name, draw) not in self.found:
            self.found[name, draw] = self._best(self.by_id[name], draw)
        return self.found[name, draw]

    def t(self, search: CountedSearch, draw: int, point: Point) -> tuple[float, bool]:
        """What a point is worth in the family of a search on a draw, and whether that is a result."""
        key = (search.search_id, draw, point)
        if key not in self.worth:
            self.worth[key] = self._t(search, draw, point)
        return self.worth[key]

    def series(self, search: CountedSearch, point: Point, n: int = N) -> Floats:
        """What a point is worth on each draw, 0 where undefined."""
        return np.nan_to_num([self.t(search, draw, point)[0] for draw in range(n)], nan=0.0)

    def points(self, search: CountedSearch) -> list[Point]:
        """Its points."""
        assert search.points is not None
        return [tuple(row) for row in search.points.tolist()]

    def seen(self, search: CountedSearch) -> list[CountedSearch]:
        """What it could follow, of any text."""
        before = self.searches[: list(self.searches).index(search)]
        known = [e for e in before if e.search_id in search.seen and not e.draws_only_p]
        return [e for e in known if e.timeframe == search.timeframe and not self.adds_nothing(e)]

    def adds_nothing(self, search: CountedSearch) -> bool:
        """Whether each of its points was tried before."""
        tried = set()
        for e in self.searches[: list(self.searches).index(search)]:
            same = (e.text, e.execution, e.timeframe) == (search.text, search.execution, search.timeframe)
            if same and not e.draws_only_p and e.search_id in search.seen:
                tried |= set(self.points(e))
        return not search.draws_only_p and set(self.points(search)) <= tried

    def holder(self, search: CountedSearch) -> tuple[CountedSearch, Point] | None:
        """The search of another text that has the best real trial so far, and that trial."""
        seen = [e for e in self.seen(search) if self.best(e.search_id, REAL).place is not None]
        if not seen:
            return None
        holder = max(seen, key=lambda e: self.best(e.search_id, REAL).v)
        place = self.best(holder.search_id, REAL).place
        return None if holder.text == search.text or place is None else (holder, place)

    def _best(self, search: CountedSearch, draw: int) -> Best:
        if self.adds_nothing(search):
            return Best(-math.inf, None, 0.0)
        follow, lift = (None, 0.0) if draw == REAL else self._follow(search, draw)
        holder = None if draw == REAL else self.holder(search)
        climbed = 0.0
        if holder is not None:
            worth = self.t(holder[0], draw, holder[1])[0]
            reached = max(self.best(e.search_id, draw).v for e in self.seen(search))
            climbed = max(0.0, reached - (0.0 if math.isnan(worth) else worth))
        best = Best(-math.inf, None, 0.0)
        for point in self.points(search):
            place = point if follow is None else self._moved(search, point, *follow)
            value, counts = self.t(search, draw, place)
            added = lift
            if holder is not None:
                added = max(added, self._beta(search, point, *holder) * climbed)
            if counts and value + added > best.v:
                best = Best(value + added, place, added)
        return best

    def _follow(self, search: CountedSearch, draw: int) -> tuple[tuple[Point, Point] | None, float]:
        leaders = [e for e in self.seen(search) if e.text == search.text]
        real, found = Best(-math.inf, None, 0.0), Best(-math.inf, None, 0.0)
        for e in leaders:
            if self.best(e.search_id, REAL).v > real.v:
                real = self.best(e.search_id, REAL)
            if self.best(e.search_id, draw).v > found.v:
                found = self.best(e.search_id, draw)
        if real.place is None or found.place is None:
            return None, 0.0
        return (real.place, found.place), found.lift

    def _moved(self, search: CountedSearch, point: Point, real: Point, found: Point) -> Point:
        leaders = [e for e in self.seen(search) if e.text == search.text]
        steps = []
        for i in range(len(point)):
            own = self.ranges[search.search_id][i]
            all_used = [self.ranges[e.search_id][i] for e in (*leaders, search)]
            step = min((b - a for used in all_used for a, b in itertools.pairwise(used)), default=1.0)
            low, high = min(min(used) for used in all_used), max(max(used) for used in all_used)
            by = float(np.rint((found[i] - real[i]) / step))
            by = min(max(by, (low - min(own)) / step), (high - max(own)) / step)
            steps.append((by, step))
        for divisor in (1.0, 2.0, 4.0):
            moved = tuple(x + math.trunc(by / divisor) * step for x, (by, step) in zip(point, steps, strict=True))
            if search.allows(np.array([moved]))[0]:
                return moved
        return point

    def _beta(self, search: CountedSearch, point: Point, holder: CountedSearch, place: Point) -> float:
        x, w = self.series(search, point), self.series(holder, place)
        if x.std() == 0.0 or w.std() == 0.0 or np.corrcoef(x, w)[0, 1] < 0.35:
            return 0.0
        return float(np.clip(np.cov(x, w)[0, 1] / np.var(w, ddof=1), 0.0, 1.5))

    def _t(self, search: CountedSearch, draw: int, point: Point) -> tuple[float, bool]:
        each, counts = [], True
        for market in self._markets(search.timeframe, draw):
            found = evaluate_points(
                search.rule,
                market.bars,
                np.array([point]),
                search.execution,
                start=market.first,
                metrics=("timing_sharpe", "n_trades"),
            )
            n_bars = len(market.bars) - market.first
            each.append(float(found["timing_sharpe"][0]) * math.sqrt(n_bars / market.bars.bars_per_year))
            counts &= bool(found["n_trades"][0] >= 10)
        t = float(HOW[self.ground.aggregate](each))
        return t, counts and not math.isnan(t)

    def _markets(self, timeframe: str, draw: int) -> list[Market]:
        if (timeframe, draw) not in self.bars:
            markets = self.ground.markets[timeframe]
            text = f"draw|{timeframe}|{self.ground.boundary_ms}|{draw}".encode()
            seed = int.from_bytes(hmac.new(self.ground.key, text, hashlib.sha256).digest()[:16])
            self.bars[timeframe, draw] = list(markets) if draw == REAL else _shuffled(markets, seed)
        return self.bars[timeframe, draw]


def _shuffled(markets: Sequence[Market], seed: int) -> list[Market]:
    """The markets, of which all have the same times, with their bars in another order: the same in each."""
    rng = np.random.Generator(np.random.Philox(key=seed))
    first = max(1, markets[0].first)
    order = [*range(first), *(first + rng.permutation(len(markets[0].bars) - first))]
    made = []
    for market in markets:
        bars = market.bars
        columns: dict[str, list[float]] = {name: [] for name in COLUMNS}
        close = bars.close[0]
        for place, source in enumerate(order):
            before = bars.close[max(source - 1, 0)]
            for name in ("open", "high", "low", "close"):
                columns[name].append(float(getattr(bars, name)[source] / before * close))
            columns["volume"].append(float(bars.volume[source]))
            if place == 0:
                columns["close"][0] = float(bars.close[0])
            close = columns["close"][-1]
        arrays = {name: np.array(values) for name, values in columns.items()}
        arrays["high"] = np.maximum.reduce([arrays[name] for name in ("open", "high", "low", "close")])
        arrays["low"] = np.minimum.reduce([arrays[name] for name in ("open", "high", "low", "close")])
        shuffled = Bars.from_arrays(
            bars.timestamp, arrays, symbol=bars.symbol, timeframe=bars.timeframe, bars_per_year=bars.bars_per_year
        )
        made.append(Market(market.symbol, shuffled, market.execution, market.first))
    return made
