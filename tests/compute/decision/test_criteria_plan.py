"""The decision plan: which step refuses, in which words, and what it may show of the hold-out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from tunesmith.compute.decision.checks.user_bounds import judge_bounds
from tunesmith.compute.decision.criteria_plan import SegmentAnswer, decide_by_criteria, public_checks
from tunesmith.compute.decision.inputs import Decision, SegmentLengths
from tunesmith.domain.approval import ApprovalCriteria

GOOD: dict[str, float | None] = {
    "total_return": 0.4,
    "sharpe": 1.2,
    "max_drawdown": 0.1,
    "n_trades": 40.0,
    "win_rate": 0.55,
    "profit_factor": 1.6,
}
CRITERIA = ApprovalCriteria(min_sharpe=0.5, max_drawdown=0.35, min_return=0.0, min_trades=10, min_profit_factor=1.0)
LONG = SegmentLengths(n_in_sample=700, n_holdout=300, min_bars=50)


def judge(answers: Mapping[str, SegmentAnswer], lengths: SegmentLengths = LONG) -> tuple[Decision, list[str]]:
    plan = decide_by_criteria(CRITERIA, lengths)
    asked: list[str] = []
    try:
        work = next(plan)
        while True:
            asked.append(work)
            work = plan.send(answers[work])
    except StopIteration as stop:
        return stop.value, asked


def test_what_passes_everything_is_approved() -> None:
    decision, asked = judge({"in_sample": GOOD, "holdout": GOOD, "replay": []})
    assert decision.approved
    assert asked == ["in_sample", "holdout", "replay"]
    assert all(check.passed for check in decision.checks)
    assert decision.findings.metrics == {"in_sample": GOOD, "holdout": GOOD}
    assert [c.value for c in public_checks(decision) if c.name == "min_sharpe"] == [1.2, 1.2]


def test_too_short_a_holdout_is_insufficient_data_before_any_work() -> None:
    decision, asked = judge({}, SegmentLengths(n_in_sample=49, n_holdout=12, min_bars=50))
    assert decision.status == "insufficient_data"
    assert asked == []
    assert "49 bars are in sample, at least 50 are needed" in decision.reason
    assert "12 bars are held out, at least 50 are needed" in decision.reason


def test_a_broken_bound_in_sample_rejects_without_a_look_at_the_holdout() -> None:
    decision, asked = judge({"in_sample": {**GOOD, "sharpe": 0.31, "n_trades": 4.0}})
    assert decision.status == "rejected"
    assert asked == ["in_sample"]
    assert decision.reason == (
        "n trades in sample is 4, at least 10 is asked; sharpe in sample is 0.31, at least 0.50 is asked"
    )


def test_a_rejection_on_the_holdout_shows_pass_or_fail_and_no_value() -> None:
    decision, asked = judge({"in_sample": GOOD, "holdout": {**GOOD, "total_return": -0.123456}})
    assert decision.status == "rejected"
    assert asked == ["in_sample", "holdout"]
    held_out = [check for check in public_checks(decision) if check.segment == "holdout"]
    assert [check.name for check in held_out if not check.passed] == ["min_return"]
    assert all(check.value is None for check in held_out)
    assert "12.3" not in decision.reason + "".join(check.reason for check in held_out)


def test_the_holdout_needs_trades_in_proportion_to_its_length() -> None:
    decision, _ = judge({"in_sample": GOOD, "holdout": {**GOOD, "n_trades": 5.0}, "replay": []})
    thresholds = [check.threshold for check in decision.checks if check.name == "min_trades"]
    assert thresholds == [10.0, 5.0]
    assert decision.approved


def test_numbers_that_vectorbt_does_not_confirm_are_refused() -> None:
    decision, _ = judge({"in_sample": GOOD, "holdout": GOOD, "replay": ["holdout: sharpe 1.2 is 1.3 there"]})
    assert decision.status == "rejected"
    shown = decision.reason + "".join(check.reason for check in public_checks(decision))
    assert "1.3" not in shown, "the hold-out's numbers stay hidden"
    assert "not met: vectorbt, given the same orders, computes the same numbers" in decision.reason
    assert "sharpe 1.2 is 1.3 there" in decision.checks[-1].reason


@pytest.mark.parametrize("undefined", [None, float("nan")])
def test_an_undefined_metric_breaks_its_bound(undefined: float | None) -> None:
    checks = judge_bounds(CRITERIA, {**GOOD, "profit_factor": undefined}, "in_sample")
    [check] = [check for check in checks if not check.passed]
    assert check.name == "min_profit_factor"
    assert check.value is None
    assert "undefined" in check.reason


def test_a_bound_is_met_by_its_own_value() -> None:
    on_the_edge = {**GOOD, "sharpe": 0.5, "max_drawdown": 0.35, "n_trades": 10.0, "total_return": 0.0}
    assert all(check.passed for check in judge_bounds(CRITERIA, on_the_edge, "in_sample"))


@pytest.mark.parametrize("undefined", [None, float("nan")])
def test_a_profit_factor_without_a_losing_trade_keeps_its_bound(undefined: float | None) -> None:
    lossless = {**GOOD, "profit_factor": undefined, "win_rate": 1.0}
    [check] = [each for each in judge_bounds(CRITERIA, lossless, "in_sample") if each.name == "min_profit_factor"]
    assert check.passed
    assert check.value is None, "infinity is no JSON"
    assert check.reason == "profit factor in sample is infinite, as no closed trade lost; at least 1.00 is asked"
    assert b"nan" not in msgspec.json.encode(check).lower()
    decision, _ = judge({"in_sample": lossless, "holdout": lossless, "replay": []})
    assert decision.approved
    [first] = [each for each in judge_bounds(CRITERIA, lossless, "in_sample", 1) if each.name == "min_profit_factor"]
    assert not first.passed, "verdicts of the first edition are made again by its rules"
    assert first.reason == "profit factor in sample is undefined, at least 1.00 is asked"


@pytest.mark.parametrize("changed", [{"n_trades": 0.0, "win_rate": None}, {"win_rate": 0.5}, {"win_rate": None}])
def test_without_trades_or_with_a_loss_somewhere_an_undefined_profit_factor_fails(changed: dict[str, Any]) -> None:
    checks = judge_bounds(CRITERIA, {**GOOD, "profit_factor": None, **changed}, "in_sample")
    [check] = [each for each in checks if each.name == "min_profit_factor"]
    assert not check.passed
