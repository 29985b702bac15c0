"""Check: better than the package in force, on bars that are later than its approval where there are enough."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from tunesmith.compute.decision.checks.check_declaration import (
    DecisionCheck,
    Explanation,
    Requests,
    Work,
    line,
    number,
    two_decimals,
)
from tunesmith.compute.decision.inputs import DecisionInputs, Findings, WorkInputs, WorkRequest
from tunesmith.compute.decision.winner import Winner, statistic_of
from tunesmith.compute.search.selection import aggregate_values
from tunesmith.domain.approval import Check
from tunesmith.domain.space import encode_points
from tunesmith.errors import TunesmithError

_MIN_SINCE = 100
"""Bars since the approval of the package in force from which on they alone compare it with a newcomer."""


def judge(inputs: DecisionInputs, findings: Findings) -> list[Check] | Requests:
    """Judge both timing Sharpe ratios on the same bars; where no package is in force there is nothing to judge."""
    return [] if inputs.incumbent is None else _judge()


def compare_with_package(winner: Winner, inputs: WorkInputs) -> dict[str, Any]:
    """Both statistics on the hold-out's bars since the package's approval, or on all of it where they are few.

    Of several markets those with a package in force count, and both sides come as the search's one number of them. A
    package whose parameters the strategy does not take any more has none.
    """
    new, old, n_bars, since = [], [], [], []
    for market, package in zip(winner.markets, inputs.packages, strict=True):
        if package is None:
            continue
        begin = market.bars.index_at(package.approved_ms)
        enough = len(market.bars) - begin >= _MIN_SINCE
        part = winner.on([replace(market, first=max(market.first, begin) if enough else market.first)])
        new.append(statistic_of(part))
        try:
            point = encode_points(winner.rule.parameters, package.params)[0]
            old.append(statistic_of(replace(part, point=point)))
        except TunesmithError:
            old.append(np.nan)
        n_bars.append(len(market.bars) - part.market.first)
        since.append(enough)
    return {
        "newcomer": _as_one(winner, new),
        "incumbent": _as_one(winner, old),
        "n_bars": min(n_bars),
        "since": all(since),
    }


def _judge() -> Requests:
    found = yield WorkRequest(COMPARISON.name)
    new, old = found["newcomer"], found["incumbent"]
    where = f"on the {found['n_bars']:,} bars since its approval" if found["since"] else "on the whole hold-out"
    passed = number(new) > number(old)
    reason = f"its timing Sharpe ratio {where} is {two_decimals(new)}, that of the package in force {two_decimals(old)}"
    asks = "better than the package in force"
    return [line("incumbent", "holdout", asks, new, old, passed, reason if passed else f"no better: {reason}")]


def _as_one(winner: Winner, values: list[float]) -> float | None:
    """The statistics of the markets as the search's one number of them."""
    value = float(aggregate_values(np.array([[v] for v in values]), winner.plan.aggregate, "maximize")[0])
    return value if np.isfinite(value) else None


COMPARISON = Work(name="incumbent", segment="holdout", run=compare_with_package, kept_in="evidence")

CHECK = DecisionCheck(
    name="incumbent",
    question="better than the package in force",
    segment="holdout",
    judge=judge,
    works=(COMPARISON,),
    explanations={
        "incumbent": Explanation(
            "two backtests",
            "The package in force does better and stays. Newer bars may show another; a search on them counts as "
            "another try on this market.",
            "it is no better than the package in force",
        )
    },
)
