"""One market without an edge, and somebody who searches it again and again to have something approved.

What is searched is made with the library's own functions; an asked verdict gets the book that the daemon would have
given it (see `services.verdicts.search_book`): who saw what, and which searches are somebody else's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

import tunesmith as ts
from benchmarks.made_markets import AVERAGES, BANDS, FAMILIES, NOISE, STRENGTH, moved
from benchmarks.marathon import stream
from tunesmith.compute.decision.nulls.asked_book import AskedBook
from tunesmith.compute.decision.nulls.counted_search import CountedSearch
from tunesmith.compute.decision.nulls.shuffled_ground import statistics_of_points
from tunesmith.compute.rules.strategy import Strategy
from tunesmith.compute.search.search import Market
from tunesmith.domain.array_types import Floats
from tunesmith.domain.market.bars import Bars
from tunesmith.domain.market.resample import resample
from tunesmith.domain.parameters import ParamValues
from tunesmith.domain.trading import Direction
from tunesmith.notebook.judging import market_of_study
from tunesmith.notebook.study import Study

N_BARS = 2000
N_WIDE = 200
TARGET = "timing_sharpe"
"""What the attacker maximizes: the statistic that is tested."""


@dataclass(frozen=True)
class Box:
    """What is searched of one strategy: by parameter the least and the greatest value and the step."""

    code: str
    axes: Mapping[str, tuple[float, float, float]]
    fixed: Mapping[str, float]
    lengths: tuple[str, ...]
    """Parameters that are a number of bars."""

    def ranges(self, every: int = 1) -> dict[str, Any]:
        """All of it, or every so many steps."""
        spans = {name: _span(low, high, step * every) for name, (low, high, step) in self.axes.items()}
        return {**spans, **self.fixed}

    def around(self, params: ParamValues, steps: int, *, of: Sequence[str] | None = None) -> dict[str, Any]:
        """So many steps about a point on every axis, or on those `of` the box; elsewhere the point's own values."""
        found: dict[str, Any] = {**params}
        for name, (low, high, step) in self.axes.items():
            if of is None or name in of:
                at = float(params[name])
                found[name] = _span(max(low, at - steps * step), min(high, at + steps * step), step)
        return found

    def beside(self, params: ParamValues) -> dict[str, Any]:
        """The point and the one next to it on the last axis; a point alone is refused, as it has no neighbours."""
        name, (_, high, step) = list(self.axes.items())[-1]
        at = float(params[name])
        return {**params, name: [at, at - step if at + step > high else at + step]}


BOXES = {
    "moving averages": Box(AVERAGES, {"fast": (2, 62, 2), "slow": (10, 250, 4)}, {}, ("fast", "slow")),
    "RSI": Box(
        STRENGTH,
        {"period": (2, 26, 2), "oversold": (15, 45, 2), "exit_level": (46, 70, 4)},
        {"stop": 0.2},
        ("period",),
    ),
    "Bollinger": Box(BANDS, {"period": (5, 95, 3), "width": (0.5, 3.5, 0.1)}, {"stop": 0.2}, ("period",)),
}


class Made(NamedTuple):
    """A search that was made, and how it counts."""

    study: Study
    counted: CountedSearch

    @property
    def params(self) -> ParamValues:
        """The winner's parameters."""
        return self.study.best_params or {}

    @property
    def statistic(self) -> float:
        """The winner's t; -inf where it is no result of a verdict."""
        study = self.study
        found = worth(study, study.points[study.best_index or 0][np.newaxis])
        return float(np.nan_to_num(found[0], nan=-np.inf))


class Nothing(Exception):
    """A search found no eligible trial, so that the attack ends."""


@dataclass(frozen=True, eq=False)
class Asked:
    """A verdict that is asked for: on the winner of a search, with all searches that count, this one among them.

    `elsewhere` are the market's in-sample bars in other timeframes.
    """

    made: Made
    book: tuple[CountedSearch, ...]
    elsewhere: Mapping[str, tuple[Market, ...]] = field(default_factory=dict)

    def asked_book(self) -> AskedBook:
        """What the decision is told of the searches."""
        study = self.made.study
        return AskedBook(self.book, self.made.counted.search_id, study.points[study.best_index or 0])


