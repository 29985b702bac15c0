"""The checks of a decision, one function each, in the order in which they are made: cheap first.

A check yields the work that it wants (an `Ask`), is sent the answer, and returns its verdicts. To add one: a function
here and one line in `CHECKS`. Permutation tests are made against the limits of paper trading; what passes those but not
the limits of an approval is noted in `Seen.paper`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from typing import Any, Literal, NamedTuple

from tunesmith.compute.decision.criteria_checks import criteria_checks, say
from tunesmith.compute.decision.inputs import Ask, Case, Metrics, Seen
from tunesmith.compute.decision.statistics.permuted_markets import combined
from tunesmith.compute.decision.statistics.sharpe_ratio import detectable_sharpe
from tunesmith.domain.approval import Check

Answers = Generator[Ask, Any, list[Check]]


class Step(NamedTuple):
    """A row of the table: the check's name, what it asks, what it costs, and the function that makes it."""

    name: str
    asks: str
    cost: str
    make: Callable[[Case, Seen], Answers]


def bars(case: Case) -> list[Check]:
    """Of step 0 what can be asked before the ledger: enough bars in all and held out, and sound ones."""
    limits = case.thresholds
    weak, strong = detectable_sharpe(max(case.years, 1e-9))
    power = (
        f"; {case.years:.1f} years of data show a true Sharpe ratio of {weak:.1f} half of the time and one of "
        f"{strong:.1f} four times in five"
    )
    made = [
        _count("bars", case.n_in_sample + case.n_holdout, limits.min_bars, "there after warm-up", power),
        _count("holdout_bars", case.n_holdout, limits.min_holdout_bars, "held out", power),
    ]
    for fault in case.faults:
        made.append(_check("sound_bars", "data", "every bar is there once", None, None, False, fault))
    return made


def data(case: Case, seen: Seen) -> Answers:
    """Step 0: enough bars on either side, sound ones, a hold-out that nobody used up, and draws left to spend."""
    limits = case.thresholds
    made = bars(case)
    burnt = case.ledger.burnt
    reason = burnt or "nobody has seen its results on the hold-out"
    made.append(_check("unseen_holdout", "data", "a hold-out that was not used before", None, None, not burnt, reason))
    look = case.ledger.look
    spent = limits.of_look(look) is None
    n = (limits.n_permutations + 1) * look * look - 1
    reason = f"this is verdict {look} on this market; its test takes {n:,} permuted markets"
    if spent:
        reason += f", more than the {limits.max_permutations:,} allowed: the budget is spent until new bars are there"
    made.append(
        _check("budget", "data", "draws left to spend", float(n), float(limits.max_permutations), not spent, reason)
    )
    yield from ()  # a check that asks for nothing is a generator all the same
    return made


def criteria(case: Case, seen: Seen) -> Answers:
    """Step 3: the user's criteria, on the in-sample part."""
    seen.metrics["in_sample"] = yield Ask("in_sample")
    return criteria_checks(case.criteria, seen.metrics["in_sample"], "in_sample")


def timing(case: Case, seen: Seen) -> Answers:
    """Step 3: it earns, and more than holding the same exposure at random."""
    yield from ()
    found = seen.metrics["in_sample"]
    made = [_above_zero("net_return", found, "total_return", "a net return above zero")]
    sharpe, exposure = found.get("timing_sharpe"), found.get("exposure")
    passed = _number(sharpe) > 0.0
    held = f"holding the same {say('exposure', exposure)} exposure at random"
    reason = (
        f"the timing earns a Sharpe ratio of {_text(sharpe)} beyond {held}"
        if passed
        else f"the net Sharpe ratio is {_text(found.get('sharpe'))}, but {held} would have done as well"
    )
    made.append(_check("timing", "in_sample", "better than the same exposure at random", sharpe, 0.0, passed, reason))
    return made


def costs(case: Case, seen: Seen) -> Answers:
    """Step 3: both stay above zero at higher costs."""
    factor = case.thresholds.cost_factor
    found = seen.metrics["costs"] = yield Ask("costs")
    made = []
    for name, label in (("total_return", "net return"), ("timing_sharpe", "timing Sharpe ratio")):
        value = found.get(name)
        reason = f"at {factor:g} times the costs the {label} is {say(name, value)}"
        asks = f"a {label} above zero at {factor:g} times the costs"
        made.append(_check(f"costs_{name}", "in_sample", asks, value, 0.0, _number(value) > 0.0, reason))
    return made


