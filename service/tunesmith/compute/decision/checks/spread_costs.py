"""Check: net return and timing stay above zero where every order pays half of the market's estimated spread as well.

A price that bounces between bid and ask is bought low and sold high on paper. In the market the spread takes that.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from tunesmith.compute.decision.checks.check_declaration import (
    DecisionCheck,
    Explanation,
    Requests,
    Work,
    line,
    number,
    say_metric,
)
from tunesmith.compute.decision.inputs import DecisionInputs, Findings, WorkInputs, WorkRequest
from tunesmith.compute.decision.statistics.bid_ask_spread import Spread, spread_of
from tunesmith.compute.decision.winner import Winner, metrics_of
from tunesmith.compute.search.search import Market
from tunesmith.domain.trading import Costs

_HIGHEST_RATE = 0.499
"""An execution takes no higher fee; at one half of the value of every order nothing earns."""
_HELPS = (
    "What it earns is about the bounce between bid and ask, which nobody can trade. Trade less often, on a longer "
    "timeframe, or on a market with a smaller spread."
)


def judge(inputs: DecisionInputs, findings: Findings) -> Requests:
    """Judge the winner's total return and timing Sharpe ratio with half of each market's spread added to the fee."""
    found = yield WorkRequest(SPREAD.name)
    added = _say_spreads(found["estimates"])
    lines = []
    for name, label in (("total_return", "net return"), ("timing_sharpe", "timing Sharpe ratio")):
        value = found[name]
        reason = f"{added} the {label} is {say_metric(name, value)}"
        asks = f"a {label} above zero with half of the market's spread added to the costs of each order"
        lines.append(line(f"spread_{name}", "in_sample", asks, value, 0.0, number(value) > 0.0, reason))
    return lines


def with_spreads(winner: Winner, inputs: WorkInputs) -> dict[str, Any]:
    """The winner's total return and timing Sharpe ratio after spreads, and by symbol how each spread was estimated."""
    spreads = {market.symbol: spread_of(market.bars, market.first) for market in winner.markets}
    found = metrics_of(winner.on([_dearer(market, spreads[market.symbol]) for market in winner.markets]))
    return {
        "total_return": _defined(found["total_return"]),
        "timing_sharpe": _defined(found["timing_sharpe"]),
        "estimates": {symbol: _told(spread) for symbol, spread in spreads.items()},
    }


def _dearer(market: Market, spread: Spread) -> Market:
    costs = market.execution.costs
    dearer = Costs(
        fee_rate=min(costs.fee_rate + spread.used / 2.0, _HIGHEST_RATE),
        slippage_rate=costs.slippage_rate,
        fixed_fee=costs.fixed_fee,
    )
    return replace(market, execution=replace(market.execution, costs=dearer))


def _told(spread: Spread) -> dict[str, Any]:
    return {
        "estimate": _defined(spread.estimate),
        "error": _defined(spread.error),
        "least_told": _defined(spread.least_told),
        "used": spread.used,
        "roll": _defined(spread.roll),
        "first_alone": spread.first_alone,
    }


def _defined(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _say_spreads(estimates: dict[str, dict[str, Any]]) -> str:
    told = {symbol: each["used"] for symbol, each in estimates.items() if each["used"] > 0.0}
    if not told:
        return "these bars show no spread, so nothing is added:"
    if len(estimates) == 1:
        return f"with half of the estimated spread of {next(iter(told.values())):.2%} added to each order"
    each = ", ".join(f"{symbol} {told.get(symbol, 0.0):.2%}" for symbol in estimates)
    return f"with half of the estimated spread ({each}) added to each order"


SPREAD = Work(name="spread", segment="in_sample", run=with_spreads, kept_in="evidence")

CHECK = DecisionCheck(
    name="spread",
    question="it still earns after the market's spread",
    segment="in_sample",
    judge=judge,
    works=(SPREAD,),
    explanations={
        "spread_total_return": Explanation("one backtest", _HELPS),
        "spread_timing_sharpe": Explanation("the same backtest", _HELPS),
    },
    named_when_skipped=False,
    editions=frozenset({2}),
)
