"""Targets as requests write them → scores.

A target is one of
    "sharpe"                                          a metric or an alias, in the metric's own direction
    "profit_factor * sharpe * (1 - max_drawdown)"     an expression, maximized; see `expression`
    {"sharpe": 0.5, "max_drawdown": -0.2}             weights: the sum of weight times raw value, maximized
    "freqtrade:SharpeHyperOptLossDaily"               a loss of freqtrade's hyperopt, minimized; see `freqtrade_losses`
    "guarded:CalmarHyperOptLoss"                      our guarded variant of that loss, minimized
or a list of up to four different ones, for a search that looks for the Pareto front.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tunesmith.compute.search.objective.expression import Expression
from tunesmith.compute.search.objective.freqtrade_losses import LOSSES, loss_of
from tunesmith.compute.search.selection import aggregate, aggregate_values
from tunesmith.domain.array_types import Floats
from tunesmith.domain.closed_trades import ClosedTrades
from tunesmith.domain.metrics import METRICS, Aggregation, Goal, metric_named
from tunesmith.domain.parameters import not_finite, shown
from tunesmith.errors import Invalid

MAX_TARGETS = 4
MAX_WEIGHTS = 32

Metrics = Mapping[str, Floats]
Trades = Sequence[ClosedTrades | None]

_ORIGINAL, _GUARDED = "freqtrade", "guarded"
_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Term:
    """One target. `metrics` are those that it reads; a loss reads closed trades instead, and has a name."""

    label: str
    direction: Goal
    metrics: tuple[str, ...]
    expression: Expression | None = None
    weights: tuple[tuple[str, float], ...] = ()
    loss: str = ""
    guarded: bool = False

    def values(self, metrics: Metrics, trades: Trades) -> Floats:
        """Raw values of n trials, float64[n]; NaN where undefined."""
        if self.loss:
            return np.array([loss_of(self.loss, each, guarded=self.guarded) for each in trades], np.float64)
        if self.expression is not None:
            return np.array(np.broadcast_to(self.expression.evaluate(metrics), metrics[self.metrics[0]].shape))
        if not self.weights:
            return np.array(metrics[self.metrics[0]], np.float64)
        with np.errstate(all="ignore"):
            total = sum((weight * metrics[name] for name, weight in self.weights), start=np.float64(0.0))
        return np.where(np.isfinite(total), total, np.nan)


@dataclass(frozen=True, slots=True)
class Objective:
    """What a search is after: k targets, of which a score says in each how good a trial is, larger being better."""

    terms: tuple[Term, ...]

    @classmethod
    def parse(cls, target: Any, path: str = "/data/optimization_target") -> Objective:
        """The objective that a target asks for; raises `Invalid` with the path and the nearest right name."""
        if not isinstance(target, list | tuple):
            return cls((_term(target, path),))
        if not 1 <= len(target) <= MAX_TARGETS:
            raise Invalid(f"a list holds 1 to {MAX_TARGETS} targets, got {len(target)}", path=path)
        terms = tuple(_term(each, f"{path}/{i}") for i, each in enumerate(target))
        for i, term in enumerate(terms):
            if term in terms[:i]:
                raise Invalid(f"{term.label} is there twice", path=f"{path}/{i}")
        return cls(terms)

    @property
    def labels(self) -> tuple[str, ...]:
        """What each target is called where its values are shown."""
        return tuple(term.label for term in self.terms)

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that an evaluation has to give."""
        return tuple(dict.fromkeys(name for term in self.terms for name in term.metrics))

    @property
    def needs_trades(self) -> bool:
        """Whether closed trades are needed: `closed_trades.closed_trades_of`."""
        return any(term.loss for term in self.terms)

    @property
    def directions(self) -> tuple[Goal, ...]:
        """Which way is better for each of the raw values."""
        return tuple(term.direction for term in self.terms)

    @property
    def n_targets(self) -> int:
        return len(self.terms)

    def values(self, metrics: Metrics, trades: Trades = ()) -> Floats:
        """Raw values as a user reads them, float64[n, k], NaN where undefined.

        `metrics` float64[n] by name for at least `self.metrics`; `trades` of the n trials where `needs_trades`.
        """
        return np.column_stack([term.values(metrics, trades) for term in self.terms])

    def scores(self, metrics: Metrics, trades: Trades = ()) -> Floats:
        """`values` with the sign that makes larger better; float64[n, k], NaN where undefined."""
        return self.signed(self.values(metrics, trades))

    def signed(self, values: Floats) -> Floats:
        """Scores from raw values and raw values from scores: those to be minimized change sign; float64[n, k]."""
        signs = [1.0 if direction == "maximize" else -1.0 for direction in self.directions]
        return np.asarray(values * signs, np.float64)

    def values_over(self, metrics: Mapping[str, Metrics], trades: Mapping[str, Trades], how: Aggregation) -> Floats:
        """Raw values over several symbols, float64[n, k]: of their aggregated metrics, and their aggregated losses.

        `metrics` and `trades` by symbol; see `selection.aggregate`. An expression is over the aggregated metrics.
        """
        together = aggregate(metrics, how) if self.metrics else {}
        columns = []
        for term in self.terms:
            if term.loss:
                by_symbol = np.stack([term.values({}, each) for each in trades.values()])
                columns.append(aggregate_values(by_symbol, how, term.direction))
            else:
                columns.append(term.values(together, ()))
        return np.column_stack(columns)


def _term(target: Any, path: str) -> Term:
    if isinstance(target, Mapping):
        return _weighted(target, path)
    if not isinstance(target, str):
        raise Invalid(f"{shown(target)} is no target; give a metric, an expression or weights", path=path)
    text = target.strip()
    if ":" in text:
        return _loss(text, path)
    if _NAME.fullmatch(text):
        name = metric_named(text, path)
        return Term(name, METRICS[name].direction, (name,))
    expression = Expression.parse(text, path)
    return Term(text, "maximize", expression.metrics, expression=expression)


def _weighted(target: Mapping[Any, Any], path: str) -> Term:
    if not 1 <= len(target) <= MAX_WEIGHTS:
        raise Invalid(f"weights name 1 to {MAX_WEIGHTS} metrics, got {len(target)}", path=path)
    weights: dict[str, float] = {}
    for name, weight in target.items():
        if not isinstance(name, str):
            raise Invalid(f"{shown(name)} is no metric", path=path)
        metric = metric_named(name, path)
        where = f"{path}/{name}"
        wrong = not_finite(weight)
        if wrong or weight == 0:
            raise Invalid(wrong or "a weight of 0 says nothing", path=where)
        if metric in weights:
            raise Invalid(f"{metric} is there twice", path=where)
        weights[metric] = float(weight)
    label = "".join(f" {'-' if w < 0 else '+'} {abs(w):g} * {name}" for name, w in weights.items())
    label = label[3:] if label.startswith(" +") else f"-{label[3:]}"
    return Term(label, "maximize", tuple(weights), weights=tuple(weights.items()))


def _loss(text: str, path: str) -> Term:
    family, _, name = text.partition(":")
    if family not in (_ORIGINAL, _GUARDED):
        raise Invalid(f"{family[:80]!r} has no losses; write {_ORIGINAL}: or {_GUARDED}: and a name", path=path)
    if name not in LOSSES:
        near = difflib.get_close_matches(name[:64], LOSSES, 1, 0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(LOSSES)}"
        raise Invalid(f"{name[:80]!r} is no loss of freqtrade's; {hint}", path=path)
    return Term(text, "minimize", (), loss=name, guarded=family == _GUARDED)
