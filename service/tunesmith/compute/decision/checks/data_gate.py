"""Check: enough sound bars on either side, a hold-out that nobody used up, and draws left to spend."""

from __future__ import annotations

import numpy as np

from tunesmith.compute.decision.checks.check_declaration import DecisionCheck, Explanation, Work, line
from tunesmith.compute.decision.inputs import DecisionInputs, Findings, WorkInputs
from tunesmith.compute.decision.statistics.sharpe_ratio import detectable_sharpe
from tunesmith.compute.decision.winner import Winner
from tunesmith.domain.approval import Check
from tunesmith.domain.array_types import Ints
from tunesmith.domain.market.bars import Bars
from tunesmith.domain.market.calendars import COUNTED
from tunesmith.domain.market.expected_bars import presence_of
from tunesmith.domain.trading import MAX_MISSING

_SHORT_GAP = 3
_MORE_BARS = Explanation("nothing", "Import more bars: a longer history, or the market's newer ones as they come.")
_NEW_HOLDOUT = Explanation(
    "nothing",
    "Wait for new bars. Once a whole hold-out of them is later than the last look, it begins anew and the count of "
    "verdicts starts again.",
)


def judge(inputs: DecisionInputs, findings: Findings) -> list[Check]:
    """Judge the bars first, then what the ledger says of the market; edition 1 counts the verdicts here too."""
    limits = inputs.thresholds
    burnt = inputs.ledger.burnt
    reason = burnt or "nobody has seen its results on the hold-out"
    unseen = line("unseen_holdout", "data", "a hold-out that was not used before", None, None, not burnt, reason)
    if inputs.edition > 1:
        return [*judge_bars(inputs), unseen]
    look = inputs.ledger.look
    spent = limits.of_look(look) is None
    n = (limits.n_permutations + 1) * look * look - 1
    reason = f"this is verdict {look} on this market; its test takes {n:,} permuted markets"
    if spent:
        reason += f", more than the {limits.max_permutations:,} allowed: the budget is spent until new bars are there"
    most = float(limits.max_permutations)
    return [
        *judge_bars(inputs),
        unseen,
        line("budget", "data", "draws left to spend", float(n), most, not spent, reason),
    ]


def judge_bars(inputs: DecisionInputs) -> list[Check]:
    """Judge what can be judged before the ledger is asked: enough bars in all and held out, and sound ones."""
    limits = inputs.thresholds
    weak, strong = detectable_sharpe(max(inputs.years, 1e-9))
    power = (
        f"; {inputs.years:.1f} years of data show a true Sharpe ratio of {weak:.1f} half of the time and one of "
        f"{strong:.1f} four times in five"
    )
    lines = [
        _enough("bars", inputs.n_in_sample + inputs.n_holdout, limits.min_bars, "there after warm-up", power),
        _enough("holdout_bars", inputs.n_holdout, limits.min_holdout_bars, "held out", power),
    ]
    for fault in inputs.faults:
        lines.append(line("sound_bars", "data", "every bar is there once", None, None, False, fault))
    return lines


def find_faults(winner: Winner, inputs: WorkInputs) -> list[str]:
    """What is wrong with the bars, with the symbol where there are several."""
    return [
        f"{market.symbol}: {fault}" if winner.others else fault
        for market in winner.markets
        for fault in faults_of(market.bars, market.first)
    ]


def faults_of(bars: Bars, first: int) -> list[str]:
    """Irregularities of the bars from `first` on, in words: too many that the calendar expects are missing."""
    stamps = bars.timestamp[first:]
    if bars.calendar == COUNTED:
        return _gaps_of(stamps)
    presence = presence_of(bars.calendar, stamps, bars.timeframe)
    return missing_faults(presence.n_missing, presence.n_expected, bars.calendar.text)


def missing_faults(n_missing: int, n_expected: int, calendar: str, where: str = "") -> list[str]:
    """In words that more bars are missing than `MAX_MISSING`, whatever a search accepted; empty where they are not."""
    if n_missing <= MAX_MISSING * n_expected:
        return []
    return [
        f"{n_missing:,} of {n_expected:,} bars{where} that the calendar {calendar} expects are missing "
        f"({n_missing / n_expected:.1%}, and {MAX_MISSING:.0%} may be): import them, or name the market's calendar"
    ]


def _gaps_of(stamps: Ints) -> list[str]:
    """The irregularities of bars that were searched before there were calendars."""
    steps = np.diff(stamps)
    if not len(steps):
        return []
    usual = int(np.median(steps))
    n_gaps = int((steps > _SHORT_GAP * usual).sum())
    around_the_clock = float(np.mean(steps == usual)) > 0.99
    if around_the_clock and n_gaps:
        return [f"{n_gaps} gaps of more than {_SHORT_GAP} bars in a market that trades around the clock: fill them"]
    return []


def _enough(name: str, n: int, least: int, where: str, power: str) -> Check:
    reason = f"{n:,} bars are {where}, at least {least:,} are needed"
    asks = f"at least {least:,} bars {where}"
    return line(name, "data", asks, float(n), float(least), n >= least, reason if n >= least else reason + power)


FAULTS = Work(name="faults", segment="in_sample", run=find_faults)
"""Done before the plan begins: the ledger does not count a verdict that is refused for its bars."""

CHECK = DecisionCheck(
    name="data",
    question="enough sound bars, a hold-out that is unseen, draws left",
    segment="data",
    judge=judge,
    works=(FAULTS,),
    limits=("min_bars", "min_holdout_bars", "max_permutations"),
    explanations={
        "bars": _MORE_BARS,
        "in_sample_bars": _MORE_BARS,
        "holdout_bars": _MORE_BARS,
        "sound_bars": Explanation(
            "nothing", "Import the bars that are missing, begin after the gaps, or name the calendar."
        ),
        "unseen_holdout": _NEW_HOLDOUT,
        "budget": _NEW_HOLDOUT,
    },
    fails_as="insufficient_data",
    named_when_skipped=False,
)