def neighbours(case: Case, seen: Seen) -> Answers:
    """Step 3: parameters beside the winner's earn too."""
    found = yield Ask("neighbours")
    seen.evidence["neighbours"] = found
    median, n = found["median"], found["n"]
    passed = n == 0 or _number(median) > 0.0
    reason = (
        f"the median timing Sharpe ratio of the {n} sets beside it is {_text(median)}" if n else "it has no neighbours"
    )
    asks = "neighbouring parameters earn too"
    return [_check("neighbours", "in_sample", asks, median, 0.0, passed, reason)]


def reality_check(case: Case, seen: Seen) -> Answers:
    """Step 4: the best of all trials against a bootstrap. It saves work and approves nothing."""
    limit = case.thresholds.reality_check
    found = yield Ask("reality_check", case.thresholds.n_reality_check)
    p = seen.p["reality_check"] = found["p"]
    seen.evidence["reality_check"] = found
    reason = (
        f"chance alone makes the best of {found['n_trials']:,} trials as good with probability {p:.2f}, limit {limit:g}"
    )
    asks = "the best trial is better than chance suggests at a glance"
    return [_check("reality_check", "in_sample", asks, p, limit, _number(p, 1.0) <= limit, reason)]


def permutations(case: Case, seen: Seen) -> Answers:
    """Step 5: the same search on permuted markets; how often it finds something as good there."""
    limits = case.thresholds.of_look(case.ledger.look) or case.thresholds
    real = _number(seen.metrics["in_sample"].get("timing_sharpe"))
    each = yield from _each(case, seen, "symbols")
    found = yield Ask("permutations", limits.n_permutations, limits.stop_at, real, each)
    p = seen.p["search"] = found["p"]
    seen.evidence["permutations"] = found
    reason = (
        f"on {found['n_reached']:,} of {found['n']:,} shuffled versions of this market the same search found something "
        f"as good (p = {p:.3g}, limit {limits.search:g})"
    )
    if p > limits.search:
        seen.paper.append(reason)
    asks = "the same search finds nothing as good in permuted markets"
    return [_check("permutations", "in_sample", asks, p, limits.search, p <= limits.paper_search, reason)]


def holdout(case: Case, seen: Seen) -> Answers:
    """Step 6: the bars that no search saw: it earns there, trades there, and its timing is better than chance.

    The user's criteria are asked in sample alone: a bound of theirs on so few bars costs power, and who may choose it
    could learn from verdict to verdict what the hold-out holds.
    """
    limits = case.thresholds
    found = seen.metrics["holdout"] = yield Ask("holdout")
    trades = found.get("n_trades")
    made = [
        _above_zero("holdout_return", found, "total_return", "a net return above zero", "holdout"),
        _check(
            "holdout_trades",
            "holdout",
            f"at least {limits.min_holdout_trades} trades",
            trades,
            float(limits.min_holdout_trades),
            _number(trades) >= limits.min_holdout_trades,
            f"{_number(trades):.0f} trades on the hold-out, at least {limits.min_holdout_trades} are asked",
        ),
    ]
    if not all(check.passed for check in made):
        return made
    real = _number(found.get("timing_sharpe"))
    each = yield from _each(case, seen, "holdout_symbols")
    drawn = yield Ask("holdout_permutations", limits.n_holdout_permutations, real=real, apart=each)
    p = seen.p["holdout"] = drawn["p"]
    seen.evidence["holdout_permutations"] = drawn
    reason = (
        f"on {drawn['n_reached']:,} of {drawn['n']:,} shuffled hold-outs these parameters did as well "
        f"(p = {p:.3g}, limit {limits.holdout:g})"
    )
    asks = "better timing than in permuted hold-outs"
    return [*made, _check("holdout", "holdout", asks, p, limits.holdout, p <= limits.holdout, reason)]


def both(case: Case, seen: Seen) -> Answers:
    """Step 7: search and hold-out together, at a limit that falls with every verdict on this market."""
    yield from ()
    limits = case.thresholds.of_look(case.ledger.look) or case.thresholds
    p = seen.p["combined"] = combined(seen.p["search"], seen.p["holdout"])
    reason = f"together p = {p:.2g}, limit {limits.combined:.2g} for verdict {case.ledger.look} on this market"
    if p > limits.combined:
        seen.paper.append(reason)
    asks = "search and hold-out together better than chance"
    return [_check("combined", "all", asks, p, limits.combined, p <= limits.paper_combined, reason)]


