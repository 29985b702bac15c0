"""The decision plan: which check refuses, in which words, what it costs until then, and what may be shown.

The last part is about decisions of the first edition, by which stored verdicts are made again.
"""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import Any

import pytest

from tunesmith.compute.decision.checks.check_registry import registered
from tunesmith.compute.decision.decision_plan import decide_search, follow, public_checks, public_reason
from tunesmith.compute.decision.inputs import Decision, DecisionInputs, Ledger, WorkRequest
from tunesmith.domain.approval import ApprovalCriteria, Check
from tunesmith.domain.thresholds import Thresholds

GOOD = {
    "total_return": 0.4,
    "sharpe": 1.2,
    "max_drawdown": 0.1,
    "n_trades": 40.0,
    "exposure": 0.59,
    "timing_sharpe": 1.1,
}
UNSEEN = "it did not hold on bars that the search never saw; more is not told"
ANSWERS: dict[str, Any] = {
    "in_sample": GOOD,
    "costs": GOOD,
    "neighbours": {"median": 0.7, "n": 4},
    "spread": {"total_return": 0.3, "timing_sharpe": 0.9, "estimates": {"A": {"used": 0.0021}}},
    "delay": {"total_return": 0.35, "timing_sharpe": 1.0},
    "counted": {
        "n": 3,
        "n_own": 2,
        "n_opened": 1,
        "n_related": 0,
        "n_trials": 1000,
        "ticks": 21,
        "added": {},
        "t": 1.7,
    },
    "searches": {"p": 0.001, "n": 999, "n_reached": 0, "n_foreign": 0},
    "reality_check": {"p": 0.02, "n_trials": 1000},
    "permutations": {"p": 0.0025, "n": 399, "n_reached": 0},
    "holdout": GOOD,
    "holdout_permutations": {"p": 0.03, "n": 999, "n_reached": 29},
    "incumbent": {"newcomer": 1.0, "incumbent": 0.4, "n_bars": 150, "since": True},
    "replay": [],
    "report": {"psr": 0.99},
}
INPUTS = DecisionInputs(
    criteria=ApprovalCriteria(min_sharpe=0.5, max_drawdown=0.35, min_trades=10),
    thresholds=Thresholds(),
    n_in_sample=1400,
    n_holdout=600,
    years=3.8,
)
FIRST_EDITION = replace(INPUTS, edition=1, thresholds=Thresholds(n_permutations=399, max_permutations=9999))


def judge(inputs: DecisionInputs = INPUTS, **changed: Any) -> tuple[Decision, list[WorkRequest]]:
    asked = []

    def answer(request: WorkRequest) -> Any:
        asked.append(request)
        return {**ANSWERS, **changed}[request.work]

    return follow(decide_search(inputs), answer), asked


def works(asked: list[WorkRequest]) -> list[str]:
    return [request.work for request in asked]


def request_for(asked: list[WorkRequest], work: str) -> WorkRequest:
    return next(request for request in asked if request.work == work)


def line_of(decision: Decision, name: str) -> Check:
    return next(check for check in decision.checks if check.name == name)


def changed(segment: str, **values: float | None) -> dict[str, Any]:
    return {segment: {**GOOD, **values}}


def test_what_passes_everything_is_approved_with_its_evidence() -> None:
    decision, asked = judge()
    assert decision.approved
    assert works(asked) == [
        *("in_sample", "costs", "neighbours", "spread", "delay", "counted", "searches"),
        *("holdout", "holdout_permutations", "replay", "report"),
    ]
    assert request_for(asked, "searches") == WorkRequest("searches", 999, 21, 1.7)
    assert request_for(asked, "holdout_permutations") == WorkRequest("holdout_permutations", 999, 21, 1.1)
    assert decision.findings.evidence["limit"] == {"level": 0.005 * 0.7, "n_draws": 999, "look": 1, "ticks": 21}
    assert decision.findings.p["combined"] < 0.005 * 0.7
    assert decision.findings.evidence["report"] == {"psr": 0.99}
    assert decision.findings.evidence["searches"]["n"] == 999
    assert public_checks(decision) == list(decision.checks)
    assert line_of(decision, "tries").reason == (
        "3 searches on this market count (2 of yours, 1 whose results you opened); they count as one independent try; "
        "at look 1 at this hold-out an approval asks for p <= 0.0035 in all"
    )


