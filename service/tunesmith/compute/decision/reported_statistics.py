"""What is reported beside a decision: classical statistics, each with the sentence of what it cannot say.

None of them approves anything: measured on markets without an edge, each lets through far more than a decision may.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from tunesmith.compute.decision.statistics.overfitting import PBO_CANNOT_SAY, overfitting
from tunesmith.compute.decision.statistics.sharpe_ratio import (
    DSR_CANNOT_SAY,
    PSR_CANNOT_SAY,
    deflated_sharpe,
    minimum_track_record,
    moments,
    probabilistic_sharpe,
)
from tunesmith.compute.decision.winner import Winner, blocks_of, metrics_at_costs, metrics_of, trials_of
from tunesmith.compute.engines.trace import trace
from tunesmith.compute.measures.block_sums import BlockSums
from tunesmith.domain.array_types import Floats
from tunesmith.domain.trading import Costs

_MAX_TRIALS = 2000
_N_BLOCKS = 16
_PERIODS = 4
_COST_FACTORS = (1.0, 1.5, 2.0, 3.0)
_SLIPPAGE = 0.0005

_WALK_FORWARD_CANNOT_SAY = (
    "Choosing anew on what is past and trading the next block passes four in ten markets without an edge."
)
_PERIODS_CANNOT_SAY = "A gain in every quarter of the record happens to a quarter of worthless searches."
_COSTS_CANNOT_SAY = "A result that bears double fees may still be luck; one that does not is no result."


def report_of(winner: Winner) -> dict[str, Any]:
    """Every statistic by name, each with `cannot_say`; NaN comes as None. Of several markets `symbols` has one each."""
    points = trials_of(winner)
    if winner.others:
        return {"symbols": {market.symbol: _report(winner.on([market]), points) for market in winner.markets}}
    return _report(winner, points)


def _report(winner: Winner, points: Floats) -> dict[str, Any]:
    chosen = points[np.unique(np.linspace(0, len(points) - 1, min(len(points), _MAX_TRIALS)).astype(int))]
    sums = next(blocks_of(winner, chosen, _N_BLOCKS))
    timing = _timing_returns(winner)
    found = moments(timing)
    n_trials = len(points)
    ratios = _ratios(sums)
    annual = math.sqrt(winner.market.bars.bars_per_year)
    own = metrics_of(winner)
    report: dict[str, Any] = {
        "psr": {"value": probabilistic_sharpe(found), "cannot_say": PSR_CANNOT_SAY},
        "dsr": {
            "value": deflated_sharpe(found, n_trials, float(np.nanvar(ratios, ddof=1)) if len(ratios) > 1 else 0.0),
            "n_trials": n_trials,
            "cannot_say": DSR_CANNOT_SAY,
        },
        "minimum_track_record_years": {
            "value": minimum_track_record(found, 0.0) / winner.market.bars.bars_per_year,
            "cannot_say": PSR_CANNOT_SAY,
        },
        "pbo": {"value": _pbo(sums), "n_trials": len(chosen), "cannot_say": PBO_CANNOT_SAY},
        "walk_forward_efficiency": {"value": _walk_forward(sums), "cannot_say": _WALK_FORWARD_CANNOT_SAY},
        "sub_periods": {
            "timing_sharpe": [moments(part).sharpe * annual for part in np.array_split(timing, _PERIODS)],
            "cannot_say": _PERIODS_CANNOT_SAY,
        },
        "costs": {"stress": _stress(winner), "cannot_say": _COSTS_CANNOT_SAY},
        "holding": {
            "buy_and_hold_return": own["buy_and_hold_return"],
            "exposure": own["exposure"],
            "timing_sharpe": own["timing_sharpe"],
            "sharpe": own["sharpe"],
        },
    }
    plain: dict[str, Any] = _plain(report)
    return plain


def _timing_returns(winner: Winner) -> Floats:
    """The winner's returns less what its mean exposure earned: a_t = R_t - e * r_t, float64[T - first]."""
    market = winner.market
    path = trace(winner.rule, market.bars, winner.point, market.execution, start=market.first)
    close = market.bars.close[market.first :]
    held = np.concatenate([[0.0], np.diff(close) / close[:-1]])
    exposure = float(next(blocks_of(winner, winner.point[np.newaxis], _N_BLOCKS)).exposure[0])
    return np.asarray(path.returns - exposure * held)


def _ratios(sums: BlockSums) -> Floats:
    """Timing Sharpe ratios a bar, float64[n]; NaN without variance."""
    n = sums.length * sums.timing.shape[1]
    mean = sums.timing.sum(axis=1) / n
    variance = (sums.timing_squares.sum(axis=1) - n * mean * mean) / (n - 1)
    return np.where(variance > 1e-18, mean / np.sqrt(np.maximum(variance, 1e-300)), np.nan)


def _pbo(sums: BlockSums) -> float:
    kept = ~np.isnan(sums.returns).any(axis=1)
    if kept.sum() < 2:
        return math.nan
    return overfitting(sums.timing[kept], sums.timing_squares[kept], sums.length).probability


def _walk_forward(sums: BlockSums) -> float:
    """Mean timing return of the block after, over that inside, of the best trial of all blocks before; NaN below 0."""
    timing, squares = sums.timing, sums.timing_squares
    inside, outside = [], []
    for stop in range(timing.shape[1] // 2, timing.shape[1]):
        n = sums.length * stop
        mean = timing[:, :stop].sum(axis=1) / n
        variance = squares[:, :stop].sum(axis=1) / n - mean * mean
        ratio = np.where(variance > 1e-18, mean / np.sqrt(np.maximum(variance, 1e-300)), -np.inf)
        best = int(np.nanargmax(np.where(np.isnan(ratio), -np.inf, ratio)))
        inside.append(mean[best])
        outside.append(timing[best, stop] / sums.length)
    earned = float(np.mean(inside))
    return float(np.mean(outside)) / earned if earned > 0.0 else math.nan


def _stress(winner: Winner) -> list[dict[str, Any]]:
    rows = []
    for factor in _COST_FACTORS:
        found = metrics_at_costs(winner, factor)
        rows.append({"costs": f"x{factor:g}", "total_return": found["total_return"], "sharpe": found["sharpe"]})
    market = winner.market
    costs = market.execution.costs
    slipping = Costs(fee_rate=costs.fee_rate, slippage_rate=costs.slippage_rate + _SLIPPAGE, fixed_fee=costs.fixed_fee)
    dearer = replace(market, execution=replace(market.execution, costs=slipping))
    found = metrics_of(replace(winner, market=dearer))
    rows.append(
        {"costs": f"+{_SLIPPAGE:.2%} slippage", "total_return": found["total_return"], "sharpe": found["sharpe"]}
    )
    return rows


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
