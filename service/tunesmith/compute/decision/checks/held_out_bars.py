"""Check: the bars that no search saw: the winner earns there, trades there, and its timing is better than chance."""

from __future__ import annotations

from tunesmith.compute.decision.checks.check_declaration import (
    DecisionCheck,
    Explanation,
    Requests,
    Work,
    ask_by_symbol,
    line,
    line_above_zero,
    number,
)
from tunesmith.compute.decision.inputs import DecisionInputs, Findings, WorkInputs, WorkRequest
from tunesmith.compute.decision.permutation_test import DrawnStatistics, draw_statistics, on_permuted_markets
from tunesmith.compute.decision.winner import Winner, metrics_by_symbol, metrics_of

_EDGE_GONE = (
    "The edge may have ended, or there was none. What the hold-out showed stays hidden, so that nobody can fit to it; "
    "new bars make a new one."
)


def judge(inputs: DecisionInputs, findings: Findings) -> Requests:
    """Judge return and trades first, then the timing against permuted hold-outs.

    The user's criteria are asked in sample alone: a bound of theirs on so few bars costs power, and who may choose it
    could learn from verdict to verdict what the hold-out holds.
    """
    limits = inputs.thresholds
    n_draws, stop_at = (
        (limits.n_holdout_permutations, 0)
        if inputs.edition == 1
        else (findings.evidence["limit"]["n_draws"], limits.stop_at)
    )
    found = yield WorkRequest(HOLDOUT.name)
    trades, least = found.get("n_trades"), limits.min_holdout_trades
    reason = f"{number(trades):.0f} trades on the hold-out, at least {least} are asked"
    enough = number(trades) >= least
    lines = [
        line_above_zero("holdout_return", found, "total_return", "a net return above zero", "holdout"),
        line("holdout_trades", "holdout", f"at least {least} trades", trades, float(least), enough, reason),
    ]
    if not all(each.passed for each in lines):
        return lines
    real = number(found.get("timing_sharpe"))
    by_symbol = yield from ask_by_symbol(inputs, HOLDOUT_SYMBOLS)
    drawn = yield WorkRequest(HOLDOUT_PERMUTATIONS.name, n_draws, stop_at, real, by_symbol)
    p = drawn["p"]
    reason = (
        f"on {drawn['n_reached']:,} of {drawn['n']:,} shuffled hold-outs these parameters did as well "
        f"(p = {p:.3g}, limit {limits.holdout:g})"
    )
    asks = "better timing than in permuted hold-outs"
    return [*lines, line("holdout", "holdout", asks, p, limits.holdout, p <= limits.holdout, reason)]


def draw_holdouts(winner: Winner, inputs: WorkInputs) -> DrawnStatistics:
    """The statistics on the permuted hold-outs `start` to `stop` of the inputs, with the parameters as they are.

    Bars before the hold-out, where each market's `first` is, stay where they are.
    """
    starts = [market.first for market in winner.markets]
    return draw_statistics(winner, inputs, lambda index: on_permuted_markets(winner, inputs.seed, index, starts))


HOLDOUT = Work(name="holdout", segment="holdout", run=lambda winner, inputs: metrics_of(winner), kept_in="metrics")
HOLDOUT_SYMBOLS = Work(
    name="holdout_symbols",
    segment="holdout",
    run=lambda winner, inputs: metrics_by_symbol(winner),
    kept_in="evidence",
)
HOLDOUT_PERMUTATIONS = Work(
    name="holdout_permutations",
    segment="holdout",
    run=draw_holdouts,
    kept_in="evidence",
    p_value="holdout",
    draws_per_chunk=100,
)

CHECK = DecisionCheck(
    name="holdout",
    question="bars that no search saw, and permuted versions of them",
    segment="holdout",
    judge=judge,
    works=(HOLDOUT, HOLDOUT_SYMBOLS, HOLDOUT_PERMUTATIONS),
    limits=("min_holdout_trades", "holdout", "n_holdout_permutations"),
    explanations={
        "holdout_return": Explanation("one backtest on the hold-out", _EDGE_GONE),
        "holdout_trades": Explanation(
            "the same backtest",
            "It trades too seldom to be judged: more bars, or a livelier rule, "
            "which counts as another try on this market.",
        ),
        "holdout": Explanation("a backtest on every shuffled hold-out", _EDGE_GONE),
    },
    summary=lambda findings: f"hold-out p = {findings.p['holdout']:.3g}",
)