@pytest.mark.parametrize(
    ("inputs", "answers", "status", "last", "words"),
    [
        (
            DecisionInputs(INPUTS.criteria, INPUTS.thresholds, 699, 300, 4.0),
            {},
            "insufficient_data",
            None,
            "999 bars are there after warm-up, at least 1,000 are needed; 4.0 years of data show a true Sharpe ratio "
            "of 1.2 half of the time and one of 1.9 four times in five",
        ),
        (
            DecisionInputs(INPUTS.criteria, INPUTS.thresholds, 900, 299, 4.0),
            {},
            "insufficient_data",
            None,
            "299 bars are held out",
        ),
        (
            DecisionInputs(INPUTS.criteria, INPUTS.thresholds, 1400, 600, 3.8, faults=["5 bars are missing"]),
            {},
            "insufficient_data",
            None,
            "5 bars are missing",
        ),
        (
            DecisionInputs(
                INPUTS.criteria, INPUTS.thresholds, 1400, 600, 3.8, ledger=Ledger(1, "ann looked on 2026-01-01")
            ),
            {},
            "insufficient_data",
            None,
            "ann looked",
        ),
        (
            INPUTS,
            {"counted": {**ANSWERS["counted"], "ticks": 21 * 60}},
            "rejected",
            "counted",
            "they count as 60 independent tries; at look 1 at this hold-out an approval asks for p <= 9.7e-07 in all, "
            "and its draws can show no less than 2.6e-06: the error budget of this market is spent for you",
        ),
        (INPUTS, changed("in_sample", sharpe=0.3), "rejected", "in_sample", "sharpe in sample is 0.30"),
        (INPUTS, changed("in_sample", total_return=-0.1), "rejected", "in_sample", "in sample it is -10.0%"),
        (
            INPUTS,
            changed("in_sample", timing_sharpe=-0.1),
            "rejected",
            "in_sample",
            "the net Sharpe ratio is 1.20, but holding its mean position all the time (the position's value as a share "
            "of the equity, negative when short, on average over all bars) would have done as well",
        ),
        (
            INPUTS,
            changed("costs", total_return=-0.02),
            "rejected",
            "costs",
            "at 2 times the costs the net return is -2.0%",
        ),
        (INPUTS, {"neighbours": {"median": -0.2, "n": 6}}, "rejected", "neighbours", "the 6 sets beside it is -0.20"),
        (
            INPUTS,
            {"searches": {"p": 0.25, "n": 84, "n_reached": 21, "n_foreign": 2}},
            "rejected",
            "searches",
            "on 21 of 84 shuffled versions of this market one of these searches found something as good (p = 0.25, "
            "limit 0.05); 2 of somebody else that tried these parameters, or nearly so, had a say in it",
        ),
        (INPUTS, changed("holdout", total_return=-0.01), "rejected", "holdout", UNSEEN),
        (INPUTS, changed("holdout", n_trades=4.0), "rejected", "holdout", UNSEEN),
        (
            INPUTS,
            {"holdout_permutations": {"p": 0.21, "n": 999, "n_reached": 209}},
            "rejected",
            "holdout_permutations",
            UNSEEN,
        ),
        (
            INPUTS,
            {
                "searches": {"p": 0.05, "n": 999, "n_reached": 49, "n_foreign": 0},
                "holdout_permutations": {"p": 0.19, "n": 999, "n_reached": 189},
            },
            "rejected",
            "holdout_permutations",
            UNSEEN,
        ),
        (
            DecisionInputs(INPUTS.criteria, INPUTS.thresholds, 1400, 600, 3.8, incumbent="abc"),
            {"incumbent": {"newcomer": 0.4, "incumbent": 0.4, "n_bars": 600, "since": False}},
            "rejected",
            "incumbent",
            UNSEEN,
        ),
        (INPUTS, {"replay": ["sharpe: 1 is not 2"]}, "rejected", "replay", UNSEEN),
    ],
)
def test_the_first_check_that_fails_decides(
    inputs: DecisionInputs, answers: dict[str, Any], status: str, last: str | None, words: str
) -> None:
    decision, asked = judge(inputs, **answers)
    assert (decision.status, (works(asked) or [None])[-1]) == (status, last)
    assert words in public_reason(decision)
    assert not decision.checks[-1].passed or not all(check.passed for check in decision.checks)


def test_the_users_bounds_are_asked_in_sample_and_tell_nothing_of_the_holdout() -> None:
    decision, _ = judge(**changed("holdout", sharpe=0.1, max_drawdown=0.9, n_trades=6.0))
    assert decision.approved
    assert [check.name for check in decision.checks if check.segment == "holdout"] == [
        *("holdout_return", "holdout_trades", "holdout"),
    ]


