"""Check: orders that fill one bar later still earn, and keep two fifths of the timing.

What is gone a bar later was no movement of the market: a bounce between bid and ask, or a false price.
"""

from __future__ import annotations

from tunesmith.compute.decision.checks.check_declaration import (
    DecisionCheck,
    Explanation,
    Requests,
    Work,
    line,
    line_above_zero,
    number,
    two_decimals,
)
from tunesmith.compute.decision.inputs import DecisionInputs, Findings, WorkRequest
from tunesmith.compute.decision.winner import metrics_one_bar_later

KEPT = 0.4
"""The share of the timing Sharpe ratio that must be left."""
_HELPS = (
    "What it earns is gone a bar later, as a bounce or a false price is. Look at the bars for wrong prices, and search "
    "rules that hold longer or on a shorter timeframe."
)


def judge(inputs: DecisionInputs, findings: Findings) -> Requests:
    """Judge the winner's total return and timing Sharpe ratio where every order fills one bar later."""
    found = yield WorkRequest(DELAY.name)
    in_time = number(findings.metrics["in_sample"].get("timing_sharpe"))
    late = found["timing_sharpe"]
    least = KEPT * in_time
    asks = f"{KEPT:.0%} of the timing Sharpe ratio where every order fills one bar later"
    reason = (
        f"where every order fills one bar later the timing Sharpe ratio is {two_decimals(late)}; at least "
        f"{least:.2f} is asked, {KEPT:.0%} of {in_time:.2f}"
    )
    earns = line_above_zero(
        "delay_total_return", found, "total_return", "a net return above zero where every order fills one bar later"
    )
    return [earns, line("delay_timing_sharpe", "in_sample", asks, late, least, number(late) >= least, reason)]


DELAY = Work(
    name="delay",
    segment="in_sample",
    run=lambda winner, inputs: metrics_one_bar_later(winner),
    kept_in="evidence",
)

CHECK = DecisionCheck(
    name="delay",
    question="it still earns when orders come one bar later",
    segment="in_sample",
    judge=judge,
    works=(DELAY,),
    explanations={
        "delay_total_return": Explanation("one backtest", _HELPS),
        "delay_timing_sharpe": Explanation("the same backtest", _HELPS),
    },
    named_when_skipped=False,
    editions=frozenset({2}),
)
