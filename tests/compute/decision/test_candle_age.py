"""How old the candles of a verdict may be: the check reads no clock, and both plans make it before any work."""

from __future__ import annotations

import pytest

from tunesmith.compute.decision.checks.candle_age import judge_age
from tunesmith.compute.decision.criteria_plan import decide_by_criteria
from tunesmith.compute.decision.decision_plan import decide_search
from tunesmith.compute.decision.inputs import Decision, DecisionInputs, SegmentLengths
from tunesmith.domain.approval import ApprovalCriteria, DataAge
from tunesmith.domain.thresholds import Thresholds

DAY_MS = 86_400_000
END_MS = 1_700_000_000_000


def aged(days: float, *, accepted: bool = False) -> DataAge:
    """Candles of that age with a hold-out of 300 days."""
    asked_ms = END_MS + round(days * DAY_MS)
    return DataAge(asked_ms=asked_ms, end_ms=END_MS, boundary_ms=END_MS - 300 * DAY_MS, accepted=accepted)


@pytest.mark.parametrize(
    ("days", "accepted", "passed", "words"),
    [
        (-1.0, False, True, "they go on to now"),
        (0.5, False, True, "the candles ended 0.5 days before the verdict was asked for"),
        (30.0, False, True, "30.0 days before"),
        (30.01, False, False, "more than 30.0 days, a tenth of the hold-out: import newer candles, or say accept_old"),
        (30.01, True, True, "that was accepted (accept_old_data)"),
        (30.0, True, True, "30.0 days before"),
    ],
)
def test_candles_are_old_after_a_tenth_of_the_holdout(days: float, accepted: bool, passed: bool, words: str) -> None:
    age = aged(days, accepted=accepted)
    line = judge_age(age)
    assert (line.passed, age.is_old) == (passed, days > 30.0)
    assert (line.value, line.threshold) == (pytest.approx(days), 30.0)
    assert words in line.reason
    assert ("accepted" in line.reason) == (accepted and age.is_old)


def refused(age: DataAge) -> list[Decision]:
    """The decisions of both plans, which may ask for no work."""
    thresholds = Thresholds(min_bars=10, min_holdout_bars=5)
    inputs = DecisionInputs(ApprovalCriteria(), thresholds, n_in_sample=700, n_holdout=300, years=3.0, age=age)
    plans = decide_search(inputs), decide_by_criteria(ApprovalCriteria(), SegmentLengths(700, 300, 10, age))
    decisions = []
    for plan in plans:
        with pytest.raises(StopIteration) as ended:
            next(plan)
        decisions.append(ended.value.value)
    return decisions


def test_both_plans_refuse_old_candles_before_any_work_and_name_the_flag() -> None:
    for decision in refused(aged(31.0)):
        assert (decision.status, decision.checks[-1].name) == ("insufficient_data", "recent_candles")
        assert "accept_old_data (--accept-old-data)" in decision.reason