def test_a_thousand_bars_of_which_three_hundred_are_held_out_are_enough() -> None:
    decision, _ = judge(DecisionInputs(INPUTS.criteria, INPUTS.thresholds, 700, 300, 2.7))
    assert decision.approved
    assert [(check.name, check.value) for check in decision.checks[:2]] == [("bars", 1000.0), ("holdout_bars", 300.0)]


def test_tries_and_looks_ask_for_more_and_for_more_draws() -> None:
    strong = {
        "searches": {"p": 0.001, "n": 999, "n_reached": 0, "n_foreign": 0},
        "holdout_permutations": {"p": 0.19, "n": 999, "n_reached": 189},
    }
    limits = []
    for ticks, look, n_draws in ((21, 1, 999), (32, 1, 999), (84, 1, 1999), (21, 4, 1999)):
        counted = {**ANSWERS["counted"], "ticks": ticks}
        decision, asked = judge(replace(INPUTS, ledger=Ledger(look)), counted=counted, **strong)
        assert request_for(asked, "searches").n_draws == request_for(asked, "holdout_permutations").n_draws == n_draws
        budget = line_of(decision, "error_budget")
        limits.append((budget.threshold, budget.passed))
    assert [threshold for threshold, _ in limits] == pytest.approx(
        [0.0035, 0.0035 * (21 / 32) ** 2, 0.0035 / 16, 0.005 * 0.3 * 6 / math.pi**2 / 9]
    )
    assert [passed for _, passed in limits] == [True, True, False, False], "the same two p-values"


def test_a_look_that_fails_shows_one_bit_whichever_check_it_was() -> None:
    failing: list[dict[str, Any]] = [
        changed("holdout", total_return=-0.0123),
        changed("holdout", n_trades=1.0),
        {"holdout_permutations": {"p": 0.5, "n": 41, "n_reached": 21}},
        {"replay": ["sharpe: 1 is not 2"]},
    ]
    told = []
    for answers in failing:
        decision, _ = judge(**answers)
        told.append((public_checks(decision), public_reason(decision)))
    assert told[1:] == told[:-1], "nobody can tell them apart"
    *before, last = told[0][0]
    assert (last.name, last.segment, last.value, last.threshold, last.passed) == (
        "holdout",
        "holdout",
        None,
        None,
        False,
    )
    assert {check.segment for check in before} == {"data", "in_sample"}
    assert next(check for check in before if check.name == "searches").value == 0.001
    decision, _ = judge(**changed("in_sample", sharpe=0.1))
    assert public_checks(decision) == list(decision.checks), "a verdict that fails in sample has not looked"


def test_the_registry_has_every_check_in_order_with_its_question_and_explanations() -> None:
    assert [check.name for check in registered()] == [
        *("data", "recent_candles", "fill", "criteria", "timing", "costs", "neighbours", "spread", "delay"),
        *("searches", "holdout", "error_budget", "apart", "incumbent", "replay"),
    ]
    assert [check.name for check in registered(1)] == [
        *("data", "criteria", "timing", "costs", "neighbours", "reality_check", "permutations"),
        *("holdout", "combined", "apart", "incumbent", "replay"),
    ]
    assert all(check.question and check.explanations for check in registered())
    explanations = [told for check in registered() for told in check.explanations.values()]
    assert all(told.cost and told.helps for told in explanations)


def test_of_several_symbols_each_is_asked_alone_and_only_those_that_hold_are_kept() -> None:
    each = {"A": {"timing_sharpe": 1.5}, "B": {"timing_sharpe": 0.7}, "C": {"timing_sharpe": None}}
    three = replace(INPUTS, symbols=["A", "B", "C"])

    def told(inside: list[float], outside: list[float]) -> dict[str, Any]:
        p = [{s: {"p": value} for s, value in zip("ABC", values, strict=True)} for values in (inside, outside)]
        return {
            "symbols": each,
            "holdout_symbols": each,
            "searches": {**ANSWERS["searches"], "apart": p[0]},
            "holdout_permutations": {**ANSWERS["holdout_permutations"], "apart": p[1]},
        }

    decision, asked = judge(three, **told([0.05, 0.06, 0.01], [0.20, 0.01, 0.21]))
    assert decision.approved
    assert decision.findings.evidence["kept"] == ["A"]
    from_there = works(asked)[works(asked).index("symbols") :]
    assert from_there[:4] == [
        "symbols",
        "searches",
        "holdout",
        "holdout_symbols",
    ]
    assert request_for(asked, "searches").by_symbol == {"A": 1.5, "B": 0.7, "C": -math.inf}
    decision, _ = judge(three, **told([0.06, 0.06, 0.06], [0.01, 0.01, 0.01]))
    assert (decision.status, public_reason(decision)[: len(UNSEEN)]) == ("rejected", UNSEEN)
    assert line_of(decision, "apart").passed is False


