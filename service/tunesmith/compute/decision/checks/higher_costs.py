"""Check: net return and timing stay above zero at higher costs."""

from __future__ import annotations

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
from tunesmith.compute.decision.winner import Winner, metrics_at_costs

_TRADE_LESS = (
    "It trades more often than it earns by; trade where it costs less. A search for one that trades less often (a "
    "longer timeframe, a constraint on n_trades) counts as another try on this market."
)


def judge(inputs: DecisionInputs, findings: Findings) -> Requests:
    """Judge the winner's metrics at `cost_factor` times the costs."""
    factor = inputs.thresholds.cost_factor
    found = yield WorkRequest(COSTS.name)
    lines = []
    for name, label in (("total_return", "net return"), ("timing_sharpe", "timing Sharpe ratio")):
        value = found.get(name)
        reason = f"at {factor:g} times the costs the {label} is {say_metric(name, value)}"
        asks = f"a {label} above zero at {factor:g} times the costs"
        lines.append(line(f"costs_{name}", "in_sample", asks, value, 0.0, number(value) > 0.0, reason))
    return lines


def at_higher_costs(winner: Winner, inputs: WorkInputs) -> dict[str, float]:
    """Every metric of the winner at `cost_factor` times the costs."""
    return metrics_at_costs(winner, inputs.thresholds.cost_factor)


COSTS = Work(name="costs", segment="in_sample", run=at_higher_costs, kept_in="metrics")

CHECK = DecisionCheck(
    name="costs",
    question="it still earns at twice the costs",
    segment="in_sample",
    judge=judge,
    works=(COSTS,),
    limits=("cost_factor",),
    explanations={
        "costs_total_return": Explanation("one backtest", _TRADE_LESS),
        "costs_timing_sharpe": Explanation("the same backtest", _TRADE_LESS),
    },
    named_when_skipped=False,
)
