"""Walk-forward: search on what is past, trade what comes next, again and again.

1. The bars are cut into windows: a part to search on, and the bars after it to trade with what was found. The part
   begins where the bars do (anchored) or moves along (rolling); the traded parts join without a gap.
2. Each window is a search of its own, and its winner trades the next part from a flat account: what it says at the
   close before the part is filled at the part's first open.
3. The traded returns are stitched to one equity; what it earned a bar, over what the winners had earned a bar in
   search, is the efficiency (Pardo 1992).
A window whose search finds nothing trades nothing. A position that is open at the end of a part is closed at its last
close: the next part has other parameters. It is a trade like any other, and pays for its exit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tunesmith.compute.engines.trace import Trace, trace
from tunesmith.compute.rules.strategy import Strategy
from tunesmith.compute.search.search import Market, Search, run_whole
from tunesmith.compute.search.walk_forward.walk_windows import Part
from tunesmith.compute.simulation.execution import Execution
from tunesmith.domain.array_types import Floats
from tunesmith.domain.parameters import ParamValues, decode_point
from tunesmith.domain.search.search_plan import SearchPlan

WALK_FORWARD_CANNOT_SAY = (
    "A walk-forward shows how choosing anew would have done on this one past; of markets without an edge four in ten "
    "look efficient in it."
)


@dataclass(frozen=True, eq=False)
class Walked:
    """One window: the winner's parameters and score (None: nothing was found), and the returns it traded.

    `earned` is the winner's mean return a bar in search, `returns` float64[end - stop] what came after.
    """

    part: Part
    params: ParamValues | None
    score: float | None
    earned: float
    n_trades: int
    returns: Floats


@dataclass(frozen=True, eq=False)
class Stitched:
    """The traded parts as one account; NaN where undefined. `equity` float64[n] begins after the first traded bar."""

    equity: Floats
    metrics: dict[str, float]
    efficiency: float


def walk_part(rule: Strategy, plan: SearchPlan, market: Market, part: Part) -> Walked:
    """Search one window of `market` and trade what follows; indicators are warmed up by the bars before."""
    past = Market(market.symbol, market.bars.slice(0, part.stop), market.execution, max(part.start, market.first))
    outcome = run_whole(Search(rule, plan), [past])
    if outcome.best is None:
        return Walked(part, None, None, math.nan, 0, np.zeros(part.end - part.stop))
    point = outcome.found.points[outcome.best]
    known = market.bars.slice(0, part.end)
    lead = 1 if market.execution.fill == "next_open" else 0
    path = trace(rule, known, point, market.execution, start=part.stop - lead)
    returns, n_trades = _left_flat(path, market.execution, float(known.close[-1]))
    growth = 1.0 + float(outcome.found.metrics["total_return"][outcome.best])
    return Walked(
        part=part,
        params=decode_point(rule.parameters, point),
        score=float(outcome.found.values[outcome.best, 0]),
        earned=math.log(growth) / (part.stop - past.first) if growth > 0.0 else math.nan,
        n_trades=n_trades,
        returns=returns[lead:],
    )


def _left_flat(path: Trace, execution: Execution, close: float) -> tuple[Floats, int]:
    """The returns of a path whose position is closed at its last close with all costs, and its closed trades then."""
    size = float(path.position[-1])
    if size == 0.0:
        return path.returns, len(path.trades)
    costs, equity = execution.costs, float(path.equity[-1])
    sign = 1.0 if size > 0.0 else -1.0
    value = abs(size) * close * (1.0 - sign * costs.slippage_rate)
    left = max(equity - size * close + sign * value - value * costs.fee_rate - costs.fixed_fee, 0.0)
    returns = path.returns.copy()
    if equity > 0.0:
        returns[-1] = (1.0 + returns[-1]) * left / equity - 1.0
    return returns, len(path.trades) + 1


def stitch(walked: Sequence[Walked], bars_per_year: float, initial_cash: float) -> Stitched:
    """One account from the windows, in their order."""
    returns = np.concatenate([each.returns for each in walked])
    equity = np.asarray(initial_cash * np.cumprod(1.0 + returns), np.float64)
    peaks = np.maximum.accumulate(np.concatenate([[initial_cash], equity]))[1:]
    n = len(returns)
    std = float(returns.std(ddof=1)) if n > 1 else 0.0
    downside = math.sqrt(float((np.minimum(returns, 0.0) ** 2).mean()))
    growth = float(equity[-1]) / initial_cash
    mean, annual = float(returns.mean()), math.sqrt(bars_per_year)
    metrics = {
        "total_return": growth - 1.0,
        "annual_return": growth ** (bars_per_year / n) - 1.0 if growth > 0.0 else math.nan,
        "sharpe": mean / std * annual if std > 1e-12 else math.nan,
        "sortino": mean / downside * annual if downside > 1e-12 else math.nan,
        "max_drawdown": float((1.0 - equity / peaks).max()),
        "volatility": std * annual,
        "n_trades": float(sum(each.n_trades for each in walked)),
    }
    earned = np.array([each.earned for each in walked])
    inside = float(np.nanmean(earned)) if np.isfinite(earned).any() else math.nan
    outside = math.log(growth) / n if growth > 0.0 else math.nan
    return Stitched(equity, metrics, outside / inside if inside > 0.0 else math.nan)