class Attacker:
    """Somebody with one market: `bars` with the hold-out, which only attacks from outside look at."""

    def __init__(self, seed: int, i: int, kind: str | None = None) -> None:
        self.rng = stream(seed, 20, i)
        self.kind = kind or list(NOISE)[i % len(NOISE)]
        self.family = list(FAMILIES)[int(self.rng.integers(len(FAMILIES)))]
        self.direction: Direction = "both" if self.rng.random() < 0.5 else "long"
        self.box = BOXES[self.family]
        self.rule = FAMILIES[self.family].rule
        self.bars = NOISE[self.kind](self.rng, N_BARS)
        self.seed = int(self.rng.integers(2**31))

    def search(
        self,
        name: str,
        ranges: Mapping[str, Any],
        after: Sequence[Made] = (),
        *,
        rule: Strategy | None = None,
        bars: Bars | None = None,
        direction: Direction | None = None,
        fee: float = 0.001,
        n_made: int | None = None,
        **more: Any,
    ) -> Made:
        """Search, knowing the results of the searches before; raises `Nothing` where no trial is eligible."""
        given = {"method": "grid", "target": TARGET, "seed": self.seed, **more}
        study = ts.optimize(
            rule or self.rule,
            self.bars if bars is None else bars,
            dict(ranges),
            direction=direction or self.direction,
            costs=ts.Costs(fee_rate=fee),
            **given,
        )
        if study.best_index is None:
            raise Nothing(name)
        return Made(study, counted(name, study, after, n_made))

    @cached_property
    def wide(self) -> Made:
        """The first search: some hundred points of the whole box."""
        return self.wide_on("wide")

    def wide_on(self, name: str, bars: Bars | None = None, after: Sequence[Made] = (), **more: Any) -> Made:
        """The first search's points on other bars, or as another search."""
        given = {"method": "random", "max_iterations": N_WIDE, **more}
        return self.search(name, self.box.ranges(), after, bars=bars, **given)

    def text(self, *changes: tuple[str, str]) -> Strategy:
        """The rule with its text changed."""
        code = self.box.code
        for old, new in changes:
            code = re.sub(old, new, code)
        return Strategy.parse(code, id="variation")

    @cached_property
    def filtered(self) -> Strategy:
        """The rule with a filter: what it enters has to be on the right side of a long average."""
        return self.text(
            (r"\A", "\ntrend = Int(100, 5, 400)"),
            (r"enter_long\((.*)\)\n", r"enter_long((\1) and close > sma(close, trend))\n"),
            (r"enter_short\((.*)\)\n", r"enter_short((\1) and close < sma(close, trend))\n"),
        )

    @cached_property
    def longer(self) -> Bars:
        """The market in bars of twice the length."""
        unit = self.bars.timeframe
        return resample(self.bars, f"{2 * int(unit[:-1])}{unit[-1]}")

    def in_longer(self, made: Made) -> Mapping[str, tuple[Market, ...]]:
        """The in-sample part of the longer bars of a search on the short ones."""
        market = market_of_study(made.study)
        known = resample(market.bars, self.longer.timeframe)
        return {known.timeframe: (replace(market, bars=known),)}

    def like(self, correlation: float) -> Bars:
        """Another market without an edge, whose returns correlate so much with this one's."""
        own = np.diff(self.bars.close, prepend=self.bars.open[0]) / np.append(self.bars.open[0], self.bars.close[:-1])
        rest = own.std() * self.rng.standard_normal(len(own))
        mixed = correlation * own + np.sqrt(1.0 - correlation**2) * rest
        other = moved(self.rng, mixed, float(own.std()))
        return replace(other, timestamp=self.bars.timestamp, timeframe=self.bars.timeframe, symbol="LIKE/IT")


def worth(study: Study, points: Floats) -> Floats:
    """t of points float64[n, p] on the bars that a study searched; float64[n], NaN where they are no result."""
    found = statistics_of_points(study.strategy, [market_of_study(study)], study.execution, points, "mean")
    return np.where(found.counts, found.t, np.nan)


def counted(name: str, study: Study, after: Sequence[Made] = (), n_made: int | None = None) -> CountedSearch:
    """How a search counts whose owner saw what came before it; `n_made` of its trials were made, if not all."""
    return CountedSearch(
        search_id=name,
        rule=study.strategy,
        plan=study.plan,
        execution=study.execution,
        timeframe=study.bars.timeframe,
        n_made=len(study.points) if n_made is None else n_made,
        seen=frozenset(each.counted.search_id for each in after),
        era_ms=study.split.boundary_ms,
    )


def backtests(name: str, like: Made, points: Floats, after: Sequence[Made]) -> CountedSearch:
    """How single backtests of points float64[n, p] count, pooled, whose owner saw what came before the first."""
    of = counted(name, like.study, after)
    return replace(of, plan=None, listed=points, n_made=len(points))


def foreign(made: Made) -> CountedSearch:
    """The search as it counts for somebody else, who never opened its results."""
    return replace(made.counted, draws_only_p=True, seen=frozenset())


def asked(made: Made, before: Sequence[Made | CountedSearch] = ()) -> Asked:
    """The verdict on a search's winner after others."""
    earlier = [each.counted if isinstance(each, Made) else each for each in before]
    return Asked(made, (*earlier, made.counted))


def _span(low: float, high: float, step: float) -> dict[str, float]:
    return {"min": low, "max": high, "step": step}