def test_no_advice_proposes_a_further_search_without_its_price() -> None:
    """Narrowing down is no way to a pass: whatever proposes another search, rule or bound of it says that it counts."""
    proposes = re.compile(
        r"\b(search for|another (rule|market|search)|other rules|livelier|narrow|ranges|fewer)\b", re.I
    )
    told = {name: each.helps for check in registered() for name, each in check.explanations.items()}
    proposing = {name: helps for name, helps in told.items() if proposes.search(helps)}
    assert {"neighbours", "timing", "net_return"} <= proposing.keys()
    for name, helps in proposing.items():
        assert re.search(r"counts? as another try( on (this|each of these) markets?|, )", helps), (name, helps)


def test_a_winner_without_neighbours_is_no_pass() -> None:
    alone = {**ANSWERS, "neighbours": {"median": None, "n": 0}}
    decision = follow(decide_search(INPUTS), lambda request: alone[request.work])
    assert decision.status == "rejected"
    last = decision.checks[-1]
    assert (last.name, last.passed, last.value) == ("neighbours", False, None)
    assert last.reason.startswith("this could not be checked: no other set of parameters")
    assert "ranges of at least two values" in decision.reason
    first = follow(decide_search(replace(INPUTS, edition=1)), lambda request: alone[request.work])
    [line] = [check for check in first.checks if check.name == "neighbours"]
    assert (line.passed, line.reason) == (True, "it has no neighbours"), "as verdicts of the first edition were made"


def test_the_timing_text_names_the_mean_position_and_that_of_the_first_edition_stays() -> None:
    for inputs, words in (
        (
            INPUTS,
            "holding its mean position all the time (the position's value as a share of the equity, negative when ",
        ),
        (replace(INPUTS, edition=1), "a Sharpe ratio of 1.10 beyond holding the same 59.0% exposure at random"),
    ):
        [line] = [check for check in judge(inputs)[0].checks if check.name == "timing"]
        assert words in line.reason
    assert line.asks == "better than the same exposure at random"


def test_the_first_edition_asks_for_its_own_tests_and_issues_packages_to_follow_on_paper() -> None:
    decision, asked = judge(FIRST_EDITION)
    assert decision.approved
    assert works(asked)[3:5] == ["reality_check", "permutations"]
    assert request_for(asked, "permutations") == WorkRequest("permutations", 399, 21, 1.1)
    assert request_for(asked, "holdout_permutations") == WorkRequest("holdout_permutations", 499, 0, 1.1)
    held = {"p": 0.01, "n": 499, "n_reached": 4}
    decision, _ = judge(FIRST_EDITION, permutations={"p": 0.07, "n": 300, "n_reached": 21}, holdout_permutations=held)
    assert decision.status == "paper_only"
    assert "p = 0.07" in decision.reason
    assert "0.01" not in public_reason(decision)


def test_the_first_edition_divides_its_limit_by_the_square_of_the_look_until_draws_are_spent() -> None:
    few = {"p": 1 / 3600, "n": 3599, "n_reached": 0}
    decision, asked = judge(replace(FIRST_EDITION, ledger=Ledger(3)), permutations=few)
    assert request_for(asked, "permutations").n_draws == 3599
    assert line_of(decision, "combined").threshold == pytest.approx(0.005 / 9)
    decision, _ = judge(replace(FIRST_EDITION, ledger=Ledger(6)))
    assert (decision.status, "the budget is spent" in decision.reason) == ("insufficient_data", True)


def test_the_first_edition_says_which_check_of_the_holdout_failed_and_hides_its_figure() -> None:
    decision, _ = judge(FIRST_EDITION, **changed("holdout", total_return=-0.0123))
    shown = {check.name: check for check in public_checks(decision)}
    assert shown["holdout_return"].value is None
    assert "1.2%" not in shown["holdout_return"].reason
    assert shown["permutations"].value == 0.0025
    assert "never saw; not met: a net return above zero" in public_reason(decision)