def apart(case: Case, seen: Seen) -> Answers:
    """Of several symbols those that also hold alone: the others are carried, and a package for them would be luck's.

    Beside markets with an edge one without passes both limits as seldom as steps 5 and 6 let any through.
    """
    if len(case.symbols) < 2:
        return []
    yield from ()
    limits = case.thresholds
    inside, outside = seen.evidence["permutations"]["apart"], seen.evidence["holdout_permutations"]["apart"]
    kept = [s for s in case.symbols if inside[s]["p"] <= limits.search and outside[s]["p"] <= limits.holdout]
    told = "; ".join(f"{s} p = {inside[s]['p']:.3g} and {outside[s]['p']:.3g}" for s in case.symbols)
    reason = (
        f"search and hold-out of each alone: {told}; limits {limits.search:g} and {limits.holdout:g}; "
        f"{', '.join(kept) or 'none'} of {len(case.symbols)} hold"
    )
    seen.evidence["kept"] = kept
    n = float(len(kept))
    return [_check("apart", "all", "at least one symbol that holds without the others", n, 1.0, bool(kept), reason)]


def incumbent(case: Case, seen: Seen) -> Answers:
    """Step 8: better than the package in force, on bars that are later than its approval where there are enough."""
    if case.incumbent is None:
        return []
    found = yield Ask("incumbent")
    seen.evidence["incumbent"] = found
    new, old = found["newcomer"], found["incumbent"]
    where = f"on the {found['n_bars']:,} bars since its approval" if found["since"] else "on the whole hold-out"
    passed = _number(new) > _number(old)
    reason = f"its timing Sharpe ratio {where} is {_text(new)}, that of the package in force {_text(old)}"
    asks = "better than the package in force"
    return [_check("incumbent", "holdout", asks, new, old, passed, reason if passed else f"no better: {reason}")]


def replay(case: Case, seen: Seen) -> Answers:
    """Step 9: vectorbt, given the orders, computes the same numbers."""
    lines = [str(line) for line in (yield Ask("replay"))]
    reason = "; ".join(lines) or "vectorbt computes the same numbers from the orders"
    asks = "vectorbt, given the same orders, computes the same numbers"
    return [_check("replay", "all", asks, float(len(lines)), 0.0, not lines, reason)]


CHECKS: tuple[Step, ...] = (
    Step("data", "enough sound bars, a hold-out that is unseen, draws left", "none", data),
    Step("criteria", "the bounds that the user set, in sample", "one backtest", criteria),
    Step("timing", "it earns, and more than the same exposure at random", "none", timing),
    Step("costs", "it still earns at twice the costs", "one backtest", costs),
    Step("neighbours", "parameters beside the winner's earn too", "a few backtests", neighbours),
    Step("reality_check", "the best trial against a bootstrap of all", "the search once more", reality_check),
    Step("permutations", "the same search on permuted markets", "up to 399 searches", permutations),
    Step("holdout", "bars that no search saw, and permuted versions of them", "500 backtests", holdout),
    Step("combined", "search and hold-out together, with every look counted", "none", both),
    Step("apart", "of several symbols those that hold alone", "none", apart),
    Step("incumbent", "better than the package in force", "two backtests", incumbent),
    Step("replay", "vectorbt computes the same numbers", "a replay", replay),
)
"""Every check of a decision, in order."""


def _count(name: str, n: int, least: int, where: str, power: str) -> Check:
    reason = f"{n:,} bars are {where}, at least {least:,} are needed"
    asks = f"at least {least:,} bars {where}"
    return _check(name, "data", asks, float(n), float(least), n >= least, reason if n >= least else reason + power)


def _each(case: Case, seen: Seen, work: Literal["symbols", "holdout_symbols"]) -> Generator[Ask, Any, dict[str, float]]:
    """Of several symbols the timing Sharpe ratio of each alone."""
    if len(case.symbols) < 2:
        return {}
    found = seen.evidence[work] = yield Ask(work)
    return {symbol: _number(found[symbol].get("timing_sharpe")) for symbol in case.symbols}


def _above_zero(name: str, found: Metrics, metric: str, asks: str, segment: str = "in_sample") -> Check:
    value = found.get(metric)
    where = "in sample" if segment == "in_sample" else "on the hold-out"
    return _check(name, segment, asks, value, 0.0, _number(value) > 0.0, f"{where} it is {say(metric, value)}")


def _check(
    name: str, segment: str, asks: str, value: float | None, threshold: float | None, passed: bool, reason: str
) -> Check:
    defined = value if value is not None and math.isfinite(value) else None
    return Check(
        name=name, segment=segment, asks=asks, value=defined, threshold=threshold, passed=passed, reason=reason
    )


def _number(value: float | None, undefined: float = -math.inf) -> float:
    return undefined if value is None or math.isnan(value) else value


def _text(value: float | None) -> str:
    return "undefined" if value is None or math.isnan(value) else f"{value:.2f}"
